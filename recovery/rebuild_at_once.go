package recovery

import (
	"context"
	"strconv"
	"time"
)

// mostAtOnce is how many members may join at the same time: each takes the whole database from the leader.
const mostAtOnce = 2

// joinAtOnce settles how many members join at the same time. Every server of the new cluster checks by its own setting how many
// learners there may be when it applies the change, so all must allow them: one that does not would have another membership
// than the rest. The result says why fewer join than were asked for, empty when they do not.
func (p *RebuildPlan) joinAtOnce(facts RebuildFacts, want int) string {
	if want < mostAtOnce || len(p.Members) <= mostAtOnce {
		return ""
	}
	for _, m := range p.Members {
		n := facts.node(m.Name)
		switch {
		case n == nil || n.Survey == nil || n.Survey.Manual:
			return "how " + m.Name + " is started is not known, and servers allow one learner at a time unless max-learners says more"
		case maxLearners(*n.Survey) < mostAtOnce:
			return m.Name + " is started without max-learners 2, and so allows one learner at a time"
		}
	}
	p.AtOnce = mostAtOnce
	return ""
}

// maxLearners is how many learners a server allows.
func maxLearners(s Survey) int {
	for _, name := range []string{"max-learners", "experimental-max-learners"} { // the second until 3.5
		if n, err := strconv.Atoi(s.Setting(name)); err == nil {
			return n
		}
	}
	return 1
}

// arriveAction waits until a new member has the data on its disk, which it then applies. It proves nothing: members that join
// at the same time are only kept from beginning together, which once made them wait for each other.
type arriveAction struct{ onTarget }

// arriveLimit ends the wait: what keeps the data from arriving is found by the step that waits for the member.
const arriveLimit = 2 * time.Minute

// Done implements Action.
func (a *arriveAction) Done(ctx context.Context) (bool, error) {
	status, err := a.node.Status(ctx)
	if err != nil {
		return false, err
	}
	return !status.Known || !status.Running || status.Bytes >= a.r.Journal.Plan.Member.DBSize, nil
}

// Do implements Action.
func (a *arriveAction) Do(ctx context.Context, tell Tell) error {
	begun := time.Now()
	return wait(ctx, func(ctx context.Context) (bool, error) {
		tell("the data are on their way to "+a.target.Name, nil)
		done, err := a.Done(ctx)
		return done || time.Since(begun) > arriveLimit, err
	})
}
