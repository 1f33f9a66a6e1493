package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/ops"
)

// stopAction ends the target and proves that it is off.
type stopAction struct{ onTarget }

// Done implements Action: stopped, masked, and its addresses refuse.
func (a *stopAction) Done(ctx context.Context) (bool, error) {
	status, err := a.node.Status(ctx)
	if err != nil {
		return false, err
	}
	if status.Known && (status.Running || !status.Masked) {
		return false, nil
	}
	for _, p := range Ports(ctx, a.target.Old) {
		if p.State == PortOpen || p.State == PortSilent && !status.Known && !a.target.Fenced {
			return false, nil
		}
	}
	return true, nil
}

// stopLimit is how long addresses may stay open after the member's end: the kernel closes them with the process, but a
// machine behind ssh takes its time for each look.
const stopLimit = 30 * time.Second

// Do implements Action.
func (a *stopAction) Do(ctx context.Context, tell Tell) error {
	if err := a.noteBefore(ctx); err != nil {
		return err
	}
	if err := a.moveLeader(ctx, tell); err != nil {
		return err
	}
	tell("it is masked and stopped", nil)
	if err := a.node.Mask(ctx); err != nil {
		return fmt.Errorf("mask %s: %w", a.target.Name, err)
	}
	if err := a.node.Stop(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", a.target.Name, err)
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if !a.target.Manual { // a person may take all the time that it takes
		limited, cancel = context.WithTimeout(ctx, stopLimit)
	}
	defer cancel()
	err := wait(limited, func(ctx context.Context) (bool, error) {
		tell("nothing may answer at its addresses any more", nil)
		return a.Done(ctx)
	})
	if ctx.Err() == nil && limited.Err() != nil {
		return &ops.HintError{
			Code: CodeStillUp, Op: "stop", Member: a.target.Name,
			Err:  fmt.Errorf("%s since it was stopped", a.answers(ctx)),
			Hint: "on its machine: ss -ltnp shows who listens there",
		}
	}
	return err
}

// noteBefore notes how the member was found, so that an abandoned operation leaves it so. A resumed run keeps the first note.
func (a *stopAction) noteBefore(ctx context.Context) error {
	var was before
	known, err := a.r.Journal.Get(keyBefore+a.target.Name, &was)
	if err != nil || known {
		return err
	}
	status, err := a.node.Status(ctx)
	if err != nil {
		return err
	}
	return a.r.Journal.Put(keyBefore+a.target.Name, before{Known: status.Known, Running: status.Running, Masked: status.Masked})
}

// answers lists the addresses that do not refuse.
func (a *stopAction) answers(ctx context.Context) string {
	var open []string
	for _, p := range Ports(ctx, a.target.Old) {
		if !p.State.off() {
			open = append(open, p.URL+" is "+string(p.State))
		}
	}
	if len(open) == 0 {
		return "it runs, or is not masked,"
	}
	return strings.Join(open, ", ")
}

// moveLeader hands leadership to the live voter that has applied most, when the target leads.
func (a *stopAction) moveLeader(ctx context.Context, tell Tell) error {
	seen, err := a.r.Cluster.Observe(ctx)
	if err != nil || seen.Leader != a.target.Old.ID {
		return err
	}
	var to ops.MemberState
	for _, m := range seen.Members {
		if m.Condition == ops.Live && !m.Learner && !a.r.isTarget(m.ID) && (to.ID == 0 || m.Applied > to.Applied) {
			to = m
		}
	}
	if to.ID == 0 {
		return errors.New("the target leads, and there is nobody to take over")
	}
	tell("leadership moves to "+to.Label(), nil)
	err = a.r.lead.try(ctx, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.MoveLeader(ctx, uint64(to.ID))
		return err
	})
	if err != nil {
		return a.r.Cluster.Explain(ctx, "move the leader from", a.r.lead.url, err)
	}
	a.r.lead.url = ""
	return wait(ctx, func(ctx context.Context) (bool, error) {
		seen, err := a.r.Cluster.Observe(ctx)
		return seen.Leader != 0 && seen.Leader != a.target.Old.ID, err
	})
}

// isTarget reports whether a member is one that is recovered.
func (r *MemberRun) isTarget(id ops.MemberID) bool {
	for _, t := range r.Journal.Plan.Member.Targets {
		if t.Old.ID == id {
			return true
		}
	}
	return false
}

