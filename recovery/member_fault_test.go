package recovery_test

import (
	"errors"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestFaultFiveWithTwoDead: both are removed before one is added, and the tolerance never falls below the start.
func TestFaultFiveWithTwoDead(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 5})
	judge := l.write(t, l.Members[:3]...)
	l.kill(t, "m4", "m5")
	lowest, voters := 9, 0
	err := l.recover(t, l.order("m4", "m5"), func(run *recovery.MemberRun) {
		lowest = run.Journal.Plan.Quorum.Worst.Tolerance
		for _, s := range run.Journal.Plan.Steps {
			if s.Kind == recovery.StepAdd {
				voters = max(voters, s.After.Voters)
				break
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if lowest != 0 || voters != 3 {
		t.Errorf("tolerance at worst %d, voters at the first add %d; want 0 and 3", lowest, voters)
	}
	l.whole(t, 5)
	judge()
}

// TestFaultWrongPeerURL: the new member cannot come up at the address given; it is taken back, and the next run, with
// nothing else to be mended, says so again: the cluster keeps its majority all the time.
func TestFaultWrongPeerURL(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	l.kill(t, "m3")
	o := l.order("m3")
	o.PeerURLs, o.Stall = []string{"http://127.0.0.1:1"}, 3*time.Second
	err := l.recover(t, o, nil)
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassResumable {
		t.Fatalf("a wrong peer URL: %v", err)
	}
	t.Log(err)
	seen := l.observe(t)
	if len(seen.Members) != 2 {
		t.Errorf("%d members are left, want 2", len(seen.Members))
	}
	if _, err := l.Client(t).Put(t.Context(), "after", "x"); err != nil {
		t.Error(err)
	}
	if st, err := l.node("m3").Status(t.Context()); err != nil || st.Running || !st.Masked {
		t.Errorf("the member that was taken back: %+v %v", st, err)
	}

	// A run that is killed while it waits, and resumed, is not taken in by a member that has all the data and cannot be reached.
	killed := l.order()
	killed.KillAt, killed.Stall = "before-act:sync:m3", 3*time.Second
	if _, err := l.operate(t, killed); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	resumed := l.order()
	resumed.Stall = 3 * time.Second
	if err := l.recover(t, resumed, nil); err == nil {
		t.Error("a member that nobody can reach was made a voter")
	}
	if seen := l.observe(t); len(seen.Members) != 2 {
		t.Errorf("%d members are left, want 2", len(seen.Members))
	}

	// With the right address it goes on.
	resumed.PeerURLs = []string{l.Members[2].PeerURL}
	if err := l.recover(t, resumed, nil); err != nil {
		t.Fatal(err)
	}
	l.whole(t, 3)
}
