package recovery

import (
	"context"
	"fmt"

	"github.com/etcdops/etcdops/ops"
)

// The kinds of steps that take a rebuild back.
const (
	stepPutBack = "put-back" // the old directory takes its place again
	stepDiscard = "discard"  // copies are removed
)

// undoneSuffix ends the label under which the directory of a new cluster is set aside that never started.
const undoneSuffix = ".never-started"

// PlanAbandon says what taking the rebuild back means. That is possible until the first member of the new cluster may have
// been started: from then on clients may have written to it.
func (r *RebuildRun) PlanAbandon(ctx context.Context) (*Abandonment, error) {
	j, p := r.Journal, r.Journal.Plan
	host := r.host().Name
	if j.Began(StepSeed + ":" + host) {
		return nil, &ops.HintError{
			Code: CodeNoWayBack, Class: ops.ClassRefused, Op: "abandon", Member: p.Operation, Hint: "etcdops rebuild-cluster resume",
			Err: fmt.Errorf("%s may have served the new cluster already: what clients wrote to it would be lost with it", host),
		}
	}
	a := &Abandonment{
		Schema: AbandonmentSchema, Operation: p.Operation, Kind: p.Kind, ClusterID: p.ClusterID,
		Steps: []AbandonedStep{}, Members: []AbandonedMember{}, Notes: []string{},
	}
	facts := abandonFacts{journal: j}
	for _, s := range p.Steps {
		a.Steps = append(a.Steps, AbandonedStep{ID: s.ID, Text: s.Text, State: facts.state(s), Undo: undoOfRebuild(s, facts.state(s) != "")})
	}
	for _, m := range r.plan().Members {
		if !j.intended(StepFence + ":" + m.Name) {
			continue
		}
		status, err := r.Nodes[m.Name].Status(ctx)
		if err != nil {
			return nil, refuse(CodeNoWayBack, m.Name, fmt.Errorf("its machine cannot be worked on: %w", err), "reach its machine; then again")
		}
		a.Members = append(a.Members, r.fate(m.Name, status))
	}
	return a, nil
}

// keyAbandoning marks a rebuild that is being taken back: copies and directories are not where its steps left them, and it
// cannot be gone on with.
const keyAbandoning = "abandoning"

// notAbandoned refuses to go on with a rebuild that is being taken back.
func (j *Journal) notAbandoned() error {
	var begun bool
	if _, err := j.Get(keyAbandoning, &begun); err != nil || !begun {
		return err
	}
	return refusef(CodeStopped, j.Operation(), "etcdops recover abandon", "it is being taken back: that is to be finished first")
}

// fate judges one member: it may start again with its old directory, or with none if it had none.
func (r *RebuildRun) fate(name string, s NodeStatus) AbandonedMember {
	m := AbandonedMember{Name: name, Fate: FateBack, Text: "it may start again; it is not started"}
	if r.keptStopped(name, s) {
		m.Fate, m.Text = FateOut, "its directory is empty: it stays kept from starting, since an empty directory under its old ID could lose acknowledged writes"
		return m
	}
	if name == r.host().Name && r.Journal.Began(StepSwitch+":"+name) {
		m.Text = "its old directory takes its place again; it may start again, and is not started"
	}
	return m
}

// keptStopped reports whether a member has no data to start with. That of the host may be aside at this moment.
func (r *RebuildRun) keptStopped(name string, s NodeStatus) bool {
	switched := name == r.host().Name && r.Journal.Began(StepSwitch+":"+name)
	return s.Known && s.Empty && !switched
}

// undoOfRebuild says what becomes of a step's effect.
func undoOfRebuild(s Step, began bool) string {
	if !began {
		return ""
	}
	switch s.Kind {
	case StepFence:
		return "it may start again"
	case StepCopy, StepSeal, StepReplay, StepRestore:
		return "the copy is removed"
	case StepSwitch:
		return "the old directory takes its place again"
	}
	return ""
}

