package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// The kinds of steps that take an operation back.
const (
	stepRelease = "release" // a member that is one still may start again
	stepExpel   = "expel"   // a removed one stays out: its learner leaves, its machine stays stopped, its data aside
)

// abandonedNote ends the journal of an abandoned operation.
const abandonedNote = "abandoned"

// PlanAbandon says what taking the operation of the journal back means now. It changes nothing. Cluster may be nil where no
// member answers.
func (r *MemberRun) PlanAbandon(ctx context.Context) (*Abandonment, error) {
	f, err := r.abandonFacts(ctx)
	if err != nil {
		return nil, err
	}
	return f.abandonment()
}

// abandonFacts asks the cluster, as far as it answers, and the machines.
func (r *MemberRun) abandonFacts(ctx context.Context) (abandonFacts, error) {
	f := abandonFacts{journal: r.Journal, machines: map[string]machine{}}
	var err error
	if f.list, err = r.confirmedList(ctx); err != nil {
		return f, err
	}
	for _, t := range r.Journal.Plan.Member.Targets {
		t, _, err := r.target(t.Name)
		if err != nil {
			return f, err
		}
		f.targets = append(f.targets, t)
		status, err := r.Nodes[t.Name].Status(ctx)
		f.machines[t.Name] = machine{status, err}
	}
	return f, ctx.Err()
}

// electionLimit is how long a leader is waited for: the member that was stopped may have led.
const electionLimit = 3 * time.Second

// confirmedList is the member list as a majority confirms it, nil where none does.
func (r *MemberRun) confirmedList(ctx context.Context) (*ops.Membership, error) {
	if r.Cluster == nil {
		return nil, nil
	}
	r.lead = &leader{cluster: r.Cluster}
	for limit := time.Now().Add(electionLimit); ; {
		seen, err := r.Cluster.Observe(ctx)
		if err == nil && seen.ClusterID != r.Journal.Plan.ClusterID {
			return nil, refusef(CodeDisagree, r.Journal.Operation(), "name the endpoints of that cluster", "it is of cluster %s, this is %s", r.Journal.Plan.ClusterID, seen.ClusterID)
		}
		if err == nil && seen.Leader != 0 {
			if list, err := r.list(ctx); err == nil {
				return &list, nil
			}
		}
		if time.Now().After(limit) {
			return nil, nil
		}
		if err := pause(ctx, 4*poll); err != nil {
			return nil, err
		}
	}
}

// Abandon takes the operation back as a says, and ends the journal. It may be killed anywhere and run again; until it has
// ended the journal, the operation can be resumed as well. The caller holds the lock of this machine.
func (r *MemberRun) Abandon(ctx context.Context, a *Abandonment) error {
	if !r.Journal.Changed() {
		return r.Journal.End(abandonedNote + " before anything was changed")
	}
	if a.Confirmed {
		leave, err := r.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	now, err := r.PlanAbandon(ctx)
	if err != nil {
		return err
	}
	if err := sameAbandonment(a, now); err != nil {
		return err
	}
	var steps []Step
	for _, m := range a.Members {
		kind := map[string]string{FateBack: stepRelease, FateOut: stepExpel}[m.Fate]
		if kind != "" {
			text := map[string]string{stepRelease: "let " + m.Name + " start again", stepExpel: "leave " + m.Name + " out of the cluster, stopped, its data aside"}[kind]
			steps = append(steps, Step{ID: kind + ":" + m.Name, Kind: kind, Member: m.Name, Text: text, Changes: true})
		}
	}
	x := Executor{Journal: r.Journal, Actions: undoing{r}, Guard: r.undoGuard, Events: r.Events, Fault: r.Fault, undoing: steps}
	if err := x.Run(ctx); err != nil {
		return err
	}
	return r.Journal.End(abandonedNote)
}

// sameAbandonment refuses what was confirmed when it would be something else now.
func sameAbandonment(confirmed, now *Abandonment) error {
	before, err := Digest(confirmed.Members)
	if err != nil {
		return err
	}
	after, err := Digest(now.Members)
	if err == nil && before != after {
		err = refusef(CodeStale, now.Operation, "read it again: etcdops recover abandon --dry-run", "the cluster or a machine changed since it was shown")
	}
	return err
}

// undoGuard is asked before each act: the lock is still ours.
func (r *MemberRun) undoGuard(ctx context.Context, _ Step) error {
	if r.lock == nil {
		return nil
	}
	return r.Cluster.Explain(ctx, "check the lock at", "", r.lock.Check(ctx))
}

// undoing is the way from a step that takes back to what does it.
type undoing struct{ r *MemberRun }

// Action implements Actions.
func (u undoing) Action(step Step) (Action, error) {
	target, _, err := u.r.target(step.Member)
	if err != nil {
		return nil, err
	}
	on := onTarget{base: base{r: u.r, step: step}, target: target, node: u.r.Nodes[step.Member]}
	if step.Kind == stepRelease {
		facts := abandonFacts{journal: u.r.Journal}
		was, ours, err := facts.found(target.Name)
		return &releaseAction{onTarget: on, was: was, ours: ours}, err
	}
	return &expelAction{onTarget: on}, nil
}

// releaseAction lets a member that has its old ID start again, and starts it if it ran.
type releaseAction struct {
	onTarget
	was  before
	ours bool // this operation stopped it, or may have
	told bool // a person was told
}

// Done implements Action.
func (a *releaseAction) Done(ctx context.Context) (bool, error) {
	if !a.ours || a.told || a.target.Manual && a.target.Fenced {
		return true, nil
	}
	status, err := a.node.Status(ctx)
	if err != nil || !status.Known {
		return false, err
	}
	return (a.was.Masked || !status.Masked) && (!a.was.Running || status.Running), nil
}

// Do implements Action. The journal takes the stop back first: a run that is resumed after that looks, and stops it again.
func (a *releaseAction) Do(ctx context.Context, _ Tell) error {
	if err := a.registered(ctx); err != nil {
		return err
	}
	status, err := a.node.Status(ctx)
	if err != nil {
		return err
	}
	if err := startable(a.target, status); err != nil {
		return err
	}
	if err := a.r.Journal.Undone(abandonedNote, StepStop+":"+a.target.Name); err != nil {
		return err
	}
	if !a.was.Masked {
		if err := a.node.Unmask(ctx); err != nil {
			return fmt.Errorf("unmask %s: %w", a.target.Name, err)
		}
	}
	if a.was.Running || a.target.Manual {
		if err := a.node.Start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", a.target.Name, err)
		}
	}
	a.told = a.target.Manual
	return nil
}

