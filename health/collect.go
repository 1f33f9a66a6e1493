package health

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/ops"
)

// Options bound a collection. Zero values mean the defaults.
type Options struct {
	// Bound is the silence after which an endpoint is given up; default 1 s. A collection takes two fifths longer at most
	// once its last endpoint is known; endpoints that only a slow answer names are asked from then on.
	Bound time.Duration
	// Settle is how long a disagreement about the leader may last before it counts as more than an election; default
	// a fifth of Bound.
	Settle time.Duration
	// Depth is how much is asked; default DepthFast.
	Depth Depth
	// Window is the time between two looks at the metrics; 0 means one look. The collection takes that much longer.
	Window time.Duration
	// Earlier is what members said before, for progress and rates; a Window replaces it.
	Earlier *Earlier
	// PeerURLs tells the peer URLs of a member by one of its client URLs, beside those that member lists name; nil knows none.
	PeerURLs func(client string) []string
	// HashBound is the time that the members have for each hash of all their data; default 30 s.
	HashBound time.Duration
}

func (o Options) withDefaults() Options {
	if o.Bound <= 0 {
		o.Bound = time.Second
	}
	if o.Settle <= 0 {
		o.Settle = o.Bound / secondLook
	}
	if o.HashBound <= 0 {
		o.HashBound = 30 * time.Second
	}
	return o
}

const (
	// secondLook is the part of Bound, one in so many, that a second look may take.
	secondLook = 5
	// maxEndpoints bounds what a member list can make us connect to.
	maxEndpoints = 64
	// maxAnswer bounds one answer in bytes: the largest honest one is a member list of some KB.
	maxAnswer = 4 << 20
)

// Collect asks the given endpoints, and every client URL that their members advertise, all at once. A silent endpoint
// is a fact, not an error: the error tells of settings that cannot be used, before anything is asked, or of the end of
// ctx. Nothing that is sent becomes a raft proposal, except the login of Config.Auth.User.
func Collect(ctx context.Context, cfg ops.Config, opts Options) (Facts, error) {
	opts = opts.withDefaults()
	cfg.DialTimeout, cfg.CommandTimeout, cfg.MaxRecvBytes = opts.Bound, opts.Bound, maxAnswer
	cfg.Endpoints = normalize(cfg.Endpoints, cfg.TLS.Enabled())
	cluster, err := ops.Open(cfg)
	if err != nil {
		return Facts{}, err
	}
	if opts.Window > 0 {
		opts.Earlier = lookBefore(ctx, cluster, cfg, opts)
	}
	c := newCollector(cluster, cfg, opts)
	c.ask(ctx, cfg.Endpoints, true)
	c.pending.Wait()
	c.lookAgain(ctx)
	if opts.Depth >= DepthDeep {
		c.hash(ctx)
	}
	facts := c.facts()
	facts.Earlier = opts.Earlier
	if opts.Depth >= DepthNormal {
		facts.Files, facts.Clock, facts.Kernel = c.files(), c.clocks, clock.LocalKernel()
	}
	_ = cluster.Close() // what was collected stands, whatever becomes of the connections
	if ctx.Err() != nil {
		return facts, &ops.HintError{Class: ops.ClassInterrupted, Op: "collect facts", Err: context.Cause(ctx)}
	}
	return facts, nil
}

// lookAgain asks a second time where the first look leaves open what a moment may settle.
func (c *collector) lookAgain(ctx context.Context) {
	tellSilent := c.askSilent(ctx)
	defer tellSilent()
	v := newView(c.facts())
	if !v.unsettled() {
		return
	}
	c.settle(ctx, v)
	c.resample(ctx)
	if v.listsDiffer() {
		c.listAgain(ctx)
	}
}

func newCollector(cluster *ops.Cluster, cfg ops.Config, opts Options) *collector {
	return &collector{
		cluster: cluster, cfg: cfg, opts: opts, takenAt: time.Now(), asked: map[string]*Endpoint{}, peers: map[string]*Peer{},
	}
}

// lookBefore makes the first of two looks and waits for the rest of the window.
func lookBefore(ctx context.Context, cluster *ops.Cluster, cfg ops.Config, opts Options) *Earlier {
	opts.Depth = DepthNormal
	c := newCollector(cluster, cfg, opts)
	c.light = true
	c.ask(ctx, cfg.Endpoints, true)
	c.pending.Wait()
	rest := time.NewTimer(opts.Window - time.Since(c.takenAt))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	return c.facts().AsEarlier(time.Since(c.takenAt))
}

// normalize writes endpoints as members advertise them, so that one address is asked once: http://host:port.
func normalize(endpoints []string, secure bool) []string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	var out []string
	for _, e := range endpoints {
		e = strings.TrimRight(strings.TrimSpace(e), "/")
		if e != "" && !strings.Contains(e, "://") && !strings.HasPrefix(e, "unix") {
			e = scheme + e
		}
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// facts puts down what was collected: the given endpoints in their order, then the others by URL.
func (c *collector) facts() Facts {
	f := Facts{
		Schema: FactsSchema, TakenAt: c.takenAt.UTC().Round(0), TookUS: c.now(), BoundUS: c.opts.Bound.Microseconds(),
		Depth: c.opts.Depth, LoggedIn: c.cfg.Auth.User != "", NotAsked: c.notAsked, Endpoints: []Endpoint{},
	}
	order := func(e *Endpoint) int {
		if at := slices.Index(c.cfg.Endpoints, e.URL); at >= 0 {
			return at
		}
		return len(c.cfg.Endpoints)
	}
	list := make([]*Endpoint, 0, len(c.asked))
	for _, e := range c.asked {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *Endpoint) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.URL, b.URL))
	})
	for _, e := range list {
		f.Endpoints = append(f.Endpoints, *e)
	}
	for _, url := range slices.Sorted(maps.Keys(c.peers)) {
		f.Peers = append(f.Peers, *c.peers[url])
	}
	return f
}

// unsettled reports whether a second look would tell more than the first: members differ about the leader or about who the
// members are, a follower had less than the leader had at another moment, or a read found no leader.
func (v *view) unsettled() bool {
	if v.split() || v.listsDiffer() {
		return true
	}
	for _, m := range v.members {
		if lag, _, known := v.lag(m); known && lag > 0 {
			return true
		}
		if slices.ContainsFunc(m.answered, (*Endpoint).leaderless) {
			return true
		}
	}
	return false
}

// split reports whether members differ about the leader, or know none.
func (v *view) split() bool {
	common, unanimous := v.belief((*member).first)
	return !unanimous || common.leader == 0 && common.term != 0
}

// listsDiffer reports whether members know different member lists.
func (v *view) listsDiffer() bool {
	return slices.ContainsFunc(v.ownLists(), func(e *Endpoint) bool { return !e.Members.Membership.Equal(*v.list) })
}

// leaderless reports whether a linearizable read found no leader, or nobody who answered in time.
func (e *Endpoint) leaderless() bool {
	f := e.Linearizable.failed()
	return f != nil && (f.Kind == KindNoLeader || f.Kind == KindHung)
}

// settle waits while the first samples differ about the leader or the members: an election and a change of the membership
// end within moments, a fault does not. The
// time that passed since the first samples counts.
func (c *collector) settle(ctx context.Context, v *view) {
	if !v.split() && !v.listsDiffer() {
		return
	}
	var last int64
	for _, m := range v.members {
		if s := m.first(); s != nil {
			last = max(last, s.SentUS+s.TookUS)
		}
	}
	timer := time.NewTimer(c.opts.Settle - time.Duration(c.now()-last)*time.Microsecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