// Abandon takes the rebuild back as a says, and ends the journal. It may be killed anywhere and run again.
func (r *RebuildRun) Abandon(ctx context.Context, a *Abandonment) error {
	if !r.Journal.Changed() {
		return r.Journal.End(abandonedNote + " before anything was changed")
	}
	now, err := r.PlanAbandon(ctx)
	if err != nil {
		return err
	}
	if err := sameAbandonment(a, now); err != nil {
		return err
	}
	var steps []Step
	host := r.host().Name
	if r.Journal.Began(StepSwitch + ":" + host) {
		steps = append(steps, Step{ID: stepPutBack + ":" + host, Kind: stepPutBack, Member: host, Text: "put the old directory of " + host + " back", Changes: true})
	}
	steps = append(steps, Step{ID: stepDiscard, Kind: stepDiscard, Text: "remove the copies that were made", Changes: true})
	for _, m := range a.Members {
		if m.Fate == FateBack {
			steps = append(steps, Step{ID: stepRelease + ":" + m.Name, Kind: stepRelease, Member: m.Name, Text: "let " + m.Name + " start again", Changes: true})
		}
	}
	if err := r.Journal.Put(keyAbandoning, true); err != nil {
		return err
	}
	x := Executor{Journal: r.Journal, Actions: undoingRebuild{r}, Events: r.Events, Fault: r.Fault, undoing: steps}
	if err := x.Run(ctx); err != nil {
		return err
	}
	return r.Journal.End(abandonedNote)
}

// undoingRebuild is the way from a step that takes back to what does it.
type undoingRebuild struct{ r *RebuildRun }

// Action implements Actions.
func (u undoingRebuild) Action(step Step) (Action, error) {
	b := rebuildBase{r: u.r, step: step}
	switch step.Kind {
	case stepPutBack:
		return &putBackAction{b}, nil
	case stepDiscard:
		return &discardAction{b, false}, nil
	}
	return &unfenceAction{b}, nil
}

// putBackAction gives the host its old directory again.
type putBackAction struct{ rebuildBase }

// keyPutBack marks that the old directory is in its place again.
const keyPutBack = "put-back"

// Done implements Action.
func (a *putBackAction) Done(context.Context) (bool, error) {
	var back bool
	_, err := a.r.Journal.Get(keyPutBack, &back)
	return back, err
}

// Do implements Action. A switch that was killed half-way is finished first: then it is known which directory is which.
func (a *putBackAction) Do(ctx context.Context, tell Tell) error {
	node, p := a.r.Nodes[a.step.Member], a.r.Journal.Plan
	var id ops.ClusterID
	if _, err := a.r.Journal.Get(keySeedID, &id); err != nil {
		return err
	}
	status, err := node.Status(ctx)
	if err != nil {
		return err
	}
	old := p.ClusterID != 0 && status.ClusterID == p.ClusterID
	if status.Running {
		return refusef(CodeRunning, a.step.Member, "stop it; then again", "it runs")
	}
	if !old && status.ClusterID != id {
		forth := &switchAction{rebuildBase{r: a.r, step: Step{Kind: StepSwitch, Member: a.step.Member}}}
		if err := forth.Do(ctx, tell); err != nil {
			return err
		}
	}
	if !old {
		never, err := node.SetAside(ctx, p.Operation+undoneSuffix)
		if err == nil {
			err = node.PutBack(ctx, p.Operation)
		}
		if err != nil {
			return fmt.Errorf("on the machine of %s: %w", a.step.Member, err)
		}
		if err := a.r.Journal.Put("asides:"+a.step.Member, append([]Aside{}, never...)); err != nil {
			return err
		}
	}
	return a.r.Journal.Put(keyPutBack, true)
}

// discardAction removes the working directory, which holds copies only.
type discardAction struct {
	rebuildBase
	gone bool
}

// Done implements Action.
func (a *discardAction) Done(context.Context) (bool, error) { return a.gone, nil }

// Do implements Action.
func (a *discardAction) Do(ctx context.Context, _ Tell) error {
	_, err := a.stage(ctx, StageOrder{Stage: StageRemove}, nil)
	a.gone = err == nil
	return err
}

// unfenceAction lets a member of the old cluster start again.
type unfenceAction struct{ rebuildBase }

// Done implements Action.
func (a *unfenceAction) Done(ctx context.Context) (bool, error) {
	status, err := a.r.Nodes[a.step.Member].Status(ctx)
	return err == nil && (!status.Known || !status.Masked), err
}

// Do implements Action.
func (a *unfenceAction) Do(ctx context.Context, _ Tell) error {
	return a.r.Nodes[a.step.Member].Unmask(ctx)
}
