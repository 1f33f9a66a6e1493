package clustertest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest/network"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
)

// Options says what a cluster looks like. The zero value is one member of upstream's etcd without TLS.
type Options struct {
	Size  int      // members, 1 to 7; default 1
	Kind  Kind     // what the members run
	Kinds []Kind   // what each member runs, instead of Kind; its length is then the size
	TLS   bool     // client and peer TLS, both with client certificates demanded
	Auth  *Auth    // users, with authentication on
	Args  []string // more arguments of every member, after the harness's own

	// Skew gives each member's wall clock an offset, and makes Member.SetSkew work; missing ones are 0. The programs are
	// built for it: half a minute the first time, a second from then on.
	Skew []time.Duration

	ClientProxy bool // put a proxy before the client URLs too, so that links of Clients can be cut
}

// Cluster is a cluster of real members, each a process of its own.
type Cluster struct {
	Members []*Member // in the order of their names m1, m2, ...
	TLS     *TLS      // nil without TLS
	Auth    *Auth     // nil without authentication
	Dir     string    // holds all files of the cluster; removed at the end of the test

	opts    Options
	run     string // name of the test run, in every member's environment
	token   string // --initial-cluster-token
	network *network.Network
	callers callers
}

// New starts a cluster and waits until every member serves. It ends with the test.
func New(tb testing.TB, opts Options) *Cluster {
	tb.Helper()
	c := NewUnstarted(tb, opts)
	c.Start(tb)
	return c
}

// NewUnstarted lays a cluster out without starting it, for tests that change its members first.
func NewUnstarted(tb testing.TB, opts Options) *Cluster {
	tb.Helper()
	opts.setDefaults(tb)
	c := &Cluster{Dir: tb.TempDir(), opts: opts, network: network.New(), run: runName(tb)}
	c.token = c.run + "-" + strconv.FormatUint(rand.Uint64(), 36)
	if opts.TLS {
		c.TLS = newTLS(tb, c.Dir)
	}
	for _, kind := range opts.Kinds {
		c.newMember(tb, kind)
	}
	for i, offset := range opts.Skew {
		c.Members[i].SetSkew(tb, offset)
	}
	for _, m := range c.Members {
		m.InitialCluster = c.initialCluster(c.Members...)
		m.InitialState = "new"
	}
	tb.Cleanup(func() { c.cleanUp(tb) })
	return c
}

func (o *Options) setDefaults(tb testing.TB) {
	tb.Helper()
	if len(o.Kinds) == 0 {
		for range max(o.Size, 1) {
			o.Kinds = append(o.Kinds, o.Kind)
		}
	}
	if len(o.Kinds) > 7 || len(o.Skew) > len(o.Kinds) {
		tb.Fatalf("a cluster has 1 to 7 members, not %d, and at most as many clocks, not %d", len(o.Kinds), len(o.Skew))
	}
}

// Start starts all members, waits until each serves, and turns authentication on if the options ask for it.
func (c *Cluster) Start(tb testing.TB) {
	tb.Helper()
	for _, m := range c.Members {
		m.Launch(tb)
	}
	for _, m := range c.Members {
		m.WaitReady(tb)
	}
	if c.opts.Auth != nil {
		c.enableAuth(tb, *c.opts.Auth)
	}
}

// Endpoints lists the client URLs of all members.
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, m := range c.Members {
		urls = append(urls, m.ClientURL)
	}
	return urls
}

// Member returns the member of that name.
func (c *Cluster) Member(tb testing.TB, name string) *Member {
	tb.Helper()
	for _, m := range c.Members {
		if m.Name == name {
			return m
		}
	}
	tb.Fatalf("no member %q in this cluster", name)
	return nil
}

// newMember lays out the next member.
func (c *Cluster) newMember(tb testing.TB, kind Kind) *Member {
	tb.Helper()
	host := newHost(tb.Context())
	m := &Member{
		Name:    fmt.Sprintf("m%d", len(c.Members)+1),
		Kind:    kind,
		Host:    host,
		program: kind.program(tb, c.opts.Skew != nil),
		cluster: c,
	}
	dir := filepath.Join(c.Dir, m.Name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatalf("make directory of member: %v", err)
	}
	m.DataDir = filepath.Join(dir, "data")
	m.LogFile = filepath.Join(dir, "log")
	c.callers.expect(m.DataDir, m.Name)
	m.listenClient, m.listenPeer = reserve(tb, host), reserve(tb, host)
	client := m.listenClient
	if c.opts.ClientProxy {
		client = c.proxy(tb, m, m.listenClient)
	}
	m.ClientURL = c.scheme() + "://" + client
	m.PeerURL = c.scheme() + "://" + c.proxy(tb, m, m.listenPeer)
	if c.TLS != nil {
		m.files = c.TLS.member(tb, m)
	}
	c.Members = append(c.Members, m)
	return m
}

func (c *Cluster) scheme() string {
	if c.TLS != nil {
		return "https"
	}
	return "http"
}

// initialCluster is the value of --initial-cluster for the given members.
func (c *Cluster) initialCluster(members ...*Member) string {
	var pairs []string
	for _, m := range members {
		pairs = append(pairs, m.Name+"="+m.PeerURL)
	}
	return strings.Join(pairs, ",")
}

// cleanUp ends all members; of a failed test it shows what they logged last.
func (c *Cluster) cleanUp(tb testing.TB) {
	tb.Helper()
	for _, m := range c.Members {
		m.Kill(tb)
		if tb.Failed() {
			tb.Logf("last lines of the log of %s:\n%s", m.Name, m.logTail())
		}
	}
}

// TLS is the certificates of a cluster.
type TLS struct {
	CA         *pki.CA // signed everything below and each member's certificates
	CACert     string  // CA.CertFile
	ClientCert string  // a client's certificate and key
	ClientKey  string
}

func newTLS(tb testing.TB, dir string) *TLS {
	tb.Helper()
	ca := pki.NewCA(tb, pki.CAOptions{Dir: dir})
	cert, key := ca.Client(tb, pki.CertOptions{Name: "clustertest"})
	return &TLS{CA: ca, CACert: ca.CertFile, ClientCert: cert, ClientKey: key}
}

// memberFiles are the certificates of one member.
type memberFiles struct{ serverCert, serverKey, peerCert, peerKey string }

func (c *TLS) member(tb testing.TB, m *Member) *memberFiles {
	tb.Helper()
	opts := pki.CertOptions{Name: m.Name, Hosts: []string{m.Host, "127.0.0.1", "localhost"}}
	var f memberFiles
	// The gateway inside a member calls the member as a client, with the server's certificate.
	f.serverCert, f.serverKey = c.CA.Peer(tb, opts)
	f.peerCert, f.peerKey = c.CA.Peer(tb, opts)
	return &f
}
