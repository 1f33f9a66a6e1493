package rebuildtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/recovery"
)

// TestFaultTwoAtOnce joins two members at the same time, and kills the operator where only one of them is done, or there.
func TestFaultTwoAtOnce(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	l, entries := crashed(t, clustertest.Options{Size: 3, Args: []string{"--max-learners=2"}}, 50)
	before := l.originals(t)
	t.Cleanup(func() { l.stopNew(t) })
	o := l.order(t, "m1", "m2")
	o.AtOnce = 2
	plan, _, err := o.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, second := plan.Rebuild.Members[1].Name, plan.Rebuild.Members[2].Name
	for _, point := range []string{
		"after-act:add:" + second, "before-look:arrive:" + first, "before-done:start:" + second,
		"before-look:sync:" + first, "before-done:promote:" + first, "before-look:sync:" + second,
	} {
		o.KillAt = point
		killed, err := o.operator(t)
		if err != nil || !killed {
			t.Fatalf("to be killed at %s: %v, %v", point, killed, err)
		}
		same(t, "killed at "+point, before, l.originals(t))
		o.Resume = true
	}
	o.KillAt = ""
	if _, err := o.operator(t); err != nil {
		t.Fatal(err)
	}
	fixture.Prove(t, l.Cluster, entries)
	same(t, "at the end", before, l.originals(t))
}

// TestAtOncePlan: two join at the same time only where every server allows two learners; else one by one, and the plan says why.
func TestAtOncePlan(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	for _, m := range l.Members[1:] {
		m.Args = append(m.Args, "--max-learners=2")
		l.writeSpec(t, m)
	}
	l.killAll(t)
	o := l.order(t, "m1", "m2")
	o.AtOnce = 2
	plan, _, err := o.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(plan.Notes, "; "); plan.Rebuild.AtOnce > 1 || !strings.Contains(said, "one by one: m1 is started without max-learners 2") {
		t.Errorf("m1 allows one learner, %d join at once: %s", plan.Rebuild.AtOnce, said)
	}
	m1 := l.Member(t, "m1")
	m1.Args = append(m1.Args, "--max-learners=2")
	l.writeSpec(t, m1)
	if plan, _, err = o.plan(t.Context()); err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, s := range plan.Steps {
		if slices.Contains([]string{recovery.StepAdd, recovery.StepStart, recovery.StepArrive, recovery.StepPromote}, s.Kind) {
			steps = append(steps, s.ID)
		}
	}
	first, second := plan.Rebuild.Members[1].Name, plan.Rebuild.Members[2].Name
	want := strings.NewReplacer("A", first, "B", second).Replace("add:A add:B start:A arrive:A start:B promote:A promote:B")
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
}
