package ops

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Cluster is a connection to a cluster: one connection to each endpoint asked for, and a client that spreads its
// requests over all of Config's endpoints. It is safe for concurrent use.
type Cluster struct {
	cfg       Config
	transport *transport
	token     *tokenSource
	all       *clientv3.Client

	mu     sync.Mutex
	links  map[string]*link      // clients of one endpoint, by endpoint as given
	lines  map[string]*link      // bare connections to one endpoint: see Conn
	gone   map[MemberID][]string // client URLs of members that were removed: see leave
	closed bool
}

// Dial connects to all endpoints at once and returns as soon as one has answered: it let this client in and speaks
// HTTP/2, which costs one connection and no request. With Auth.User set, the user is then authenticated, once for the
// whole Cluster.
//
// The error is a *HintError. It names the failed stage of every endpoint, and its code is the endpoints' common one, or
// CodeNoEndpoint where they fail for different reasons. Files of the TLS set-up are checked first, before any
// connection. ctx bounds the dialling only.
func Dial(ctx context.Context, cfg Config) (*Cluster, error) {
	c, err := newCluster(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := c.connectAny(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// newCluster checks cfg and prepares everything that needs no network.
func newCluster(ctx context.Context, cfg Config) (*Cluster, error) {
	c, endpoints, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	for _, ep := range endpoints {
		if err := c.addLink(ctx, ep); err != nil {
			return nil, err
		}
	}
	if err := c.addShared(ctx, endpoints[0].secure); err != nil {
		return nil, err
	}
	return c, nil
}

// prepare checks cfg and the files that it names.
func prepare(cfg Config) (*Cluster, []endpoint, error) {
	cfg = cfg.withDefaults()
	if len(cfg.Endpoints) == 0 {
		return nil, nil, &HintError{
			Code: CodeBadEndpoint, Class: ClassUsage, Op: "connect", Err: errNoEndpoints,
			Hint: "name the members' client URLs: --endpoints https://HOST:2379",
		}
	}
	if err := cfg.Auth.check(); err != nil {
		return nil, nil, err
	}
	c := &Cluster{
		cfg:       cfg,
		transport: &transport{files: &tlsFiles{cfg: cfg.TLS}, timeout: cfg.DialTimeout},
		links:     make(map[string]*link, len(cfg.Endpoints)),
		lines:     make(map[string]*link),
	}
	c.token = &tokenSource{auth: cfg.Auth, token: cfg.Auth.Token, timeout: cfg.CommandTimeout}
	endpoints := make([]endpoint, len(cfg.Endpoints))
	for i, text := range cfg.Endpoints {
		ep, err := parseEndpoint(text, cfg.TLS.Enabled())
		if err != nil {
			return nil, nil, err
		}
		if ep.secure {
			if _, err := c.transport.files.get(); err != nil {
				return nil, nil, err
			}
		}
		cfg.Endpoints[i], endpoints[i] = ep.text, ep
	}
	return c, endpoints, nil
}

// withDefaults fills in what is zero, on a copy.
func (cfg Config) withDefaults() Config {
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&cfg.DialTimeout, 2 * time.Second},
		{&cfg.CommandTimeout, 5 * time.Second},
		{&cfg.KeepAliveTime, 2 * time.Second},
		{&cfg.KeepAliveTimeout, 6 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if cfg.MaxSendBytes <= 0 {
		cfg.MaxSendBytes = 2 << 20
	}
	if cfg.MaxRecvBytes <= 0 {
		cfg.MaxRecvBytes = math.MaxInt32
	}
	return cfg
}

// addShared makes the client over all endpoints. It connects on its first request, not before; with one endpoint it is
// that endpoint's own client.
func (c *Cluster) addShared(ctx context.Context, secure bool) error {
	if len(c.links) == 1 {
		for _, l := range c.links {
			c.all = l.client
		}
		return nil
	}
	client, err := c.newClient(ctx, c.cfg.Endpoints, secure, c.dialShared(secure))
	c.all = client
	return err
}

// newClient makes a client that connects through the recording transport and carries the Cluster's token. It opens no
// connection yet.
func (c *Cluster) newClient(ctx context.Context, endpoints []string, secure bool, dial dialFunc) (*clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		DialTimeout:          c.cfg.DialTimeout,
		DialKeepAliveTime:    c.cfg.KeepAliveTime,
		DialKeepAliveTimeout: c.cfg.KeepAliveTimeout,
		MaxCallSendMsgSize:   c.cfg.MaxSendBytes,
		MaxCallRecvMsgSize:   c.cfg.MaxRecvBytes,
		Context:              context.WithoutCancel(ctx), // the client outlives the dialling
		Logger:               zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(dial),
			grpc.WithTransportCredentials(clientCreds{transport: c.transport, secure: secure}),
			grpc.WithPerRPCCredentials(c.token),
			grpc.WithChainUnaryInterceptor(c.token.unary),
			grpc.WithChainStreamInterceptor(c.token.stream),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare client of %s: %w", strings.Join(endpoints, ","), err)
	}
	return client, nil
}

// connectAny waits until one endpoint has answered, or all have failed.
func (c *Cluster) connectAny(ctx context.Context) error {
	waitCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		i    int
		link *link
		err  error
	}
	outcomes := make(chan outcome, len(c.cfg.Endpoints))
	for i, text := range c.cfg.Endpoints {
		l := c.links[text]
		go func() { outcomes <- outcome{i, l, l.connect(waitCtx)} }()
	}
	failures := make([]error, len(c.cfg.Endpoints))
	for range c.cfg.Endpoints {
		o := <-outcomes
		if o.err == nil {
			return c.token.ensure(ctx, o.link)
		}
		failures[o.i] = o.err
	}
	return joinFailures(c.cfg.Endpoints, failures)
}

// Client returns the client over all endpoints of Config, for callers that need etcd's whole API. It belongs to the
// Cluster: do not close it.
func (c *Cluster) Client() *clientv3.Client { return c.all }

// Config returns the settings in use, defaults filled in.
func (c *Cluster) Config() Config {
	cfg := c.cfg
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	return cfg
}

// At returns a client of one endpoint alone, which need not be one of Config's, once that endpoint has answered; the
// methods of its Maintenance ignore their endpoint argument and ask this member. Connections are kept and shared
// between calls. The client belongs to the Cluster: do not close it.
//
// The error is a *HintError that names the stage that failed; when ctx ends first, the stage that it ended in.
func (c *Cluster) At(ctx context.Context, endpoint string) (*clientv3.Client, error) {
	l, err := c.link(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	if err := c.token.ensure(ctx, l); err != nil {
		return nil, err
	}
	return l.client, nil
}

// Close ends all connections. Requests under way fail.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var first error
	closeOne := func(client *clientv3.Client) {
		if err := client.Close(); err != nil && first == nil && !isCanceled(err) {
			first = err
		}
	}
	for _, l := range c.links {
		closeOne(l.client)
	}
	if c.all != nil && len(c.links) > 1 {
		closeOne(c.all)
	}
	for _, l := range c.lines {
		if err := l.conn.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
