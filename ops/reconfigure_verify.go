package ops

import (
	"context"
	"errors"
	"strings"
	"time"
)

// done looks whether a change has been made whose answer did not arrive.
func (t *changing) done(ctx context.Context) (done, looked bool) {
	deadline := time.Now().Add(verifyLimit)
	for time.Now().Before(deadline) {
		o, err := t.c.Observe(ctx)
		if err == nil && o.Leader != 0 {
			list := o.Membership()
			if shows(&t.change, list, o.Leader) {
				t.result.Membership = list
				return true, true
			}
			looked = true
		}
		if hold(ctx, changePoll) != nil {
			break
		}
	}
	return false, looked
}

// shows reports whether a member list shows a change; the ID of a member that was added is filled in.
func shows(change *Change, list Membership, leader MemberID) bool {
	if change.adds() {
		for _, m := range list.Members {
			if sameSet(m.PeerURLs, change.PeerURLs) && (change.Member == 0 || change.Member == m.ID) {
				change.Member = m.ID
				return true
			}
		}
		return false
	}
	m, listed := list.ByID(change.Member)
	switch change.Kind {
	case ChangeRemove:
		return !listed
	case ChangePromote:
		return listed && !m.Learner
	case ChangeUpdate:
		return listed && sameSet(m.PeerURLs, change.PeerURLs)
	case ChangeMoveLeader:
		return leader == change.Member
	default:
		return false
	}
}

// verify waits until every member that works shows the change.
func (t *changing) verify(ctx context.Context) error {
	t.result.Change = t.change
	deadline := time.Now().Add(verifyLimit)
	var why string
	for {
		o, err := t.c.Observe(ctx)
		if err == nil {
			why = t.differs(o)
			if why == "" {
				t.tell("verified", "verified on "+strings.Join(t.result.VerifiedOn, ", "), 0, 0)
				return nil
			}
		} else {
			why = err.Error()
		}
		if time.Now().After(deadline) {
			return &HintError{
				Code: CodeNotVerified, Class: ClassFailure, Op: t.change.text(t.label()),
				Err: errors.New("the change was made, and could not be verified: " + why), Hint: "etcdops member list; etcdops health",
			}
		}
		if err := hold(ctx, changePoll); err != nil {
			return err
		}
	}
}

// differs says what keeps the observation from proving the change; "" when it does.
func (t *changing) differs(o Observation) string {
	t.result.Membership = o.Membership()
	t.result.VerifiedOn, t.result.Missing = []string{}, []string{}
	switch {
	case o.Leader == 0:
		return "the members have no common leader"
	case !shows(&t.change, t.result.Membership, o.Leader):
		return "the leader's member list does not show it"
	case len(o.Disagree) > 0:
		return strings.Join(o.Disagree, ", ") + " does not show it yet"
	}
	for _, m := range o.Members {
		switch m.Condition {
		case Live:
			t.result.VerifiedOn = append(t.result.VerifiedOn, m.Label())
		default:
			if m.ID == t.change.Member && t.change.adds() {
				continue // it is to be started now
			}
			if before := t.before(m.ID); before == Live && m.Condition != Unproven {
				return m.Label() + " worked before and does not now: " + m.Cause
			}
			t.result.Missing = append(t.result.Missing, m.Label())
		}
	}
	return ""
}

// before is the condition of a member in the proof.
func (t *changing) before(id MemberID) Condition {
	for _, m := range t.result.Proof.Members {
		if m.ID == id {
			return m.Condition
		}
	}
	return ""
}
