package recovery_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestRecoverOneOfThree is the whole of it: TLS, users, a separate WAL directory, a writer that never stops.
func TestRecoverOneOfThree(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3, TLS: true, Auth: &clustertest.Auth{}})
	judge := l.write(t, l.Members[0], l.Members[1])
	violated := l.watchInvariant(t, "m3")
	if err := os.Chmod(l.Members[2].DataDir, 0o710); err != nil { // as nobody would invent it
		t.Fatal(err)
	}
	l.kill(t, "m3")
	if err := l.recover(t, l.order("m3"), nil); err != nil {
		t.Fatal(err)
	}
	if v := violated(); v != "" {
		t.Error(v)
	}
	l.whole(t, 3)
	judge()
	if info, err := os.Stat(l.Members[2].DataDir); err != nil || info.Mode().Perm() != 0o710 {
		t.Errorf("the mode of the new directory: %v %v", info, err)
	}
	survey, err := l.node("m3").Survey(t.Context())
	if err != nil || survey.Setting("initial-cluster-state") != "existing" {
		t.Errorf("the next start: %v %v", survey.Settings, err)
	}
	found, _, err := l.state.Operations()
	if err != nil || len(found) != 1 || found[0].State != "done" || len(found[0].Asides) != 2 {
		t.Errorf("operations: %+v %v", found, err)
	}
	// It comes back from a restart with what it has now.
	if err := errors.Join(l.node("m3").Stop(t.Context()), l.node("m3").Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	l.Members[2].WaitServing(t)
	l.whole(t, 3)
}

// TestSuiteSeesSkippedRemove: the suite must fail when the old ID is not removed.
func TestSuiteSeesSkippedRemove(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	violated := l.watchInvariant(t, "m3")
	l.kill(t, "m3")
	ctx, stop := context.WithCancel(t.Context())
	err := l.order("m3").run(ctx, func(run *recovery.MemberRun) {
		run.Unsafe.SkipRemove = true
		run.Fault = func(point string) {
			if point == "before-act:add:m3" {
				stop()
			}
		}
	})
	if err == nil {
		t.Error("it went on to the end")
	}
	if violated() == "" {
		t.Error("a directory was set aside under a registered ID, and the suite did not see it")
	}
}

// TestRefusedWithNothingChanged: refusals leave members and files as they are.
func TestRefusedWithNothingChanged(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	dir := filepath.Dir(l.specs["m1"])
	before, members := l.files(t, dir), l.observe(t).Membership()
	refused := func(name string, code ops.Code, o order) {
		t.Helper()
		err := l.recover(t, o, nil)
		hint, ok := errors.AsType[*ops.HintError](err)
		if !ok || hint.Class != ops.ClassRefused || ops.CodeOf(err) != code {
			t.Errorf("%s: %v, want a refusal with %s", name, err, code)
		}
		if now := l.observe(t).Membership(); !now.Equal(members) {
			t.Errorf("%s: members changed: %+v", name, now)
		}
	}
	refused("unknown member", recovery.CodeNoTarget, l.order("m9"))
	wrong := l.order("m3")
	wrong.Specs = maps.Clone(l.specs)
	wrong.Specs["m3"] = l.specs["m2"]
	refused("another member's machine", recovery.CodeForeign, wrong)

	l.kill(t, "m2", "m3")
	refused("no quorum", recovery.CodeNoQuorum, l.order("m3"))
	if after := l.files(t, dir); !maps.Equal(before, after) {
		t.Errorf("files changed: %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
	if entries, err := os.ReadDir(l.state.Path); err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), ".db") }) {
		t.Errorf("a refused run left %v %v", entries, err)
	}
}

// TestRefusesOneVoter: there is nobody to take the data from.
func TestRefusesOneVoter(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 1})
	if err := l.recover(t, l.order("m1"), nil); ops.CodeOf(err) != recovery.CodeNoQuorum {
		t.Error(err)
	}
}