// registered refuses once the old ID is gone: its data must not start again.
func (a *releaseAction) registered(ctx context.Context) error {
	if a.r.lead == nil || !a.r.Journal.Began(StepRemove+":"+a.target.Name) {
		return nil // no step that removes it ever began
	}
	list, err := a.r.list(ctx)
	if err != nil {
		return err
	}
	if _, there := list.ByID(a.target.Old.ID); !there {
		return onlyResume(a.target.Name, fmt.Sprintf("its ID %s was removed in between: its old data must not be started", a.target.Old.ID))
	}
	return nil
}

// expelAction leaves a removed member out: no learner of it in the cluster, its machine stopped, its directories empty.
type expelAction struct {
	onTarget
	trouble error // of the machine
}

// Done implements Action.
func (a *expelAction) Done(ctx context.Context) (bool, error) {
	list, err := a.r.list(ctx)
	if err != nil {
		return false, err
	}
	if _, there := a.joined(list); there {
		return false, nil
	}
	if alarmed, err := (&removeAction{a.onTarget}).alarmed(ctx); err != nil || alarmed {
		return false, err
	}
	if a.trouble != nil {
		return true, nil //nolint:nilerr // its data are refused by the cluster, and nothing can be done there
	}
	status, err := a.node.Status(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // Do finds out whether the machine can be worked on
	}
	if status.Known && (status.Running || !status.Masked) {
		return false, nil
	}
	return (&asideAction{a.onTarget}).Done(ctx)
}

// Do implements Action. The cluster comes first: once the learner is removed, nothing on the machine can come back.
func (a *expelAction) Do(ctx context.Context, tell Tell) error {
	tell(a.target.Name+" is kept stopped", nil)
	a.trouble = errors.Join(a.node.Mask(ctx), a.node.Stop(ctx))
	if err := a.leave(ctx, tell); err != nil {
		return err
	}
	if err := (&removeAction{a.onTarget}).clearAlarm(ctx, tell); err != nil {
		return err
	}
	if a.trouble == nil {
		a.trouble = a.setAside(ctx, tell)
	}
	if a.trouble == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return a.r.Journal.Put("trouble:"+a.target.Name, a.trouble.Error())
}

// leave removes the learner, whoever noted its ID.
func (a *expelAction) leave(ctx context.Context, tell Tell) error {
	list, err := a.r.list(ctx)
	if err != nil {
		return err
	}
	m, there := a.joined(list)
	switch {
	case there && !m.Learner:
		return onlyResume(a.target.Name, fmt.Sprintf("it was promoted in between: %s votes", m.ID))
	case there:
		if err := a.r.Journal.Put("id:"+a.target.Name, m.ID); err != nil {
			return err
		}
		tell("the learner is removed", nil)
		if err := a.removeLearner(ctx, tell); err != nil {
			return err
		}
	case !a.r.Journal.IsDone(StepAdd + ":" + a.target.Name):
		return nil
	}
	return a.noteTakenBack()
}

// setAside empties the directories, so that neither old data nor what the learner received can start.
func (a *expelAction) setAside(ctx context.Context, tell Tell) error {
	aside := &asideAction{a.onTarget}
	if done, err := aside.Done(ctx); done || err != nil {
		return err
	}
	return aside.Do(ctx, tell)
}

// Troubles lists what an abandoned operation could not do on machines, by member.
func Troubles(j *Journal) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range j.Plan.Member.Targets {
		var text string
		known, err := j.Get("trouble:"+t.Name, &text)
		if err != nil {
			return nil, err
		}
		if known {
			out[t.Name] = text
		}
	}
	return out, nil
}

// ResumeAny takes up the unfinished operation of this machine, of whatever kind; name chooses one of several, empty the only
// one.
func (s StateDir) ResumeAny(name string) (*Journal, *Held, error) {
	journals, unreadable, err := s.Journals()
	if err = errors.Join(append([]error{err}, unreadable...)...); err != nil {
		return nil, nil, err
	}
	var open []*Journal
	for _, j := range journals {
		if _, ended := j.Ended(); !ended && (name == "" || j.Operation() == name) {
			open = append(open, j)
		}
	}
	switch {
	case len(open) == 0:
		return nil, nil, &ops.HintError{
			Code: CodeNothing, Class: ops.ClassUsage, Op: "abandon", Member: s.Path, Err: errors.New("no such operation is unfinished here"), Hint: "etcdops recover list",
		}
	case len(open) > 1:
		return nil, nil, &ops.HintError{
			Code: CodeSeveral, Class: ops.ClassUsage, Op: "abandon", Member: s.Path, Err: fmt.Errorf("%d operations are not finished", len(open)),
			Hint: "etcdops recover list shows them; name one: etcdops recover abandon OPERATION",
		}
	}
	return s.reopen(open[0])
}
