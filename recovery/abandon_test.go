package recovery_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// abandon kills an operator that recovers m3 at a boundary, and has another one give the operation up.
func (l *lab) abandon(t *testing.T, killAt string) error {
	t.Helper()
	o := l.order("m3")
	o.KillAt = killAt
	if _, err := l.operate(t, o); !errors.Is(err, errKilled) {
		t.Fatalf("killed at %s: %v", killAt, err)
	}
	_, err := l.operate(t, order{Config: l.config(), State: l.state.Path, Specs: l.specs, Abandon: true})
	return err
}

// ended fails the test unless the newest operation ended so, and nothing is left to be resumed.
func (l *lab) ended(t *testing.T, state string) {
	t.Helper()
	found, _, err := l.state.Operations()
	if err != nil || len(found) == 0 || found[len(found)-1].State != state {
		t.Errorf("operations: %+v %v, want the last one %q", found, err, state)
	}
	if err := l.recover(t, l.order(), nil); ops.CodeOf(err) != recovery.CodeNothing {
		t.Errorf("resumed after that: %v", err)
	}
}

// left fails the test unless m3 is out: no member, stopped, masked, its directories empty.
func (l *lab) left(t *testing.T, old ops.MemberID) {
	t.Helper()
	l.settle(t, 2)
	l.whole(t, 2)
	if _, there := l.observe(t).Membership().ByID(old); there {
		t.Errorf("%s is a member still", old)
	}
	st, err := l.node("m3").Status(t.Context())
	if err != nil || st.Running || !st.Masked || !st.Empty {
		t.Errorf("the machine of a member that was removed: %+v %v", st, err)
	}
}

// id is the ID that m3 has.
func (l *lab) id(t *testing.T) ops.MemberID {
	t.Helper()
	for _, m := range l.observe(t).Membership().Members {
		if m.Name == "m3" {
			return m.ID
		}
	}
	t.Fatal("m3 is no member")
	return 0
}

// TestAbandonGivesBackTheQuorum: a member was stopped to be replaced, the operator was killed, and then another member died.
// Nothing can be removed or added any more; the member that was stopped starts again with its data, and there is a quorum.
func TestAbandonGivesBackTheQuorum(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	judge := l.write(t, l.Members[0])
	id := l.id(t)
	o := l.order("m3")
	o.KillAt = "after-act:stop:m3"
	if _, err := l.operate(t, o); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	l.kill(t, "m2", "m3") // m3 is off already
	if err := l.recover(t, order{Config: l.config(), State: l.state.Path, Specs: l.specs, Abandon: true}, nil); err != nil {
		t.Fatal(err)
	}
	l.WaitLeader(t, l.Members[0], l.Members[2])
	if now := l.id(t); now != id {
		t.Errorf("m3 is %s, was %s", now, id)
	}
	l.ended(t, "abandoned")
	if err := l.node("m2").Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Members[1].WaitServing(t)
	judge()
	l.settle(t, 3)
	l.whole(t, 3)
}

// TestAbandonLeavesTheRemovedOut: the learner of a recovery leaves again, and what was removed does not come back: neither with
// the data that were set aside, nor with those that the learner received.
func TestAbandonLeavesTheRemovedOut(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3, TLS: true, Auth: &clustertest.Auth{}})
	judge := l.write(t, l.Members[0], l.Members[1])
	old := l.id(t)
	l.kill(t, "m3")
	if err := l.abandon(t, "after-act:start:m3"); err != nil {
		t.Fatal(err)
	}
	l.left(t, old)
	l.ended(t, "abandoned")
	found, _, err := l.state.Operations()
	if err != nil || len(found) != 1 || len(found[0].Asides) < 3 {
		t.Errorf("set aside: %+v %v, want data, log, and what the learner received", found, err)
	}
	l.revive(t, found[0])
	l.rejoin(t)
	l.Members[2].WaitServing(t)
	judge()
	l.settle(t, 3)
	l.whole(t, 3)
}

