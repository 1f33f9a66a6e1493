package ops

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

var errClosed = errors.New("the connection was closed by this program")

// dialFunc is what gRPC calls to open a connection.
type dialFunc = func(ctx context.Context, address string) (net.Conn, error)

// link is the connection to one endpoint, with the record of its latest attempt to connect.
type link struct {
	ep        endpoint
	transport *transport
	conn      *grpc.ClientConn
	client    *clientv3.Client // on conn; nil for a bare connection

	mu      sync.Mutex
	latest  *attempt      // nil before the first
	failed  *attempt      // the one before it, if that failed
	started chan struct{} // closed when the next attempt starts
}

// link returns the endpoint's link, made if need be.
func (c *Cluster) link(ctx context.Context, text string) (*link, error) {
	ep, err := parseEndpoint(text, c.cfg.TLS.Enabled())
	if err != nil {
		return nil, err
	}
	return c.once(ep, c.links, func() (*link, error) {
		err := c.addLink(ctx, ep)
		return c.links[ep.text], err
	})
}

// once returns the endpoint's link among those given, and has it made if there is none; it holds the lock meanwhile.
func (c *Cluster) once(ep endpoint, among map[string]*link, makeLink func() (*link, error)) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &HintError{Op: "connect to", Member: ep.text, Err: errClosed}
	}
	if l := among[ep.text]; l != nil {
		return l, nil
	}
	return makeLink()
}

// addLink makes a link; the caller holds the lock or is the only one to know c.
func (c *Cluster) addLink(ctx context.Context, ep endpoint) error {
	if c.links[ep.text] != nil {
		return nil
	}
	l := &link{ep: ep, transport: c.transport, started: make(chan struct{})}
	client, err := c.newClient(ctx, []string{ep.text}, ep.secure, l.dial)
	if err != nil {
		return err
	}
	// Upstream's Maintenance opens a connection of its own for each call that names an endpoint: this one has it.
	client.Maintenance = clientv3.NewMaintenanceFromMaintenanceClient(
		clientv3.RetryMaintenanceClient(client, client.ActiveConnection()), client)
	l.client, l.conn = client, client.ActiveConnection()
	c.links[ep.text] = l
	return nil
}

// dialShared finds the endpoint of an address that the shared client wants to reach, so that its attempts are recorded
// there too. An address that no endpoint has (clientv3's Sync adds such) follows the first endpoint.
func (c *Cluster) dialShared(secure bool) dialFunc {
	known := make(map[string]endpoint, len(c.links))
	for _, l := range c.links {
		known[l.ep.address] = l.ep
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		address = strings.TrimPrefix(strings.TrimPrefix(address, "unix:"), "//")
		ep, ok := known[address]
		if !ok {
			var err error
			if ep, err = parseEndpoint(address, secure); err != nil {
				return nil, err
			}
		}
		return c.transport.dial(ctx, newAttempt(ep, c.transport.timeout))
	}
}

// dial opens a connection for gRPC and keeps its record.
func (l *link) dial(ctx context.Context, _ string) (net.Conn, error) {
	a := newAttempt(l.ep, l.transport.timeout)
	l.mu.Lock()
	l.failed = nil
	if l.latest != nil && l.latest.failed() {
		l.failed = l.latest
	}
	l.latest = a
	close(l.started)
	l.started = make(chan struct{})
	l.mu.Unlock()
	return l.transport.dial(ctx, a)
}

// connect waits until the endpoint has answered on a connection, or an attempt has failed. An attempt under way is
// joined, but its failure with files that were replaced meanwhile is not told; after a failed one a new one is made at
// once.
func (l *link) connect(ctx context.Context) error {
	if l.conn.GetState() == connectivity.Ready {
		return nil
	}
	a, started := l.current()
	joined := a != nil
	for {
		if a == nil {
			if a = l.begin(ctx, started); a == nil {
				return l.gaveUp(ctx, nil)
			}
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return l.gaveUp(ctx, a)
		}
		_, err, _ := a.result()
		switch {
		case err == nil:
			return l.ready(ctx, a)
		case !joined || !l.transport.files.replacedSince(a):
			return l.explain(ctx, a)
		}
		joined = false
		a, started = l.current()
	}
}

// begin has gRPC make an attempt now, and returns it; nil when the context ends before.
func (l *link) begin(ctx context.Context, started <-chan struct{}) *attempt {
	l.conn.Connect()
	l.conn.ResetConnectBackoff()
	select {
	case <-started:
	case <-ctx.Done():
		return nil
	}
	a, _ := l.record()
	return a
}

// ready waits until gRPC, which reads the answer's first frame after the record was settled, agrees.
func (l *link) ready(ctx context.Context, a *attempt) error {
	waitCtx, cancel := context.WithTimeout(ctx, l.transport.timeout)
	defer cancel()
	conn := l.conn
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.Shutdown || !conn.WaitForStateChange(waitCtx, state) {
			return l.gaveUp(waitCtx, a)
		}
	}
	return nil
}

// current returns the attempt to wait for, nil when the last one is over; started tells of the next.
func (l *link) current() (a *attempt, started <-chan struct{}) {
	a, started = l.record()
	if a != nil && !a.live() {
		a = nil
	}
	return a, started
}

// record returns the latest attempt, nil before the first; started tells of the next.
func (l *link) record() (*attempt, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest, l.started
}

// before returns the failed attempt that a, just begun, repeats; nil when a has gone on for long enough to speak for
// itself, or is the first.
func (l *link) before(a *attempt) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a != l.latest || a.age() > l.transport.timeout/2 {
		return nil
	}
	return l.failed
}
