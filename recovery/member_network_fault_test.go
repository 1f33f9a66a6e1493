package recovery_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestFaultLearnerStalls: the network between the new member and all others breaks while it is filled. It is taken back, the
// others have their majority all the time, and once the network is mended the run goes on.
func TestFaultLearnerStalls(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	judge := l.write(t, l.Members[0], l.Members[1])
	l.kill(t, "m3")
	o := l.order("m3")
	o.Stall = 3 * time.Second
	err := l.recover(t, o, func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point != "before-act:sync:m3" {
				return
			}
			waitFor(t, func() bool { return servesPeers(t, l.Members[2]) }) // before that it would end instead of waiting
			l.Isolate(t, "m3")
			// What is committed from here on cannot have reached it.
			if _, err := l.Members[0].Client(t).Put(t.Context(), "cut", "x"); err != nil {
				t.Error(err)
			}
		}
	})
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassResumable || !strings.Contains(err.Error(), "no progress") {
		t.Fatalf("a learner that is cut off: %v", err)
	}
	l.takenBack(t)
	l.Heal()
	if err := l.recover(t, l.order(), nil); err != nil {
		t.Fatal(err)
	}
	l.whole(t, 3)
	judge()
}

// servesPeers reports whether a member answers other members, whoever started it.
func servesPeers(t *testing.T, m *clustertest.Member) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(clustertest.Context(t, time.Second), http.MethodGet, m.PeerURL+"/members", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// takenBack fails the test unless two voters are left that can write, and m3 is stopped and masked.
func (l *lab) takenBack(t *testing.T) {
	t.Helper()
	l.whole(t, 2)
	if _, err := l.Members[0].Client(t).Put(clustertest.Context(t, time.Minute), "after", "x"); err != nil {
		t.Error(err)
	}
	if st, err := l.node("m3").Status(t.Context()); err != nil || st.Running || !st.Masked {
		t.Errorf("the member that was taken back: %+v %v", st, err)
	}
}

// TestFaultPartitionedLeader: the leader is cut off from the others, which elect another; clients still reach both sides. As a
// survivor it makes every plan be refused; as the target it is replaced.
func TestFaultPartitionedLeader(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	old := l.WaitLeader(t, l.Members...)
	var rest []*clustertest.Member
	for _, m := range l.Members {
		if m != old {
			rest = append(rest, m)
		}
	}
	judge := l.write(t, rest...)
	l.Isolate(t, old.Name)
	l.leaderless(t, old.Name)
	l.refused(t, l.order(rest[0].Name), recovery.CodeDisagree)
	violated := l.watchInvariant(t, old.Name)
	err := l.recover(t, l.order(old.Name), func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point == "before-act:set-aside:"+old.Name {
				l.Heal() // the new member needs the network
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := violated(); v != "" {
		t.Error(v)
	}
	l.whole(t, 3)
	judge()
}

// TestFaultOneWayPartition: a follower hears nobody, or nobody hears it. It answers clients, and its vote cannot be counted on.
func TestFaultOneWayPartition(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	leader := l.WaitLeader(t, l.Members...)
	var follower, other *clustertest.Member
	for _, m := range l.Members {
		if m != leader {
			follower, other = m, follower
		}
	}
	judge := l.write(t, leader, other)
	for name, cut := range map[string]func(m string){
		"it hears nobody": func(m string) { l.Cut(t, m, follower.Name) },
		"nobody hears it": func(m string) { l.Cut(t, follower.Name, m) },
	} {
		cut(leader.Name)
		cut(other.Name)
		l.leaderless(t, follower.Name)
		l.refused(t, l.order(other.Name), recovery.CodeDisagree)
		l.Heal()
		l.settle(t, 3)
		if t.Failed() {
			t.Fatalf("%s", name)
		}
	}
	l.Cut(t, follower.Name, leader.Name)
	l.Cut(t, follower.Name, other.Name)
	l.leaderless(t, follower.Name)
	err := l.recover(t, l.order(follower.Name), func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point == "before-act:set-aside:"+follower.Name {
				l.Heal()
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	l.whole(t, 3)
	judge()
}

// leaderless waits until a member is seen to answer without taking part, while the two others do.
func (l *lab) leaderless(t *testing.T, name string) {
	t.Helper()
	l.waitSeen(t, func(seen ops.Observation) bool {
		live, cut := 0, false
		for _, m := range seen.Members {
			switch {
			case m.Condition == ops.Live:
				live++
			case m.Name == name:
				cut = m.Condition == ops.Leaderless
			}
		}
		return live == 2 && cut
	})
}
