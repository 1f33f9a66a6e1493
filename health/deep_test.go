package health_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// patient are the options of tests: the machine may be busy.
func patient(depth health.Depth) health.Options {
	return health.Options{Bound: 10 * time.Second, Depth: depth}
}

func collect(t *testing.T, cfg ops.Config, opts health.Options) health.Facts {
	t.Helper()
	facts, err := health.Collect(clustertest.Context(t, limit), cfg, opts)
	if err != nil {
		t.Fatalf("collect: %v", err)
	}
	return facts
}

// judge evaluates with limits that a busy machine does not reach.
func judge(t *testing.T, facts health.Facts, limits map[string]health.Limits) health.Report {
	t.Helper()
	all := map[string]health.Limits{
		"read.latency": {}, "disk.fsync": {}, "disk.commit": {}, "peer.roundtrip": {}, "grpc.latency": {}, "apply.slow": {}, "proposals.pending": {},
	}
	maps.Copy(all, limits)
	r := health.Evaluate(facts, health.Policy{Limits: all, Skip: []string{"read.index", "leader.heartbeats"}})
	t.Logf("%s", tell(r, true))
	return r
}

// found returns the findings of one check.
func found(r health.Report, check string) []health.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f health.Finding) bool { return f.Check != check })
}

func check(t *testing.T, r health.Report, id string) health.CheckReport {
	t.Helper()
	at := slices.IndexFunc(r.Checks, func(c health.CheckReport) bool { return c.ID == id })
	if at < 0 {
		t.Fatalf("no check %s", id)
	}
	return r.Checks[at]
}

// write puts keys until the returned function is called, which tells how many there were.
func write(t *testing.T, c *clustertest.Cluster, writers int) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	clients := make([]*clientv3.Client, 3)
	for i := range clients {
		clients[i] = c.Client(t)
	}
	var written atomic.Int64
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				// The same keys again and again, so that a hash stays as cheap as it was.
				if _, err := clients[w%len(clients)].Put(ctx, fmt.Sprintf("k%d-%d", w, n%16), "v"); err == nil {
					written.Add(1)
				}
			}
		})
	}
	return func() int {
		cancel()
		writing.Wait()
		return int(written.Load())
	}
}

