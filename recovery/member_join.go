package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/ops"
)

// addAction adds the target as a learner under a new ID.
type addAction struct{ onTarget }

// Done implements Action. A learner at the target's peer URL that was not a member before the plan is ours: an earlier run
// was killed before it could note the ID.
func (a *addAction) Done(ctx context.Context) (bool, error) {
	list, err := a.r.list(ctx)
	if err != nil {
		return false, err
	}
	m, there := a.joined(list)
	if !there {
		return false, nil
	}
	known, err := a.newID()
	if err != nil || known == m.ID {
		return err == nil, err
	}
	return true, a.r.Journal.Put("id:"+a.target.Name, m.ID)
}

// joined finds the target in a list under an ID that it did not have before.
func (o onTarget) joined(list ops.Membership) (ops.Member, bool) {
	return joinedIn(o.r.Journal.Plan, o.target, list)
}

// Do implements Action.
func (a *addAction) Do(ctx context.Context, tell Tell) error {
	if err := a.removed(ctx); err != nil {
		return err
	}
	var id ops.MemberID
	err := a.r.lead.change(ctx, "add "+a.target.Name, tell, a.proof, func(ctx context.Context, c *clientv3.Client) error {
		resp, err := c.MemberAddAsLearner(ctx, a.target.PeerURLs)
		if err == nil {
			id = ops.MemberID(resp.Member.ID)
		}
		return adding(err)
	})
	if err != nil {
		if errors.Is(rpctypes.Error(err), rpctypes.ErrTooManyLearners) {
			return refusef(CodePending, a.target.Name, "etcdops member list", "the cluster has a learner already")
		}
		return a.r.Cluster.Explain(ctx, "add "+a.target.Name+" through", a.r.lead.url, err)
	}
	return a.r.Journal.Put("id:"+a.target.Name, id)
}

// startAction gives the target its new configuration and starts it.
type startAction struct{ onTarget }

// Done implements Action.
func (a *startAction) Done(ctx context.Context) (bool, error) {
	status, err := a.node.Status(ctx)
	if err != nil {
		return false, err
	}
	if status.Known {
		return status.Running && !status.Masked, nil
	}
	m, err := a.inList(ctx)
	return m.Started(), err
}

// inList is the target's new entry in the member list.
func (o onTarget) inList(ctx context.Context) (ops.Member, error) {
	id, err := o.newID()
	if err != nil {
		return ops.Member{}, err
	}
	list, err := o.r.list(ctx)
	if err != nil {
		return ops.Member{}, err
	}
	m, ok := list.ByID(id)
	if !ok {
		return m, &ops.HintError{
			Code: CodeStalled, Op: "look for", Member: o.target.Name,
			Err: fmt.Errorf("its new ID %s is not in the member list: somebody removed it; to go on adds it anew, etcdops recover abandon leaves it out", id),
		}
	}
	return m, nil
}

// Do implements Action. Its directory is empty, or of the new ID: anything else is not started.
func (a *startAction) Do(ctx context.Context, tell Tell) error {
	m, err := a.inList(ctx)
	if err != nil {
		return err
	}
	status, err := a.node.Status(ctx)
	if err != nil {
		return err
	}
	if status.MemberID != 0 && status.MemberID != m.ID {
		return refusef(CodeForeign, a.target.Name, "find what started it; set the directory aside by hand",
			"its directory holds data of member %s, it joins as %s", status.MemberID, m.ID)
	}
	list, err := a.r.list(ctx)
	if err != nil {
		return err
	}
	for _, act := range []struct {
		what string
		do   func() error
	}{
		{"configure", func() error {
			return a.node.Configure(ctx, joinSettings(list, m.ID, a.target, a.r.Journal.Plan.Member.Targets))
		}},
		{"unmask", func() error { return a.node.Unmask(ctx) }},
		{"start", func() error { return a.node.Start(ctx) }},
	} {
		if err := act.do(); err != nil {
			return fmt.Errorf("%s %s: %w", act.what, a.target.Name, err)
		}
	}
	if !a.target.Manual {
		return nil
	}
	return wait(ctx, func(ctx context.Context) (bool, error) {
		tell("somebody must start it", nil)
		return a.Done(ctx)
	})
}

// joinSettings are the settings that a member needs to join: exactly the member list, and that the cluster exists. They
// stay right for later starts, which ignore them while there is data; without data they keep it from beginning anew.
// Another one that joins has published no name yet: the plan has it.
func joinSettings(list ops.Membership, id ops.MemberID, t Target, joining []Target) []Setting {
	var pairs []string
	for _, m := range list.Members {
		name := m.Name
		if m.ID == id {
			name = t.Name
		}
		for i := 0; name == "" && i < len(joining); i++ {
			if slices.Equal(joining[i].PeerURLs, m.PeerURLs) {
				name = joining[i].Name
			}
		}
		for _, u := range m.PeerURLs {
			pairs = append(pairs, name+"="+u)
		}
	}
	settings := []Setting{
		{Name: "name", Value: t.Name},
		{Name: "initial-cluster", Value: strings.Join(pairs, ",")},
		{Name: "initial-cluster-state", Value: "existing"},
	}
	if !slices.Equal(t.PeerURLs, t.Old.PeerURLs) {
		settings = append(settings, Setting{Name: "initial-advertise-peer-urls", Value: strings.Join(t.PeerURLs, ",")})
	}
	return settings
}

// promoteAction makes the learner a voter.
type promoteAction struct{ onTarget }

// Done implements Action.
func (a *promoteAction) Done(ctx context.Context) (bool, error) {
	m, err := a.inList(ctx)
	return err == nil && !m.Learner, err
}

// Do implements Action. The guard has seen a moment ago that the learner lives and has applied what the leader had.
func (a *promoteAction) Do(ctx context.Context, tell Tell) error {
	id, err := a.newID()
	if err != nil {
		return err
	}
	err = a.r.lead.change(ctx, "promote "+a.target.Name, tell, a.proof, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.MemberPromote(ctx, uint64(id))
		return err
	})
	if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotLearner) {
		return a.r.Cluster.Explain(ctx, "promote "+a.target.Name+" through", a.r.lead.url, err)
	}
	return nil
}
