package network

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// dialLimit bounds the connection to the party behind a proxy, on this very machine.
const dialLimit = 5 * time.Second

// Proxy stands before one party: what connects to it reaches the party over the links of a network.
type Proxy struct {
	network *Network
	party   string
	target  string
	who     func(net.Conn) string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]struct{}
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// Proxy makes the proxy before party, which listens at target (host:port). who names the party that an incoming
// connection comes from.
func (n *Network) Proxy(party, target string, who func(net.Conn) string) *Proxy {
	return &Proxy{network: n, party: party, target: target, who: who}
}

// Open listens at addr (host:port) until Close, and returns the address with the port that it got.
func (p *Proxy) Open(addr string) (string, error) {
	ctx, stop := context.WithCancel(context.Background())
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		stop()
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		stop()
		return "", errors.Join(errors.New("proxy is open already"), listener.Close())
	}
	p.listener, p.stop, p.conns = listener, stop, map[net.Conn]struct{}{}
	p.running.Go(func() { p.accept(ctx, listener) })
	return listener.Addr().String(), nil
}

// Close stops listening and drops all connections; it waits until all is quiet. The proxy can be opened again.
func (p *Proxy) Close() {
	p.mu.Lock()
	if p.listener != nil {
		p.stop()
		_ = p.listener.Close()
		for conn := range p.conns {
			_ = conn.Close()
		}
		p.listener, p.conns = nil, nil
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept(ctx context.Context, listener net.Listener) {
	for {
		in, err := listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(ctx, in) })
	}
}

// serve carries one connection until both directions have ended.
func (p *Proxy) serve(ctx context.Context, in net.Conn) {
	defer p.track(in)()
	from, since := p.who(in), time.Now()
	if !p.network.pass(ctx, from, p.party, since) {
		return
	}
	dialer := net.Dialer{Timeout: dialLimit}
	out, err := dialer.DialContext(ctx, "tcp", p.target)
	if err != nil {
		if p.network.pass(ctx, p.party, from, since) {
			reset(in)
		}
		return
	}
	defer p.track(out)()
	var both sync.WaitGroup
	both.Go(func() { p.carry(ctx, from, p.party, in, out) })
	both.Go(func() { p.carry(ctx, p.party, from, out, in) })
	both.Wait()
}

// track registers a connection for Close, or closes it if that came first, and returns what ends it.
func (p *Proxy) track(conn net.Conn) (untrack func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		_ = conn.Close()
		return func() {}
	}
	p.conns[conn] = struct{}{}
	return func() {
		_ = conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
	}
}