// put writes some keys.
func put(t *testing.T, client *clientv3.Client, n int, prefix string) {
	t.Helper()
	for i := range n {
		if _, err := client.Put(clustertest.Context(t, limit), fmt.Sprintf("%s%06d", prefix, i), "value"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEverythingIsSeen wants every check of metrics, hashes and progress to find what it looks for on a real cluster: a
// metric whose name is wrong would be unknown for ever.
func TestEverythingIsSeen(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true, Args: []string{"--metrics=extensive"}})
	cfg := at(c.Endpoints()...)
	cfg.TLS = tlsOf(c)
	first := collect(t, cfg, patient(health.DepthNormal))
	start := time.Now()
	stop := write(t, c, 4)
	defer stop()
	var r health.Report
	until(t, "round trips between the peers", func(context.Context) (bool, error) { // the prober sends one every four seconds
		opts := patient(health.DepthDeep)
		opts.Earlier = first.AsEarlier(time.Since(start))
		r = judge(t, collect(t, cfg, opts), nil) //nolint:contextcheck // it has a limit of its own
		return check(t, r, "peer.roundtrip").Unknown == 0, nil
	})
	here := []string{"disk.space", "member.strict", "backup.age", "clock.ntp"} // what a library does not know
	for _, c := range r.Checks {
		if c.Skipped == "left out on request" {
			continue
		}
		if (c.Unknown > 0 || c.Looked == 0) != slices.Contains(here, c.ID) || c.Skipped != "" {
			t.Errorf("%s: looked %d, unknown %d, %s", c.ID, c.Looked, c.Unknown, c.Skipped)
		}
	}
	if r.Severity != health.SeverityOK {
		t.Errorf("verdict %s", r.Severity)
	}
}

// TestHashesUnderLoad looks again and again while keys are written and history is compacted: no member differs.
func TestHashesUnderLoad(t *testing.T) {
	t.Parallel()
	hashesUnderLoad(t, 15)
}

// TestLongHashesUnderLoad does so a hundred times.
func TestLongHashesUnderLoad(t *testing.T) {
	t.Parallel()
	clustertest.Long(t)
	hashesUnderLoad(t, 100)
}

func hashesUnderLoad(t *testing.T, rounds int) {
	t.Helper()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	start := time.Now()
	stop := write(t, c, 256)
	client := c.Client(t)
	compared := 0
	for i := range rounds {
		facts := collect(t, at(c.Endpoints()...), patient(health.DepthDeep))
		r := health.Evaluate(facts, health.Policy{Only: []string{"data.hash", "data.keys"}})
		for _, f := range r.Findings {
			if f.Severity >= health.SeverityWarning {
				t.Errorf("round %d: %s %s: %s", i, f.Check, f.Member, f.Message)
			}
		}
		if check(t, r, "data.hash").Looked == 3 {
			compared++
		}
		if i%5 == 4 {
			revision := facts.Endpoints[0].Statuses[0].Status.Revision
			if _, err := client.Compact(clustertest.Context(t, limit), revision-1); err != nil {
				t.Fatal(err)
			}
		}
	}
	total := stop()
	// How many a second it comes to is the machine's affair, and told: the promise is about 1,000, which an idle one passes.
	t.Logf("%d writes meanwhile, %.0f a second; %d of %d rounds compared all members", total, float64(total)/time.Since(start).Seconds(), compared, rounds)
	if total == 0 || compared < rounds/2 {
		t.Errorf("%d writes, %d of %d rounds compared", total, compared, rounds)
	}
}

// TestEditedDatabase changes a value in one member's database, then takes a key out of it, and wants that member named.
func TestEditedDatabase(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	put(t, c.Client(t), 20, "key")
	edited := func(m *clustertest.Member, change func(*bbolt.Bucket) error) health.Report {
		m.Stop(t)
		edit(t, m, change)
		m.Start(t)
		return judge(t, collect(t, at(c.Endpoints()...), patient(health.DepthDeep)), nil)
	}
	m := c.Members[1]
	r := edited(m, func(keys *bbolt.Bucket) error {
		k, v := keys.Cursor().First()
		return keys.Put(k, []byte(strings.Replace(string(v), "value", "VALUE", 1)))
	})
	want(t, r, health.SeverityCritical, "data.hash "+m.Name)
	r = edited(m, func(keys *bbolt.Bucket) error {
		k, _ := keys.Cursor().First()
		return keys.Delete(k)
	})
	want(t, r, health.SeverityCritical, "data.hash "+m.Name, "data.keys "+m.Name)
}

// TestStuckLearner cuts a learner off while much is written: too short a time tells nothing, long enough warns.
func TestStuckLearner(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	learner := c.AddMember(t, clustertest.KindEtcd, true)
	c.Isolate(t, learner.Name)
	put(t, c.Members[0].Client(t), 300, "k")
	cfg := at(c.Members[0].ClientURL, learner.ClientURL)
	opts := patient(health.DepthNormal)
	opts.Window = 200 * time.Millisecond
	facts := collect(t, cfg, opts)
	f := found(judge(t, facts, nil), "learner.progress")
	if len(f) != 1 || f[0].Severity != health.SeverityUnknown || !strings.Contains(f[0].Message, "too short") {
		t.Errorf("after an instant: %+v", f)
	}
	f = found(judge(t, facts, map[string]health.Limits{"learner.progress": {Warn: 0.1}}), "learner.progress")
	if len(f) != 1 || f[0].Severity != health.SeverityWarning || f[0].Member != learner.Name || f[0].Next == "" {
		t.Errorf("beyond the limit: %+v", f)
	}
	c.Heal()
	until(t, "the learner to catch up", func(context.Context) (bool, error) {
		f = found(judge(t, collect(t, cfg, patient(health.DepthFast)), nil), "learner.progress") //nolint:contextcheck // it has a limit of its own
		return len(f) == 1 && f[0].Severity == health.SeverityInfo && strings.Contains(f[0].Message, "may be promoted"), nil
	})
}

// TestLag cuts a follower off while 1,500 entries are written and wants its lag named.
func TestLag(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	r := look(t, at(c.Endpoints()...))
	m, leader := following(t, c, r)[0], leading(t, c, r).Client(t)
	c.Isolate(t, m.Name)
	burst(t, leader, 1500)
	r = look(t, at(c.Endpoints()...))
	f := found(r, "raft.lag")
	if len(f) != 1 || f[0].Severity < health.SeverityWarning || f[0].Member != m.Name {
		t.Errorf("%+v", f)
	}
	if lag := member(t, r, m.Name).Lag; lag == nil || *lag < 1000 {
		t.Errorf("lag of %s: %v", m.Name, lag)
	}
}
