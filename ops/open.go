package ops

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Open is Dial without a connection: it checks the settings and the files, and connects to an endpoint when At or Conn
// asks for it. It is for callers to whom a member that does not answer is a finding, not a failure. Its Cluster has no
// Client over all endpoints.
func Open(cfg Config) (*Cluster, error) {
	c, _, err := prepare(cfg)
	return c, err
}

// Conn returns a bare gRPC connection to one endpoint, once that endpoint has answered: what At returns, without etcd's
// client around it, which costs a millisecond to set up and repeats requests by itself. Connections are kept and shared
// between calls; they belong to the Cluster. Errors are At's.
func (c *Cluster) Conn(ctx context.Context, endpoint string) (*grpc.ClientConn, error) {
	l, err := c.line(endpoint)
	if err != nil {
		return nil, err
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	if err := c.token.ensure(ctx, l); err != nil {
		return nil, err
	}
	return l.conn, nil
}

// line returns the endpoint's bare connection, made if need be.
func (c *Cluster) line(text string) (*link, error) {
	ep, err := parseEndpoint(text, c.cfg.TLS.Enabled())
	if err != nil {
		return nil, err
	}
	return c.once(ep, c.lines, func() (*link, error) {
		l, err := c.newLine(ep, 4<<10, 1<<20)
		if err == nil {
			c.lines[ep.text] = l
		}
		return l, err
	})
}

// newLine makes a bare connection with a buffer for reading and HTTP/2 windows of those sizes, in bytes.
func (c *Cluster) newLine(ep endpoint, buffer int, window int32) (*link, error) {
	l := &link{ep: ep, transport: c.transport, started: make(chan struct{})}
	conn, err := grpc.NewClient("passthrough:///"+ep.address,
		grpc.WithContextDialer(l.dial),
		grpc.WithTransportCredentials(clientCreds{transport: c.transport, secure: ep.secure}),
		grpc.WithPerRPCCredentials(c.token),
		grpc.WithChainUnaryInterceptor(c.token.unary),
		grpc.WithChainStreamInterceptor(c.token.stream),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(4<<10),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: c.cfg.KeepAliveTime, Timeout: c.cfg.KeepAliveTimeout}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallSendMsgSize(c.cfg.MaxSendBytes), grpc.MaxCallRecvMsgSize(c.cfg.MaxRecvBytes)),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare connection to %s: %w", ep.text, err)
	}
	l.conn = conn
	return l, nil
}

// known returns the link to an endpoint that was asked for before, nil when there is none.
func (c *Cluster) known(endpoint string) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	endpoint = strings.TrimSpace(endpoint)
	if l := c.links[endpoint]; l != nil {
		return l
	}
	return c.lines[endpoint]
}

// Served returns the certificates that the endpoint showed in the latest handshake, its own first, verified or not; nil
// when there was none.
func (c *Cluster) Served(endpoint string) []*x509.Certificate {
	l := c.known(endpoint)
	if l == nil {
		return nil
	}
	a, _ := l.record()
	if a == nil {
		return nil
	}
	chain, _, _, _ := a.snapshot()
	return chain
}
