package ops

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

const (
	// observeBound is the silence after which a member counts as dead.
	observeBound = time.Second
	// observeFresh is how old a first answer may be when the last one has come; older ones are asked for again, so that
	// a member that hangs does not make the proofs of the others stale.
	observeFresh = ProbeAge / 4
	// observeSettle is how long members may differ about the list or the leader before it counts: after a change they
	// apply it one after the other.
	observeSettle = 500 * time.Millisecond
	// observeElection is how long a leader is waited for where enough voters answer to elect one: elections take one to two
	// seconds with etcd's own settings, and begin anew when votes are split.
	observeElection = 3 * time.Second
	// observePatience is how long members that are late are asked again where others, or we ourselves, are late too.
	observePatience = 5 * time.Second
	// observePause is the time between two looks at such a difference.
	observePause = 50 * time.Millisecond
	// observeURLs bounds what a member list can make us connect to.
	observeURLs = 64
	// probeKey is what etcdctl's endpoint health reads too, so that roles which allow that allow this.
	probeKey = "health"
)

// Observe looks at every member once: at Config's endpoints and at the client URLs that members advertise, all at once.
// A voter counts as live when it answers as itself, follows the leader of the latest term, and brings a linearizable
// read to it and back: both directions between them are proven. Nothing that is sent becomes a proposal (a login does).
// It takes at most a second for each member that hangs, and more only where there is evidence that what it shows passes by
// itself: members differ, enough answer to elect a leader, or answers are slow on all sides.
//
// The error is that of the endpoints when none of them gave a member list; a silent member is data.
func (c *Cluster) Observe(ctx context.Context) (Observation, error) {
	begun := time.Now()
	for {
		o, err := c.observeOnce(ctx)
		if err != nil || time.Since(begun) >= o.passes(time.Now()) {
			return o, err
		}
		if err := hold(ctx, observePause); err != nil {
			return o, err
		}
	}
}

// hold waits, or returns why ctx ended.
func hold(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return &HintError{Class: ClassInterrupted, Op: "wait", Err: context.Cause(ctx)}
	}
}

// glance is what one client URL answered.
type glance struct {
	url    string
	list   *Membership // the member's own copy
	secret error       // why it does not give that
	status *Status
	asked  time.Time // when the status was asked for
	took   time.Duration
	read   error // of the linearizable read
	err    error // why there is no status
}

// observer asks URLs and follows the member lists that come back.
type observer struct {
	c       *Cluster
	pending sync.WaitGroup

	mu   sync.Mutex
	seen []*glance
}

func (c *Cluster) observeOnce(ctx context.Context) (Observation, error) {
	o := &observer{c: c}
	begun := time.Now()
	o.ask(ctx, c.cfg.Endpoints, true)
	o.pending.Wait()
	if ctx.Err() != nil {
		return Observation{}, &HintError{Class: ClassInterrupted, Op: "observe the cluster", Err: context.Cause(ctx)}
	}
	first, err := o.conclude()
	if err != nil {
		return Observation{}, err
	}
	late := time.Since(begun) > observeFresh
	for _, g := range o.seen {
		if g.status != nil && (late || g.status.Learner) { // a learner is asked after the leader's commit is known
			o.pending.Go(func() { o.again(ctx, g) })
		}
	}
	o.pending.Wait()
	last, err := o.conclude()
	if err != nil {
		return Observation{}, err
	}
	out := o.observation(last)
	if first.leader != nil && first.leader.MemberID == out.Leader {
		out.Commit = first.leader.RaftIndex // recorded before the learners were asked
	}
	return out, nil
}

// ask looks at each URL that was not looked at yet.
func (o *observer) ask(ctx context.Context, urls []string, given bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, url := range urls {
		if o.known(url) || given && o.c.left(url) || len(o.seen) >= max(observeURLs, len(o.c.cfg.Endpoints)) || !given && o.c.exposes(url) {
			continue
		}
		g := &glance{url: url}
		o.seen = append(o.seen, g)
		o.pending.Go(func() { o.look(ctx, g) })
	}
}

func (o *observer) known(url string) bool {
	for _, g := range o.seen {
		if g.url == strings.TrimRight(url, "/") {
			return true
		}
	}
	return false
}

// exposes reports whether asking an advertised URL would send credentials in the clear that the given endpoints keep
// secret.
func (c *Cluster) exposes(url string) bool {
	return c.cfg.Auth != (Auth{}) && strings.HasPrefix(url, "http://") && strings.HasPrefix(c.cfg.Endpoints[0], "https://")
}

// leave keeps Observe from asking a member that is being removed: a server that applied its own removal panics when it is
// asked for its status before it has ended. A new member may have the same URLs.
func (c *Cluster) leave(m MemberState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil {
		c.gone = map[MemberID][]string{}
	}
	c.gone[m.ID] = append(slices.Clone(m.ClientURLs), m.URL)
}

// rejoin takes leave back.
func (c *Cluster) rejoin(id MemberID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.gone, id)
}

// left reports whether a URL is that of a member that was removed.
func (c *Cluster) left(url string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, urls := range c.gone {
		if slices.Contains(urls, strings.TrimRight(url, "/")) {
			return true
		}
	}
	return false
}

// removed reports whether a member was removed through this Cluster.
func (c *Cluster) removed(id MemberID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone[id] != nil
}

// look asks one URL everything at once.
func (o *observer) look(whole context.Context, g *glance) {
	ctx, cancel := context.WithTimeout(whole, observeBound)
	defer cancel()
	conn, err := o.c.Conn(ctx, g.url)
	if err != nil {
		g.err = err
		return
	}
	var requests sync.WaitGroup
	requests.Go(func() {
		list, err := ReadMembership(ctx, conn)
		if err != nil {
			g.secret = o.c.Explain(ctx, "list members of", g.url, err)
			return
		}
		g.list = &list
		for _, m := range list.Members {
			if !o.c.removed(m.ID) {
				o.ask(whole, m.ClientURLs, false)
			}
		}
	})
	requests.Go(func() { o.probe(ctx, conn, g) })
	requests.Wait()
}

// again repeats the proof of life; a member that fails it now counts as dead.
func (o *observer) again(ctx context.Context, g *glance) {
	ctx, cancel := context.WithTimeout(ctx, observeBound/2)
	defer cancel()
	conn, err := o.c.Conn(ctx, g.url)
	if err != nil {
		g.status, g.err = nil, err
		return
	}
	o.probe(ctx, conn, g)
}

// probe reads the status, and as linearizable as this member can.
func (o *observer) probe(ctx context.Context, conn *grpc.ClientConn, g *glance) {
	var read sync.WaitGroup
	read.Go(func() {
		_, err := pb.NewKVClient(conn).Range(clientv3.WithRequireLeader(ctx), &pb.RangeRequest{Key: []byte(probeKey), CountOnly: true})
		if errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) {
			err = nil // etcd looks at permissions after the read itself was confirmed
		}
		g.read = err
	})
	asked := time.Now()
	status, err := ReadStatus(ctx, conn)
	answered := time.Now()
	read.Wait()
	if err != nil {
		g.status, g.err = nil, o.c.Explain(ctx, "read status of", g.url, err)
		return
	}
	g.status, g.asked, g.err = &status, asked, nil
	g.took = max(g.took, answered.Sub(asked))
}
