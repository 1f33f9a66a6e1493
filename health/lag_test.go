package health_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// TestBurst writes 5,000 entries as fast as it can and looks all the while: a lag of even one entry is reported only where
// the samples prove it, which they do when the follower was asked after the leader had answered.
func TestBurst(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	writes := 5000
	if testing.Short() {
		writes = 1000
	}
	client := c.Client(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		burst(t, client, writes)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	looks, lags := 0, 0
	for over := false; !over; looks++ {
		select {
		case <-done:
			over = true
		case <-tick.C:
		}
		facts := collect(t, at(c.Endpoints()...), patient(health.DepthFast))
		r := health.Evaluate(facts, health.Policy{
			Only: []string{"raft.lag"}, Limits: map[string]health.Limits{"raft.lag": {Warn: 1}},
		})
		for _, f := range r.Findings {
			if f.Severity < health.SeverityWarning {
				continue
			}
			lags++
			m := member(t, r, f.Member)
			if m.Lag == nil || !proven(facts, m.ID, *m.Lag) {
				t.Errorf("look %d: %s: %s: no samples prove it", looks, f.Member, f.Message)
			}
		}
	}
	t.Logf("%d looks, %d times a follower lacked something", looks, lags)
	if looks < 2 {
		t.Error("it was not looked at meanwhile")
	}
	r := judge(t, collect(t, at(c.Endpoints()...), patient(health.DepthFast)), nil)
	if f := found(r, "raft.lag"); len(f) > 0 {
		t.Errorf("after the burst: %+v", f)
	}
}

// burst writes n keys, a hundred at a time.
func burst(t *testing.T, client *clientv3.Client, n int) {
	t.Helper()
	ctx := clustertest.Context(t, 4*limit)
	const writers = 100
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := w; i < n; i += writers {
				if _, err := client.Put(ctx, fmt.Sprintf("burst%06d", i), "v"); err != nil {
					t.Errorf("write: %v", err)
					return
				}
			}
		})
	}
	writing.Wait()
}

// proven reports whether a member was asked after the leader had told of that many more entries.
func proven(facts health.Facts, id ops.MemberID, lag uint64) bool {
	var leader, own []health.StatusAnswer
	for _, e := range facts.Endpoints {
		for _, s := range e.Statuses {
			switch {
			case s.Status == nil:
			case s.Status.MemberID == id:
				own = append(own, s)
			case s.Status.MemberID == s.Status.Leader:
				leader = append(leader, s)
			}
		}
	}
	return slices.ContainsFunc(own, func(f health.StatusAnswer) bool {
		return slices.ContainsFunc(leader, func(l health.StatusAnswer) bool {
			return l.SentUS+l.TookUS <= f.SentUS && l.Status.RaftIndex >= f.Status.RaftIndex+lag
		})
	})
}

// TestPausedFollower stops a follower's process while much is written. Paused, it is named as hung; when it goes on, and
// its way to the others is cut so that it cannot catch up unseen, its lag is named; when it has caught up, nothing is.
func TestPausedFollower(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	r := look(t, at(c.Endpoints()...))
	m, leader := following(t, c, r)[0], leading(t, c, r).Client(t)
	m.Pause(t)
	c.Isolate(t, m.Name)
	burst(t, leader, 1500)
	r = lookFor(clustertest.Context(t, limit), t, at(c.Endpoints()...), 5*time.Second)
	if got := member(t, r, m.Name); got.State != health.StateHung || got.Lag != nil {
		t.Errorf("paused: %+v", got)
	}
	if f := found(r, "reachability"); len(f) != 1 || f[0].Member != m.Name {
		t.Errorf("paused: %+v", f)
	}
	m.Resume(t)
	r = look(t, at(c.Endpoints()...))
	if f := found(r, "raft.lag"); len(f) != 1 || f[0].Severity < health.SeverityWarning || f[0].Member != m.Name ||
		!strings.Contains(f[0].Message, "entries behind the leader") {
		t.Errorf("resumed: %+v", f)
	}
	c.Heal()
	until(t, "the follower to catch up", func(context.Context) (bool, error) {
		r := judge(t, collect(t, at(c.Endpoints()...), patient(health.DepthFast)), nil) //nolint:contextcheck // it has a limit of its own
		return len(found(r, "raft.lag")) == 0 && member(t, r, m.Name).State == health.StateOK, nil
	})
}
