package network

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A link holds at most chunks x chunkSize bytes of a connection on their way; then the sender feels it.
const (
	chunkSize = 32 << 10
	chunks    = 64
)

// chunk is bytes that were sent at some time; the last one has an error instead.
type chunk struct {
	sent time.Time
	data []byte
	err  error // why nothing follows: io.EOF when the sender closed in order
}

// carry moves the bytes of one connection over the link between two parties, until they end or ctx does.
func (p *Proxy) carry(ctx context.Context, from, to string, in, out net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan chunk, chunks)
	var reading sync.WaitGroup
	reading.Go(func() { read(ctx, in, queue) })
	defer reading.Wait()
	defer cancel()
	for c := range queue {
		if !p.network.pass(ctx, from, to, c.sent) {
			return // the proxy was closed, and with it both connections
		}
		if c.err != nil {
			end(out, c.err)
			return
		}
		if _, err := out.Write(c.data); err != nil {
			reset(in)
			_ = in.Close()
			return
		}
	}
}

// read puts what comes in on the queue, and how it ended as the last chunk.
func read(ctx context.Context, in net.Conn, queue chan<- chunk) {
	defer close(queue)
	for {
		data := make([]byte, chunkSize)
		n, err := in.Read(data)
		if n > 0 && !put(ctx, queue, chunk{sent: time.Now(), data: data[:n]}) {
			return
		}
		if err != nil {
			put(ctx, queue, chunk{sent: time.Now(), err: err})
			return
		}
	}
}

// put adds a chunk to the queue; it reports false when ctx ended first.
func put(ctx context.Context, queue chan<- chunk, c chunk) bool {
	select {
	case queue <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

// end tells the receiver how the sender ended: in order (it may still get answers), or not.
func end(out net.Conn, err error) {
	if tcp, ok := out.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
		_ = tcp.CloseWrite()
		return
	}
	reset(out)
	_ = out.Close()
}

// reset makes the close of a connection abrupt, as when a host refuses it or dies.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// pass waits until something sent at the given time arrives over a link; it reports false when ctx ended first.
func (n *Network) pass(ctx context.Context, from, to string, sent time.Time) bool {
	for {
		link, changed := n.Link(from, to)
		var arrives <-chan time.Time // never, while the link is cut
		if !link.Cut {
			rest := time.Until(sent.Add(link.Delay))
			if rest <= 0 {
				return true
			}
			timer := time.NewTimer(rest)
			defer timer.Stop()
			arrives = timer.C
		}
		select {
		case <-arrives:
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