// TestDryRunChangesNothing: planning changes not one byte or member.
func TestDryRunChangesNothing(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	l.kill(t, "m3")
	dir := filepath.Dir(l.Members[2].DataDir)
	before, members := l.files(t, dir), l.observe(t).Membership()
	cluster, err := ops.Dial(t.Context(), l.config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	indexBefore := l.observe(t).Commit
	plan, err := l.order("m3").plan(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Quorum.Worst.Tolerance != 0 || plan.Quorum.After.Tolerance != 1 || len(plan.Steps) != 9 {
		t.Errorf("%+v", plan)
	}
	if seen := l.observe(t); !seen.Membership().Equal(members) || seen.Commit != indexBefore {
		t.Errorf("the cluster changed: index %d, before %d", seen.Commit, indexBefore)
	}
	if after := l.files(t, dir); !maps.Equal(before, after) {
		t.Errorf("files changed: %v, before %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}

	// The plan is stale once the cluster is not as it was: here the target came back.
	l.Members[2].Start(t)
	_, _, err = l.state.BeginMember(t.Context(), cluster, plan, l.order("m3").requests())
	if ops.CodeOf(err) != recovery.CodeStale {
		t.Errorf("a stale plan: %v", err)
	}
	plan.Steps[0].Text = "something else"
	if _, _, err = l.state.BeginMember(t.Context(), cluster, plan, l.order("m3").requests()); ops.CodeOf(err) != recovery.CodePlan {
		t.Errorf("a plan that was edited: %v", err)
	}
}

// TestTwoOperators: one works, the other is refused, on one machine and on two.
func TestTwoOperators(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	l.kill(t, "m3")
	elsewhere := l.order("m3")
	elsewhere.State = t.TempDir()
	var same, other error
	err := l.recover(t, l.order("m3"), func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point == "before-intent:stop:m3" {
				same = l.order("m3").run(t.Context(), nil)
				other = elsewhere.run(t.Context(), func(run *recovery.MemberRun) { run.Me.Host = "elsewhere" })
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"of the same machine": same, "of another": other} {
		if ops.CodeOf(err) != recovery.CodeLocked {
			t.Errorf("a second operator %s: %v", name, err)
		}
	}
	l.whole(t, 3)
	if found, _, err := (recovery.StateDir{Path: elsewhere.State}).Operations(); err != nil || len(found) != 1 || found[0].State != "stopped before anything was changed" {
		t.Errorf("what the refused one left: %+v %v", found, err)
	}
}

// TestFaultProofBeforeEachStep: between the plan and the promotion a voter and the learner die. The server would promote the
// dead learner and lose the quorum.
func TestFaultProofBeforeEachStep(t *testing.T) {
	for name, skip := range map[string]bool{"proven": false, "not proven": true} {
		t.Run(name, func(t *testing.T) {
			if skip {
				clustertest.Long(t)
			}
			l := newLab(t, clustertest.Options{Size: 4})
			l.kill(t, "m4")
			err := l.recover(t, l.order("m4"), func(run *recovery.MemberRun) {
				run.Unsafe.SkipProof = skip
				run.Fault = func(point string) {
					if point == "before-look:promote:m4" {
						l.WaitLeader(t, l.Members[:3]...)
						l.kill(t, "m4", l.follower(t).Name)
					}
				}
			})
			if err == nil {
				t.Error("it went on")
			}
			patience := time.Minute
			if skip { // there is nothing to come
				patience = 5 * time.Second
			}
			_, err = l.Client(t).Put(clustertest.Context(t, patience), "after", "x")
			if lost := err != nil; lost != skip {
				t.Errorf("quorum lost: %v; with the proof skipped: %v (%v)", lost, skip, err)
			}
		})
	}
}

// follower is a member among the first three that does not lead.
func (l *lab) follower(t *testing.T) *clustertest.Member {
	t.Helper()
	leader := l.WaitLeader(t, l.Members[:3]...)
	for _, m := range l.Members[:3] {
		if m != leader {
			return m
		}
	}
	t.Fatal("no follower")
	return nil
}

// files is every file below a directory with its content, but logs.
func (l *lab) files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "log" {
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKilledAndResumed kills the operator's process at boundaries of the journal; each time a resumed run, or a new one
// where nothing had begun, ends with a whole cluster and nothing lost.
func TestKilledAndResumed(t *testing.T) {
	killAt(t, func(points []string) []string {
		var some []string
		for _, p := range points {
			for _, wanted := range []string{"after-act:remove", "after-act:add", "after-act:promote"} {
				if strings.HasPrefix(p, wanted) {
					some = append(some, p)
				}
			}
		}
		return some
	})
}

// TestLongKilledAtEveryBoundary is the same at each of them.
func TestLongKilledAtEveryBoundary(t *testing.T) {
	clustertest.Long(t)
	killAt(t, func(points []string) []string { return points })
}

func killAt(t *testing.T, choose func(points []string) []string) {
	t.Helper()
	l := newLab(t, clustertest.Options{Size: 3})
	judge := l.write(t, l.Members[0], l.Members[1])
	l.kill(t, "m3")
	points, err := l.operate(t, l.order("m3"))
	if err != nil {
		t.Fatal(err)
	}
	chosen := choose(points)
	if len(chosen) == 0 {
		t.Fatalf("none of these is a boundary to be killed at: %q", points)
	}
	for _, point := range chosen {
		l.kill(t, "m3")
		violated := l.watchInvariant(t, "m3")
		o := l.order("m3")
		o.KillAt = point
		if _, err := l.operate(t, o); !errors.Is(err, errKilled) {
			t.Fatalf("killed at %s: %v", point, err)
		}
		_, err := l.operate(t, l.order()) // --resume
		if err != nil && strings.Contains(err.Error(), string(recovery.CodeNothing)) {
			_, err = l.operate(t, l.order("m3"))
		}
		if err != nil {
			t.Fatalf("resumed after %s: %v", point, err)
		}
		if v := violated(); v != "" {
			t.Errorf("killed at %s: %s", point, v)
		}
		l.whole(t, 3)
		if t.Failed() {
			return
		}
	}
	judge()
}

// TestTargetRevivesHalfWay: something starts the old member again after it was removed, before its directory is set
// aside. It must never rejoin with old data, and the recovery must end well or say what stands in the way.
func TestTargetRevivesHalfWay(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	judge := l.write(t, l.Members[0], l.Members[1])
	l.kill(t, "m3")
	err := l.recover(t, l.order("m3"), func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point == "before-act:set-aside:m3" {
				l.Members[2].Launch(t) // whoever did that knows no mask
				waitFor(t, func() bool { st, err := l.node("m3").Status(t.Context()); return err == nil && st.Running })
			}
		}
	})
	if err != nil { // it ran on the directory: nothing was mixed, and it can be resumed
		hint, ok := errors.AsType[*ops.HintError](err)
		if !ok || hint.Class != ops.ClassResumable {
			t.Fatal(err)
		}
		l.kill(t, "m3")
		if err := l.recover(t, l.order(), nil); err != nil {
			t.Fatal(err)
		}
	}
	l.whole(t, 3)
	judge()
}

// TestTargetLeads: leadership moves first, so that clients wait for no election timeout.
func TestTargetLeads(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	leader := l.WaitLeader(t, l.Members...)
	term := l.observe(t).Term
	if err := l.recover(t, l.order(leader.Name), nil); err != nil {
		t.Fatal(err)
	}
	l.whole(t, 3)
	if now := l.observe(t).Term; now != term+1 {
		t.Errorf("%d elections, want the one of the transfer", now-term)
	}
}

func waitFor(t *testing.T, look func() bool) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !look() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it did not come")
		}
	}
}
