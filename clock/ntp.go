package clock

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/beevik/ntp"
)

// ntpSamples is how often a time server is asked: they limit how often one may.
const ntpSamples = 3

// timeServer reads a time server as one more clock, the true one. What the server says of its own distance from the true
// time widens the bounds.
func (a *audit) timeServer(ctx context.Context) Reading {
	r := Reading{Name: a.opts.NTP, Truth: true, Series: []Series{}, Failures: []Failure{}}
	series := Series{Source: KindNTP, URL: a.opts.NTP}
	a.gate.wait(ctx)
	for range min(ntpSamples, a.opts.Samples) {
		s, err := a.askTimeServer(ctx)
		if err != nil {
			r.Failures = append(r.Failures, Failure{Source: KindNTP, URL: a.opts.NTP, Cause: cause(err, a.opts.Bound)})
			break
		}
		series.Samples = append(series.Samples, s)
	}
	if len(series.Samples) > 0 {
		r.Series = append(r.Series, series)
	}
	return r
}

func (a *audit) askTimeServer(ctx context.Context) (Sample, error) {
	var sent, received int64
	resp, err := ntp.QueryWithOptions(a.opts.NTP, ntp.QueryOptions{
		Timeout: a.opts.Bound,
		Dialer: func(_, remote string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: a.opts.Bound}).DialContext(ctx, "udp", remote)
			if err != nil {
				return nil, err
			}
			return &timedConn{Conn: conn, watch: a.watch, sent: &sent, received: &received}, nil
		},
	})
	if err != nil {
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			err = fmt.Errorf("no answer for %s", a.opts.Bound)
		}
		return Sample{}, err
	}
	if err := resp.Validate(); err != nil {
		return Sample{}, fmt.Errorf("it is no use as a time source: %w", err)
	}
	told, err := a.watch.stamp(resp.Time)
	if err != nil {
		return Sample{}, err
	}
	doubt := int64(resp.RootDelay/2 + resp.RootDispersion + resp.Precision)
	return Sample{SentNS: sent, ReceivedNS: received, FirstNS: told + doubt, LastNS: told - doubt}, nil
}

// timedConn notes when a datagram went and when the answer came.
type timedConn struct {
	net.Conn
	watch          stopwatch
	sent, received *int64
}

// Write implements net.Conn.
func (c *timedConn) Write(p []byte) (int, error) {
	*c.sent = c.watch.now()
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *timedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	*c.received = c.watch.now()
	return n, err
}
