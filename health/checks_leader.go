package health

import (
	"fmt"

	"github.com/etcdops/etcdops/ops"
)

func leaderChecks() []Check {
	return []Check{
		{
			ID: "leader.present", Title: "there is a leader", Scope: ScopeCluster, Needed: true,
			Source: "every member's status", Rule: "critical when no member that answers sees a leader", From: FromMixin,
			Cause:  "A majority is down or cut off, or an election is under way (it takes one to two election timeouts).",
			Danger: "Nothing can be written, and linearizable reads wait.",
			Fix:    []string{"ask again in a few seconds", "if it stays so, bring a majority of the voters back: etcdops explain quorum"},
			eval:   evalLeaderPresent,
		},
		{
			ID: "leader.agreement", Title: "all members follow one leader in one term", Scope: ScopeMember,
			Source: "every member's status, sampled twice, a moment apart when the first samples differ",
			Rule:   "critical for a voter that differs in both samples; warns when it differs in the second only, and for learners", From: FromUs,
			Cause:  "The member is cut off from its peers, or elections do not come to an end (slow disks or network, one-way partitions).",
			Danger: "A member that follows nobody serves stale reads and no writes; frequent elections stall every write.",
			Fix: []string{
				"check the network between the peers' URLs in both directions",
				"check the disk of the leader: a slow fsync makes it lose its leadership",
			},
			eval: evalLeaderAgreement,
		},
	}
}

func evalLeaderPresent(v *view, _ Check) []Outcome {
	asked := 0
	for _, m := range v.members {
		s := m.last()
		if s == nil {
			continue
		}
		if asked++; s.Status.Leader != 0 {
			leader := v.leader()
			return []Outcome{{Value: leader.String(), Message: v.label(leader) + " leads"}}
		}
	}
	if asked == 0 && v.majorityProof().noLeader == nil {
		return unknown(v.whyNothing())
	}
	return critical("no member that answers sees a leader", "ask again in a few seconds; etcdops explain leader.present")
}

// leader returns the leader that most members of the highest term with a leader name, and 0 when there is none.
func (v *view) leader() ops.MemberID {
	b, _ := v.belief((*member).last)
	return b.leader
}

// belief is whom a member follows, and since when.
type belief struct {
	leader ops.MemberID
	term   uint64
}

func beliefOf(s *StatusAnswer) belief { return belief{s.Status.Leader, s.Status.RaftTerm} }

// belief returns what most members believe; a belief in a leader outweighs one in none, and a later term an earlier.
// unanimous is false as soon as one member that answered believes something else.
func (v *view) belief(sample func(*member) *StatusAnswer) (common belief, unanimous bool) {
	count := map[belief]int{}
	for _, m := range v.members {
		if s := sample(m); s != nil {
			count[beliefOf(s)]++
		}
	}
	best := 0
	for b, n := range count {
		if best == 0 || b.outweighs(common, n, best) {
			common, best = b, n
		}
	}
	return common, len(count) <= 1
}

func (b belief) outweighs(o belief, n, m int) bool {
	switch {
	case (b.leader != 0) != (o.leader != 0):
		return b.leader != 0
	case n != m:
		return n > m
	case b.term != o.term:
		return b.term > o.term
	}
	return b.leader > o.leader
}

func evalLeaderAgreement(v *view, _ Check) []Outcome {
	common, unanimous := v.belief((*member).last)
	_, before := v.belief((*member).first)
	return eachStatus(v, func(m *member, s *StatusAnswer) Outcome {
		b := beliefOf(s)
		o := Outcome{Value: fmt.Sprintf("leader %s, term %d", b.leader, b.term)}
		if unanimous || b == common {
			return o
		}
		o.Severity = SeverityCritical
		if m.Learner || before || beliefOf(m.first()) == common {
			o.Severity = SeverityWarning
		}
		o.Message = fmt.Sprintf("%s in term %d, others follow %s in term %d",
			v.following(b), b.term, v.label(common.leader), common.term)
		o.Next = "check the network between the peers' URLs; etcdops explain leader.agreement"
		return o
	})
}

func (v *view) following(b belief) string {
	if b.leader == 0 {
		return "follows nobody"
	}
	return "follows " + v.label(b.leader)
}
