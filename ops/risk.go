package ops

import (
	"errors"
	"slices"
)

// The risks that can be accepted by their names. What would leave a cluster without a quorum is none of them.
const (
	RiskUnstartedVoter  = "unstarted-voter"  // one voter becomes two, and the second has not started: no quorum until it does
	RiskLessTolerance   = "less-tolerance"   // a voter is added that has not started: fewer failures are survived than before
	RiskLiveMember      = "live-member"      // a voter that works is removed while others do not
	RiskDeadLearner     = "dead-learner"     // a learner that does not answer becomes a voter
	RiskLaggingLearner  = "lagging-learner"  // a learner becomes a voter before it has applied what the leader had committed
	RiskDeadAddress     = "dead-address"     // a member that works gets peer URLs at which nothing answers
	RiskUnprovenAddress = "unproven-address" // a member gets peer URLs of which it cannot be seen who answers there
	RiskCorruptMember   = "corrupt-member"   // members are added or promoted while data are known to differ
)

// Risks names all risks that can be accepted, with what each means and what to do instead.
func Risks() []Explanation {
	return []Explanation{
		{
			RiskUnstartedVoter, "the only voter becomes one of two, and the other has not started",
			"A second voter counts at once, and both must agree from then on.",
			"The cluster neither reads nor writes until the second member has started; if it never does, it is lost to rebuild-cluster.",
			[]string{"add it as a learner (the default), start it, promote it"},
		},
		{
			RiskLessTolerance, "the new voter has not started, and counts",
			"The majority grows with the list, not with the members that work.",
			"Until the new member has started and caught up, fewer failures are survived than before.",
			[]string{"add it as a learner (the default), start it, promote it"},
		},
		{
			RiskLiveMember, "a voter that works is removed while others do not work",
			"Each removal of a working voter takes a vote away that the broken ones cannot give.",
			"One failure more may cost the quorum.",
			[]string{"remove or mend the members that do not work first"},
		},
		{
			RiskDeadLearner, "a learner that does not answer becomes a voter",
			"The server looks at how much the learner had received, not at whether it lives.",
			"A dead voter counts towards the majority.",
			[]string{"start the learner and wait until it has caught up", "remove it if it is not needed"},
		},
		{
			RiskLaggingLearner, "the learner has not applied what the leader had committed",
			"The server accepts a promotion as soon as a snapshot was sent, seconds before the learner has applied it.",
			"It counts towards the majority and may hold up writes until it has caught up.",
			[]string{"wait: etcdops member promote waits for it by itself"},
		},
		{
			RiskDeadAddress, "nothing answers at the new peer URL",
			"The server takes any address without trying it.",
			"The other members lose the member as soon as their connections break: it counts as lost from then on.",
			[]string{"let the member listen at the new address too (--listen-peer-urls), then update", "correct the URL"},
		},
		{
			RiskUnprovenAddress, "it cannot be seen who answers at the new peer URL",
			"Something answers there and does not let this client in: peers may need another certificate than clients.",
			"If it is not the member itself, the others lose it.",
			[]string{"name certificates that peers accept with --cacert, --cert and --key"},
		},
		{
			RiskCorruptMember, "the data of a member are known to differ",
			"A CORRUPT alarm is raised, and it names a member that would stay.",
			"A new member may copy the wrong data, and the good ones may be outvoted.",
			[]string{"find out which member is wrong (etcdops health), and remove that one first"},
		},
	}
}

// RiskNames lists the names of all risks.
func RiskNames() []string {
	var names []string
	for _, r := range Risks() {
		names = append(names, r.Code)
	}
	return names
}

// RisksOf returns the risks for which CheckChange refused, nil when the refusal had another reason.
func RisksOf(err error) []Risk {
	refused, ok := errors.AsType[*refusedError](err)
	if !ok {
		return nil
	}
	return refused.risks
}

// riskHint is what to do instead.
func riskHint(name string) string {
	risks := Risks()
	i := slices.IndexFunc(risks, func(r Explanation) bool { return r.Code == name })
	if i < 0 {
		return ""
	}
	return risks[i].Fix[0]
}