// removeAction removes the target's old ID.
type removeAction struct{ onTarget }

// Done implements Action.
func (a *removeAction) Done(ctx context.Context) (bool, error) {
	if a.r.Unsafe.SkipRemove {
		return true, nil
	}
	list, err := a.r.list(ctx)
	if err != nil {
		return false, err
	}
	if _, there := list.ByID(a.target.Old.ID); there {
		return false, nil
	}
	alarmed, err := a.alarmed(ctx)
	return !alarmed, err
}

// alarmed reports whether the cluster still holds the alarm CORRUPT against the target's old ID. It outlives the member, and
// the cluster takes no writes while it is there.
func (a *removeAction) alarmed(ctx context.Context) (bool, error) {
	seen, err := a.r.Cluster.Observe(ctx)
	return slices.ContainsFunc(seen.Alarms, func(al ops.Alarm) bool { return al.Type == corrupt && al.Member == a.target.Old.ID }), err
}

// clearAlarm takes the alarm back of the member that is not one any more.
func (a *removeAction) clearAlarm(ctx context.Context, tell Tell) error {
	alarmed, err := a.alarmed(ctx)
	if err != nil || !alarmed {
		return err
	}
	tell("its alarm CORRUPT is cleared, so that the cluster takes writes again", nil)
	return a.r.lead.change(ctx, "clear the alarm of "+a.target.Name, tell, noVotes, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: uint64(a.target.Old.ID), Alarm: pb.AlarmType_CORRUPT})
		return err
	})
}

// Do implements Action. It returns when every survivor knows.
func (a *removeAction) Do(ctx context.Context, tell Tell) error {
	err := a.r.lead.change(ctx, "remove "+a.target.Name, tell, a.proof, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.MemberRemove(ctx, uint64(a.target.Old.ID))
		return err
	})
	if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotFound) {
		return a.r.Cluster.Explain(ctx, "remove "+a.target.Name+" through", a.r.lead.url, err)
	}
	err = wait(ctx, func(ctx context.Context) (bool, error) {
		tell("all survivors must know that it is removed", nil)
		seen, err := a.r.Cluster.Observe(ctx)
		_, there := seen.Membership().ByID(a.target.Old.ID)
		return err == nil && !there && len(seen.Disagree) == 0, err
	})
	if err != nil {
		return err
	}
	return a.clearAlarm(ctx, tell)
}

// asideAction sets the target's directories aside.
type asideAction struct{ onTarget }

// label is what the directories are set aside under: another one each time that the new member had to be taken back.
func (o onTarget) label() (string, error) {
	var attempt int
	if _, err := o.r.Journal.Get("attempt:"+o.target.Name, &attempt); err != nil {
		return "", err
	}
	if attempt == 0 {
		return o.r.Journal.Plan.Operation, nil
	}
	return fmt.Sprintf("%s.%d", o.r.Journal.Plan.Operation, attempt+1), nil
}

// Done implements Action.
func (a *asideAction) Done(ctx context.Context) (bool, error) {
	status, err := a.node.Status(ctx)
	if err != nil {
		return false, err
	}
	var asides []Aside
	known, err := a.r.Journal.Get("asides:"+a.target.Name, &asides)
	return known && (status.Empty || !status.Known), err
}

// Do implements Action. An empty directory must never stand under an ID that is registered: the list is looked at here
// once more.
func (a *asideAction) Do(ctx context.Context, _ Tell) error {
	if err := a.removed(ctx); err != nil {
		return err
	}
	label, err := a.label()
	if err != nil {
		return err
	}
	asides, err := a.node.SetAside(ctx, label)
	if err != nil {
		return fmt.Errorf("on the machine of %s: %w", a.target.Name, err)
	}
	if asides == nil {
		asides = []Aside{}
	}
	return a.r.Journal.Put("asides:"+a.target.Name, asides)
}

// removed refuses while the old ID is registered.
func (o onTarget) removed(ctx context.Context) error {
	list, err := o.r.list(ctx)
	if err != nil || o.r.Unsafe.SkipRemove {
		return err
	}
	if _, there := list.ByID(o.target.Old.ID); there {
		return refusef(CodeWiped, o.target.Name, "etcdops health", "its old ID %s is registered: its directory must not be emptied", o.target.Old.ID)
	}
	return nil
}
