package recovery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/etcdops/etcdops/ops"
)

// Request is one member to be recovered: how it is named, and the machine that it is on.
type Request struct {
	Ref      string   // name, ID or URL
	Node     Node     // its machine
	Fenced   bool     // the operator swears that it is off and stays off
	PeerURLs []string // of the new member; those of the old one when empty
}

// MemberFacts is everything that a plan for recovering members depends on. It round-trips through JSON.
type MemberFacts struct {
	Observed ops.Observation `json:"observed"`
	DBSize   int64           `json:"db_size"` // bytes, the largest among the voters that answer
	Rights   string          `json:"rights"`  // why the user may not change the membership; empty when it may
	Targets  []TargetFacts   `json:"targets"`
}

// TargetFacts is what is known of one member to be recovered.
type TargetFacts struct {
	Ref       string      `json:"ref"`
	Found     bool        `json:"found"` // it names a member; otherwise Problem says why not
	Problem   string      `json:"problem"`
	Member    ops.Member  `json:"member"`
	PeerURLs  []string    `json:"peer_urls"` // of the new member
	Fenced    bool        `json:"fenced"`
	Survey    *Survey     `json:"survey"` // nil when the machine could not be looked at
	Status    *NodeStatus `json:"status"`
	NodeError string      `json:"node_error"` // why it could not
	Ports     []Port      `json:"ports"`
}

// Port is one address of a member, tried by a TCP connection.
type Port struct {
	URL   string    `json:"url"`
	State PortState `json:"state"`
}

// PortState is how an address answers a connection.
type PortState string

// The states of an address. Only a refusal, or a connection that is closed without a word, proves that no member listens
// there: the second is how a proxy or load balancer behaves that has nobody behind it.
const (
	PortOpen    PortState = "open"
	PortRefused PortState = "refused"
	PortClosed  PortState = "closed at once"
	PortSilent  PortState = "silent"
)

// off reports whether no member listens there.
func (s PortState) off() bool { return s == PortRefused || s == PortClosed }

// portBound is how long an address may take to answer: what neither answers nor refuses may live, and stops a recovery.
const portBound = 3 * time.Second

// CollectMember looks at the cluster and at the machines of the members to be recovered. It changes nothing. The error is
// that of the cluster's endpoints when none of them tells who the members are, and the end of ctx.
func CollectMember(ctx context.Context, cluster *ops.Cluster, requests []Request) (MemberFacts, error) {
	facts := MemberFacts{Targets: make([]TargetFacts, len(requests))}
	var err error
	if facts.Observed, err = cluster.Observe(ctx); err != nil {
		return facts, err
	}
	var looks sync.WaitGroup
	looks.Go(func() { facts.DBSize = databaseSize(ctx, cluster, facts.Observed) })
	looks.Go(func() { facts.Rights = rights(ctx, cluster, facts.Observed) })
	for i, r := range requests {
		looks.Go(func() { facts.Targets[i] = lookAtTarget(ctx, facts.Observed, r) })
	}
	looks.Wait()
	if ctx.Err() != nil {
		return facts, &ops.HintError{Class: ops.ClassInterrupted, Op: "collect facts", Err: context.Cause(ctx)}
	}
	// The first look is old by now when a machine was slow to answer, and a plan stands on proofs of a second.
	facts.Observed, err = cluster.Observe(ctx)
	return facts, err
}

func lookAtTarget(ctx context.Context, seen ops.Observation, r Request) TargetFacts {
	t := TargetFacts{Ref: r.Ref, Fenced: r.Fenced, PeerURLs: r.PeerURLs}
	m, err := seen.Membership().Find(r.Ref)
	if err != nil {
		t.Problem = err.Error()
		return t
	}
	t.Found, t.Member = true, m
	if len(t.PeerURLs) == 0 {
		t.PeerURLs = m.PeerURLs
	}
	survey, err := r.Node.Survey(ctx)
	if err == nil {
		t.Survey = &survey
		var status NodeStatus
		if status, err = r.Node.Status(ctx); err == nil {
			t.Status = &status
		}
	}
	if err != nil {
		t.NodeError = err.Error()
	}
	t.Ports = Ports(ctx, m)
	return t
}

// Ports tries all addresses of a member at once.
func Ports(ctx context.Context, m ops.Member) []Port {
	urls := slices.Concat(m.ClientURLs, m.PeerURLs)
	out := make([]Port, len(urls))
	var tries sync.WaitGroup
	for i, u := range urls {
		tries.Go(func() { out[i] = Port{u, tryPort(ctx, u)} })
	}
	tries.Wait()
	return out
}

func tryPort(ctx context.Context, text string) PortState {
	u, err := url.Parse(text)
	if err != nil || u.Port() == "" {
		return PortSilent
	}
	ctx, cancel := context.WithTimeout(ctx, portBound)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return PortRefused
	case err != nil:
		return PortSilent
	}
	defer func() { _ = conn.Close() }() // only asked
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return PortSilent
	}
	return firstWord(ctx, conn, u)
}

// firstWord says something and waits for any answer. What the answer is does not matter, nor whose it is: somebody lives.
func firstWord(ctx context.Context, conn net.Conn, u *url.URL) PortState {
	heard := &counter{Conn: conn}
	var err error
	if u.Scheme == "https" || u.Scheme == "unixs" {
		err = tls.Client(heard, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	} else {
		if _, err = fmt.Fprintf(heard, "GET /version HTTP/1.0\r\nHost: %s\r\n\r\n", u.Host); err == nil {
			_, err = heard.Read(make([]byte, 1))
		}
	}
	switch {
	case err == nil, heard.n > 0:
		return PortOpen
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return PortSilent
	}
	return PortClosed
}

// counter counts the bytes that are read.
type counter struct {
	net.Conn
	n int
}

// Read implements net.Conn.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += n
	return n, err
}

// databaseSize is the largest database among the voters that answer, 0 when none tells.
func databaseSize(ctx context.Context, cluster *ops.Cluster, seen ops.Observation) int64 {
	var size int64
	for _, m := range seen.Members {
		if m.Condition != ops.Live || m.Learner {
			continue
		}
		if s, err := statusAt(ctx, cluster, m.URL); err == nil {
			size = max(size, s.DBSize)
		}
	}
	return size
}

func statusAt(ctx context.Context, cluster *ops.Cluster, endpoint string) (ops.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, portBound)
	defer cancel()
	conn, err := cluster.Conn(ctx, endpoint)
	if err != nil {
		return ops.Status{}, err
	}
	s, err := ops.ReadStatus(ctx, conn)
	return s, cluster.Explain(ctx, "read status of", endpoint, err)
}

// rights says why the user may not change the membership. The request for a hash is refused for the same lack of rights as
// a change, commits nothing, and is needed at the end anyway.
func rights(ctx context.Context, cluster *ops.Cluster, seen ops.Observation) string {
	leader, ok := seen.ByID(seen.Leader)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.Config().CommandTimeout)
	defer cancel()
	client, err := cluster.At(ctx, leader.URL)
	if err == nil {
		// Far in the future: refused at once. A revision that is there would be hashed by reading all of the database, and the
		// leader takes no write meanwhile.
		_, err = client.HashKV(ctx, leader.URL, math.MaxInt64)
	}
	for _, denied := range []error{rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed, rpctypes.ErrInvalidAuthToken} {
		if errors.Is(rpctypes.Error(err), denied) {
			return cluster.Explain(ctx, "ask for a hash at", leader.URL, err).Error()
		}
	}
	return ""
}