// revive starts m3 with its old data, as somebody who knows no better: the cluster must refuse it.
func (l *lab) revive(t *testing.T, op recovery.Operation) {
	t.Helper()
	n := l.node("m3")
	if err := errors.Join(n.PutBack(t.Context(), op.Name), n.Unmask(t.Context()), n.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { st, err := n.Status(t.Context()); return err == nil && !st.Running }) // etcd ends: "removed"
	l.settle(t, 2)
	l.whole(t, 2)
	if err := errors.Join(n.Mask(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := n.SetAside(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
}

// rejoin adds m3 by hand.
func (l *lab) rejoin(t *testing.T) {
	t.Helper()
	client := l.Client(t)
	ctx := clustertest.Context(t, time.Minute)
	var added *clientv3.MemberAddResponse
	waitFor(t, func() (done bool) {
		resp, err := client.MemberAddAsLearner(ctx, []string{l.Members[2].PeerURL})
		added = resp
		return err == nil
	})
	var cluster []string
	for _, m := range added.Members {
		name := m.Name
		if m.ID == added.Member.ID {
			name = "m3"
		}
		cluster = append(cluster, name+"="+m.PeerURLs[0])
	}
	n := l.node("m3")
	err := n.Configure(ctx, []recovery.Setting{
		{Name: "initial-cluster", Value: strings.Join(cluster, ",")},
		{Name: "initial-cluster-state", Value: "existing"},
	})
	if err := errors.Join(err, n.Unmask(ctx), n.Start(ctx)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		_, err := client.MemberPromote(ctx, added.Member.ID)
		return err == nil
	})
	waitFor(t, func() bool {
		seen := l.observe(t)
		m, ok := seen.ByID(ops.MemberID(added.Member.ID))
		return ok && m.Condition == ops.Live && !m.Learner
	})
}

// TestLongAbandonAnywhere gives an operation up after a kill at boundaries of its journal, and kills the one who gives up too.
func TestLongAbandonAnywhere(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	judge := l.write(t, l.Members[0], l.Members[1])
	for _, c := range []struct {
		at      string
		killed  string // where the one who gives up is killed
		resumed bool   // the operation is gone on with after that
	}{
		{at: "before-act:stop:m3"},
		{at: "after-act:stop:m3", killed: "after-act:release:m3"},
		{at: "after-act:stop:m3", killed: "after-act:release:m3", resumed: true},
		{at: "before-act:remove:m3", killed: "before-act:release:m3"},
		{at: "after-act:remove:m3"},
		{at: "after-act:set-aside:m3"},
		{at: "after-act:add:m3", killed: "before-act:expel:m3", resumed: true},
		{at: "after-act:add:m3", killed: "after-act:expel:m3"},
		{at: "after-act:start:m3", killed: "after-act:expel:m3", resumed: true},
	} {
		t.Logf("%+v", c)
		old := l.id(t)
		o := l.order("m3")
		o.KillAt = c.at
		if _, err := l.operate(t, o); !errors.Is(err, errKilled) {
			t.Fatalf("killed at %s: %v", c.at, err)
		}
		up := order{Config: l.config(), State: l.state.Path, Specs: l.specs, Abandon: true, KillAt: c.killed}
		if _, err := l.operate(t, up); c.killed != "" && !errors.Is(err, errKilled) || c.killed == "" && err != nil {
			t.Fatalf("given up at %s: %v", c.killed, err)
		}
		if c.resumed {
			if _, err := l.operate(t, l.order()); err != nil {
				t.Fatalf("gone on with after all: %v", err)
			}
			l.settle(t, 3)
			l.whole(t, 3)
			continue
		}
		if up.KillAt = ""; c.killed != "" {
			if _, err := l.operate(t, up); err != nil {
				t.Fatalf("given up again: %v", err)
			}
		}
		l.ended(t, "abandoned")
		if _, there := l.observe(t).Membership().ByID(old); there {
			l.Members[2].WaitServing(t)
		} else {
			l.left(t, old)
			l.rejoin(t)
		}
		l.settle(t, 3)
		l.whole(t, 3)
		if t.Failed() {
			return
		}
	}
	// A voter is not taken back: what is left is to verify.
	if err := l.abandon(t, "after-act:promote:m3"); err == nil || !strings.Contains(err.Error(), string(recovery.CodeNoWayBack)) {
		t.Errorf("given up after the promotion: %v", err)
	}
	if _, err := l.operate(t, l.order()); err != nil {
		t.Fatal(err)
	}
	judge()
}
