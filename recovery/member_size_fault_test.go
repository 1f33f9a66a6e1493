package recovery_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestFaultSevenWithThreeDead: all that may be dead are. Nothing is added before all of them are removed, and at no step can
// the cluster lose less than at the start.
func TestFaultSevenWithThreeDead(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 7})
	judge := l.write(t, l.Members[0], l.Members[1])
	l.kill(t, "m5", "m6", "m7")
	var plan *recovery.Plan
	err := l.recover(t, l.order("m5", "m6", "m7"), func(run *recovery.MemberRun) { plan = run.Journal.Plan })
	if err != nil {
		t.Fatal(err)
	}
	neverWeaker(t, plan)
	l.whole(t, 7)
	judge()
}

// TestFaultFourWithOneDead: an even number loses nothing by the removal: three of three can lose one more than three of four.
func TestFaultFourWithOneDead(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 4})
	judge := l.write(t, l.Members[0], l.Members[1])
	l.kill(t, "m4")
	var plan *recovery.Plan
	err := l.recover(t, l.order("m4"), func(run *recovery.MemberRun) { plan = run.Journal.Plan })
	if err != nil {
		t.Fatal(err)
	}
	neverWeaker(t, plan)
	l.whole(t, 4)
	judge()
}

// neverWeaker fails the test if at some step the cluster can lose fewer than at the start, or a member is added while a dead
// one is still in the list.
func neverWeaker(t *testing.T, plan *recovery.Plan) {
	t.Helper()
	var added bool
	for _, s := range plan.Steps {
		if s.After.Tolerance < plan.Quorum.Now.Tolerance {
			t.Errorf("after %q the cluster can lose %d, %d at the start", s.Text, s.After.Tolerance, plan.Quorum.Now.Tolerance)
		}
		added = added || s.Kind == recovery.StepAdd
		if added && s.Kind == recovery.StepRemove {
			t.Errorf("%q comes after a member was added", s.Text)
		}
	}
}

// TestFaultDeadLearnerAndDeadVoter: the learner would be in the way of the server's checks, and could come back at any moment.
func TestFaultDeadLearnerAndDeadVoter(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	learner := l.AddMember(t, clustertest.KindEtcd, true)
	learner.Kill(t)
	l.Members[2].Kill(t)
	l.settle(t, 2)
	l.refused(t, l.order("m3"), recovery.CodePending)

	// Nor can the way to a lost quorum be taken: the server would promote it.
	cluster, err := ops.Dial(t.Context(), l.config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	dead, err := l.observe(t).Membership().Find(learner.PeerURL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cluster.Change(t.Context(), ops.Change{Kind: ops.ChangePromote, Member: dead.ID}, ops.ChangeOptions{Accept: ops.RiskNames()})
	if ops.CodeOf(err) != ops.CodeQuorumLoss {
		t.Errorf("promotion of a dead learner beside a dead voter: %v", err)
	}
	if _, err := l.Client(t).Put(clustertest.Context(t, time.Minute), "after", "x"); err != nil {
		t.Error(err)
	}
}

// TestFaultOldServers: servers of 3.4 know learners, so that their members are replaced the same way.
func TestFaultOldServers(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3, Kind: clustertest.KindEtcd34})
	judge := l.write(t, l.Members[0], l.Members[1])
	l.kill(t, "m3")
	if err := l.recover(t, l.order("m3"), nil); err != nil {
		t.Fatal(err)
	}
	l.whole(t, 3)
	judge()
}

// TestFaultSameURLAtOnce: IDs of members are made of the peer URL and the second, and an ID that was removed never comes back.
// Here somebody adds and removes the very URL in the second in which it is added again.
func TestFaultSameURLAtOnce(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	l.kill(t, "m3")
	err := l.recover(t, l.order("m3"), func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point == "before-act:add:m3" {
				l.useUp(t, l.Members[2].PeerURL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	l.whole(t, 3)

	cluster, err := ops.Dial(t.Context(), l.config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	other := ops.Change{Kind: ops.ChangeAddLearner, Name: "m4", PeerURLs: []string{"http://127.0.0.1:1"}}
	l.useUp(t, other.PeerURLs[0])
	if _, err := cluster.Change(t.Context(), other, ops.ChangeOptions{}); err != nil {
		t.Errorf("member add: %v", err)
	}
}

// useUp adds a learner at a peer URL and removes it, early in a second.
func (l *lab) useUp(t *testing.T, peerURL string) {
	t.Helper()
	client := l.Client(t)
	ctx := clustertest.Context(t, time.Minute)
	waitFor(t, func() bool {
		begun := time.Now()
		added, err := client.MemberAddAsLearner(ctx, []string{peerURL})
		if err != nil {
			return false
		}
		if _, err := client.MemberRemove(ctx, added.Member.ID); err != nil {
			t.Fatal(err)
		}
		end := time.Now()
		return begun.Unix() == end.Unix() && end.Nanosecond() < int(700*time.Millisecond)
	})
}

// refused wants a refusal with a code, by which no member and no file changes.
func (l *lab) refused(t *testing.T, o order, code ops.Code) {
	t.Helper()
	l.refusedBy(t, code, func(ctx context.Context) error { return o.run(ctx, nil) })
}

func (l *lab) refusedBy(t *testing.T, code ops.Code, try func(context.Context) error) {
	t.Helper()
	members := l.observe(t).Membership()
	before := l.stopped(t)
	err := try(clustertest.Context(t, 2*time.Minute))
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassRefused || ops.CodeOf(err) != code {
		t.Errorf("%v, want a refusal with %s", err, code)
	}
	if now := l.observe(t).Membership(); !now.Equal(members) {
		t.Errorf("members changed: %+v", now)
	}
	if after := l.stopped(t); !maps.Equal(before, after) {
		t.Errorf("files of members that do not run changed: %v", err)
	}
}

// stopped is every file of the members that do not run, and how all members are started.
func (l *lab) stopped(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range l.Members {
		spec := l.specs[m.Name]
		if spec == "" {
			continue
		}
		for _, file := range []string{spec, spec + ".masked", spec + ".etcdops"} {
			data, err := os.ReadFile(file)
			out[file] = string(data)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		st, err := l.node(m.Name).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !st.Running {
			maps.Copy(out, l.files(t, m.DataDir))
		}
	}
	return out
}
