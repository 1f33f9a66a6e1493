package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// joinKinds are the steps by which a member joins, in their order.
func joinKinds() []string { return []string{StepSetAside, StepAdd, StepStart, StepSync, StepPromote} }

// mendJoining looks, before a run goes on, whether what the journal has of each joining is so still. Somebody may have removed
// the new member by hand while the operation was stopped: a removed ID never comes back, so the joining is done anew.
func (r *MemberRun) mendJoining(ctx context.Context) error {
	for _, t := range r.Journal.Plan.Member.Targets {
		if err := r.mendUndone(t.Name); err != nil {
			return err
		}
		if !r.Journal.IsDone(StepAdd + ":" + t.Name) {
			continue
		}
		err := r.rejoin(ctx, t.Name)
		if err == nil {
			continue
		}
		if !r.Journal.Changed() {
			return err
		}
		hint := resumeCommand(r.Journal.Plan.Kind)
		if told, ok := errors.AsType[*ops.HintError](err); ok && told.Hint != "" {
			hint = told.Hint + "; then " + hint
		}
		return &ops.HintError{Code: CodeStopped, Class: ops.ClassResumable, Op: "see whether " + t.Name + " is a member still", Err: err, Hint: hint}
	}
	return nil
}

// mendUndone takes the later steps of a joining back where an earlier one was: a run was killed between these records.
func (r *MemberRun) mendUndone(name string) error {
	undone := false
	for _, kind := range joinKinds() {
		step := kind + ":" + name
		if undone && r.Journal.IsDone(step) {
			if err := r.Journal.Undone("an earlier step was taken back", step); err != nil {
				return err
			}
		}
		undone = undone || r.Journal.last(step) == RecordUndone
	}
	return nil
}

// rejoin has a member that was added, and removed by somebody else, added again: its machine is stopped, and what it received
// under the removed ID is set aside like old data.
func (r *MemberRun) rejoin(ctx context.Context, name string) error {
	target, _, err := r.target(name)
	if err != nil {
		return err
	}
	step := Step{ID: StepAdd + ":" + name, Kind: StepAdd, Member: name}
	on := onTarget{base: base{r: r, step: step}, target: target, node: r.Nodes[name]}
	id, gone, err := on.gone(ctx)
	if err != nil || !gone {
		return err
	}
	r.say(step, fmt.Sprintf("somebody removed %s (%s) from the cluster: it is stopped, and joins anew", name, id))
	if on.node == nil {
		return fmt.Errorf("the machine of %s is not known", name)
	}
	if err := errors.Join(on.node.Mask(ctx), on.node.Stop(ctx)); err != nil {
		return fmt.Errorf("keep %s from running under its removed ID: %w", name, err)
	}
	return on.noteTakenBack()
}

// gone reports whether the target's new ID is not a member any more. Servers of 3.4 tell their own copy of the list: the one
// that is asked must first have applied what a majority confirms now.
func (o onTarget) gone(ctx context.Context) (id ops.MemberID, gone bool, err error) {
	if id, err = o.newID(); err != nil {
		return id, false, err
	}
	if _, err := o.r.list(ctx); err != nil { // an election may be under way
		return id, false, err
	}
	client, err := o.r.lead.client(ctx)
	if err != nil {
		return id, false, err
	}
	limited, cancel := context.WithTimeout(ctx, o.r.Cluster.Config().CommandTimeout)
	defer cancel()
	if _, err := client.Get(limited, LockKey); err != nil {
		return id, false, o.r.Cluster.Explain(ctx, "read at", o.r.lead.url, err)
	}
	list, err := client.MemberList(limited)
	if err != nil {
		return id, false, o.r.Cluster.Explain(ctx, "list members at", o.r.lead.url, err)
	}
	_, there := ops.MembershipOf(list).ByID(id)
	return id, !there, nil
}

// say tells of something that happens outside of the plan's steps.
func (r *MemberRun) say(step Step, text string) {
	if r.Events == nil {
		return
	}
	x := Executor{Journal: r.Journal, Events: r.Events}
	for i, s := range r.Journal.Plan.Steps {
		if s.ID == step.ID {
			x.tell(i, step, StateWaiting, text, time.Now(), nil)
		}
	}
}
