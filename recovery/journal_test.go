package recovery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/ops"
)

func testPlan(t *testing.T, steps ...Step) *Plan {
	t.Helper()
	p := &Plan{Schema: PlanSchema, Kind: KindMember, Operation: NewOperation(time.Now()), MadeAt: time.Now().UTC(), ClusterID: 7, Steps: steps}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanIsHashed(t *testing.T) {
	p := testPlan(t, Step{ID: "a"})
	if err := p.Verify(); err != nil {
		t.Error(err)
	}
	p.Steps[0].Member = "m1"
	if err := p.Verify(); err == nil {
		t.Error("a plan that was changed is taken")
	}
	p = testPlan(t)
	p.Schema = PlanSchema + "0"
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err == nil {
		t.Error("a plan of another version is taken")
	}
}

func TestJournalIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	p := testPlan(t, Step{ID: "a"}, Step{ID: "b", Changes: true})
	j, err := CreateJournal(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{j.Intent("a"), j.Done("a", ""), j.Put("id", ops.MemberID(255)), j.Intent("b"), j.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// What a process that was killed while it wrote leaves is cut off.
	f, err := os.OpenFile(j.Path(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"schema":"etcdops.jour`); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	again, err := OpenJournal(j.Path())
	if err != nil {
		t.Fatal(err)
	}
	var id ops.MemberID
	found, err := again.Get("id", &id)
	if err != nil || !found || id != 255 {
		t.Errorf("id %v %v %v", id, found, err)
	}
	if !again.IsDone("a") || again.IsDone("b") || !again.Began("b") || !again.Changed() {
		t.Error("steps are not as they were recorded")
	}
	for _, err := range []error{again.Done("b", ""), again.Undone("taken back", "b"), again.End("done"), again.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	third, err := ReadJournal(j.Path())
	if err != nil {
		t.Fatal(err)
	}
	if _, ended := third.Ended(); !ended || third.IsDone("b") {
		t.Errorf("ended %v, b done %v", ended, third.IsDone("b"))
	}
}

func TestJournalRefusesDamage(t *testing.T) {
	dir := t.TempDir()
	j, err := CreateJournal(dir, testPlan(t, Step{ID: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{j.Intent("a"), j.Done("a", ""), j.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(j.Path())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for name, text := range map[string]string{
		"a line in the middle is lost": lines[0] + lines[2],
		"a line is garbage":            lines[0] + "garbage\n" + lines[2],
		"the plan was edited":          strings.Replace(lines[0], `\"id\":\"a\"`, `\"id\":\"b\"`, 1) + strings.Replace(lines[0], `"id":"a"`, `"id":"b"`, 1),
		"no plan":                      "",
	} {
		path := filepath.Join(t.TempDir(), "x.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenJournal(path); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestOnlyOneRunOnAMachine(t *testing.T) {
	dir := StateDir{t.TempDir()}
	held, err := dir.Acquire(7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Acquire(7); ops.CodeOf(err) != CodeLocked {
		t.Errorf("a second run: %v", err)
	}
	other, err := dir.Acquire(8)
	if err != nil {
		t.Errorf("another cluster: %v", err)
	}
	for _, h := range []*Held{held, other} {
		if err := h.Release(); err != nil {
			t.Error(err)
		}
	}
	if held, err = dir.Acquire(7); err != nil {
		t.Errorf("after Release: %v", err)
	} else {
		_ = held.Release()
	}
}

// fakeWorld is a set of effects; a step's action adds its own.
type fakeWorld struct {
	there map[string]bool
	acts  []string
	fail  string // the step that fails
	lag   int    // looks after an act that do not show its effect yet; below 0 none ever does
	looks int    // since the last act
}

func (w *fakeWorld) Action(step Step) (Action, error) { return fakeAction{w, step.ID}, nil }

type fakeAction struct {
	w  *fakeWorld
	id string
}

func (a fakeAction) Done(context.Context) (bool, error) {
	a.w.looks++
	return a.w.there[a.id] && a.w.lag >= 0 && a.w.looks > a.w.lag, nil
}

func (a fakeAction) Do(context.Context, Tell) error {
	if a.w.fail == a.id {
		return errors.New("it failed")
	}
	a.w.acts = append(a.w.acts, a.id)
	a.w.there[a.id], a.w.looks = true, 0
	return nil
}

// errKilled stands for the end of the process.
type killed struct{ point string }

// TestExecutorConvergesFromEveryBoundary ends a run at each boundary of the journal, runs again, and expects that every
// act was made exactly once, in order.
func TestExecutorConvergesFromEveryBoundary(t *testing.T) {
	steps := []Step{{ID: "a"}, {ID: "b", Changes: true}, {ID: "c", Changes: true}}
	var points []string
	run := func(t *testing.T, kill string) {
		t.Helper()
		w := &fakeWorld{there: map[string]bool{}}
		j, err := CreateJournal(t.TempDir(), testPlan(t, steps...))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if r := recover(); r != nil && r.(killed).point != kill {
					panic(r)
				}
			}()
			x := Executor{Journal: j, Actions: w, Fault: func(point string) {
				if kill == "" {
					points = append(points, point)
				} else if point == kill {
					panic(killed{point})
				}
			}}
			if err := x.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}()
		_ = j.Close()
		again, err := OpenJournal(j.Path())
		if err != nil {
			t.Fatal(err)
		}
		if err := (&Executor{Journal: again, Actions: w}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.acts, []string{"a", "b", "c"}) {
			t.Errorf("killed at %s: acts %q", kill, w.acts)
		}
	}
	run(t, "")
	if len(points) != 6*len(steps) {
		t.Fatalf("boundaries: %q", points)
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) { run(t, point) })
	}
}

func TestExecutorTellsWhetherSomethingChanged(t *testing.T) {
	for fail, class := range map[string]ops.Class{"a": ops.ClassFailure, "b": ops.ClassResumable, "c": ops.ClassResumable} {
		w := &fakeWorld{there: map[string]bool{}, fail: fail}
		j, err := CreateJournal(t.TempDir(), testPlan(t, Step{ID: "a"}, Step{ID: "b", Changes: true}, Step{ID: "c"}))
		if err != nil {
			t.Fatal(err)
		}
		err = (&Executor{Journal: j, Actions: w}).Run(t.Context())
		hint, ok := errors.AsType[*ops.HintError](err)
		if !ok || hint.Class != class {
			t.Errorf("%s failed: %v, class %v", fail, err, hint)
		}
		_ = j.Close()
	}
}

// TestExecutorWaitsForAnEffect: an effect may lag behind its act; one that never comes is no success.
func TestExecutorWaitsForAnEffect(t *testing.T) {
	for lag, works := range map[int]bool{0: true, 3: true, -1: false} {
		w := &fakeWorld{there: map[string]bool{}, lag: lag}
		j, err := CreateJournal(t.TempDir(), testPlan(t, Step{ID: "a", Changes: true}))
		if err != nil {
			t.Fatal(err)
		}
		x := Executor{Journal: j, Actions: w}
		if !works {
			x.Patience = 200 * time.Millisecond
		}
		err = x.Run(t.Context())
		if (err == nil) != works || len(w.acts) != 1 || j.IsDone("a") != works {
			t.Errorf("lag %d: %v, acts %q", lag, err, w.acts)
		}
		_ = j.Close()
	}
}

func TestExecutorAsksTheGuardBeforeTheIntent(t *testing.T) {
	w := &fakeWorld{there: map[string]bool{}}
	j, err := CreateJournal(t.TempDir(), testPlan(t, Step{ID: "a", Changes: true}))
	if err != nil {
		t.Fatal(err)
	}
	refusal := refuse(CodeQuorumAtRisk, "", errors.New("no"), "")
	err = (&Executor{Journal: j, Actions: w, Guard: func(context.Context, Step) error { return refusal }}).Run(t.Context())
	if !errors.Is(err, refusal) || len(w.acts) > 0 || j.Began("a") {
		t.Errorf("%v, acts %q", err, w.acts)
	}
	_ = j.Close()
}

// TestJournalEndsAtFailure: a disk that is full takes half a line. What is appended once it has room again must not stand
// behind that half: the journal could not be read any more, and the operation not be resumed.
func TestJournalEndsAtFailure(t *testing.T) {
	j, err := CreateJournal(t.TempDir(), testPlan(t, Step{ID: "a", Changes: true}))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Intent("a"); err != nil {
		t.Fatal(err)
	}
	disk := j.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	if _, err := disk.WriteString(`{"schema":"etcdops.jour`); err != nil {
		t.Fatal(err)
	}
	j.file = full
	if err := j.Put("id", ops.MemberID(1)); err == nil {
		t.Fatal("a full disk is no error")
	}
	j.file = disk
	if err := errors.Join(full.Close(), j.Undone("taken back", "a")); err == nil {
		t.Error("the journal goes on behind half a line")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenJournal(j.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(again.Done("a", ""), again.Close()); err != nil || !again.IsDone("a") {
		t.Errorf("it cannot be resumed: %v", err)
	}
}
