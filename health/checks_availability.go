package health

import (
	"fmt"
	"strconv"
)

// quorumID names the check that decides whether the cluster is available.
const quorumID = "quorum"

func availabilityChecks() []Check {
	return []Check{
		{
			ID: quorumID, Title: "a majority of the voters works together", Scope: ScopeCluster, Needed: true,
			Source: "every member's status, and one linearizable read of the key \"health\" through each member that sees a leader",
			Rule:   "critical when fewer than a majority work, or when no member gets a linearizable read through", From: FromMixin,
			Cause:  "Too many voting members are stopped, cut off or without a leader. Members that never started count as voters too.",
			Danger: "The cluster accepts no write and no linearizable read. Nothing is lost yet: what was acknowledged is in the data directories of the members.",
			Fix: []string{
				"start the members that are down, on their own data directories; touch nothing else",
				"do not wipe a data directory and do not use --force-new-cluster while a majority may still come back",
				"if a majority is gone for good: etcdops explain quorum-lost",
			},
			eval: evalQuorum,
		},
		{
			ID: "tolerance", Title: "the cluster survives one more failure", Scope: ScopeCluster, Needed: true,
			Source: "member list and every member's status; a member that never started counts as failed",
			Rule:   "warns when no more voter may fail; a cluster of one voter is left to membership.size", From: FromUs,
			Cause:  "Voters are down, or were added and never started, or the cluster has two voters only.",
			Danger: "The next failure, or the next restart of any voter, stops the cluster.",
			Fix: []string{
				"bring the failed voters back before anything else is changed or restarted",
				"remove voters that will not come back: etcdops member remove ID",
			},
			eval: evalTolerance,
		},
		{
			ID: "reachability", Title: "every member answers at its advertised address", Scope: ScopeEndpoint, Needed: true,
			Source: "a connection in stages (DNS, TCP, TLS, authentication, request) to every client URL, given or advertised",
			Rule:   "warns when a member or an address does not answer; critical when none does; unknown when a member answers to authenticated users only", From: FromMixin,
			Cause:  "The member is down or hung, its address is wrong, a firewall is between, or the certificates do not fit. The message tells the stage and the cause.",
			Danger: "A member that is down takes part in no decision; an address that is wrong is handed to every client that asks for the endpoints.",
			Fix: []string{
				"refused: start etcd on that host",
				"hung: look at the host's disk and CPU, then restart etcd there",
				"waiting: bring back the others that it waits for; it runs, and needs no restart",
				"TLS: give the cluster's CA and a client certificate (--cacert, --cert, --key)",
				"authentication: --user NAME --password-file FILE",
			},
			eval: evalReachability,
		},
	}
}

// proof is what the linearizable reads say about a majority.
type proof struct {
	passed   bool     // one came through: a majority confirmed the leader
	refused  *Failure // by authorisation: says nothing
	noLeader *Failure
	failed   *Failure
}

func (v *view) majorityProof() proof {
	var p proof
	for i := range v.facts.Endpoints {
		e := &v.facts.Endpoints[i]
		if id := clusterOf(e); id != 0 && id != v.clusterID {
			continue
		}
		if f := e.Connect.Failure; f != nil && f.Kind == KindNoLeader { // the login needs a leader too
			p.noLeader = f
		}
		switch a := e.Linearizable; {
		case a == nil:
		case a.done():
			p.passed = true
		case a.Failure.Kind == KindAuth:
			p.refused = a.Failure
		case a.Failure.Kind == KindNoLeader:
			p.noLeader = a.Failure
		case a.Failure.Kind != KindUnsupported:
			p.failed = a.Failure
		}
	}
	return p
}

func evalQuorum(v *view, _ Check) []Outcome {
	p := v.majorityProof()
	if v.list == nil {
		if p.noLeader != nil {
			return critical("a member that answers has no leader, so no majority works together", "etcdops explain quorum")
		}
		return unknown(v.whyNoList())
	}
	votes := v.standing()
	shown := fmt.Sprintf("%d of %d", votes.Healthy, votes.Total)
	answering := fmt.Sprintf("%d of %d voters %s", votes.answering, votes.Total, verb(votes.answering, "answers", "answer"))
	out := Outcome{Value: shown, Limit: strconv.Itoa(votes.Quorum())}
	switch {
	case p.passed && votes.HasQuorum():
		out.Message = shown + " voters work, and a majority confirmed a linearizable read"
	case p.passed:
		out.Message = "a majority confirmed a linearizable read, though only " + shown + " voters are seen to work from here"
	case votes.HasQuorum() && p.failed == nil && p.refused != nil:
		out.Severity = SeverityUnknown
		out.Message = "the linearizable read that would prove it was refused: " + p.refused.Message
		out.Next = p.refused.Hint
	case votes.lacking() <= 0 && v.leader() == 0:
		out.Severity = SeverityCritical
		out.Message = answering + ", but none has a leader"
		out.Next = "etcdops explain leader.present"
	case votes.lacking() <= 0:
		out.Severity = SeverityCritical
		out.Message = answering + ", but no linearizable read came through" + because(p.failed)
		out.Next = "etcdops explain quorum"
	case votes.answering+votes.untold >= votes.Quorum():
		out.Severity = SeverityUnknown
		out.Message = fmt.Sprintf("%s, and %d more %s only to authenticated users", answering, votes.untold, verb(votes.untold, "does", "do"))
		out.Next = "--user NAME --password-file FILE"
	default:
		out.Severity = SeverityCritical
		out.Message = fmt.Sprintf("only %s, and %d are needed", answering, votes.Quorum())
		out.Next = "etcdops explain quorum"
	}
	return []Outcome{out}
}

func because(f *Failure) string {
	if f == nil {
		return ""
	}
	return ": " + f.Message
}

func critical(message, next string) []Outcome {
	return []Outcome{{Severity: SeverityCritical, Message: message, Next: next}}
}

func evalTolerance(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	votes := v.standing()
	left, p := votes.Tolerance(), v.majorityProof()
	out := Outcome{Value: strconv.Itoa(max(left, 0)), Limit: "1"}
	switch {
	case votes.lacking() <= 0 && !p.passed && (v.leader() == 0 || p.failed != nil):
		out.Severity = SeverityWarning
		out.Message = "no majority works now that could survive a failure"
		out.Next = "etcdops explain quorum"
	case left > 0:
		out.Message = plural(left, "voter") + " more may fail"
	case votes.untold > 0:
		return unknown(fmt.Sprintf("%s %s only to authenticated users", plural(votes.untold, "voter"), verb(votes.untold, "answers", "answer")))
	case left < 0 && p.passed:
		return unknown("a majority works, but too few voters are seen to work from here to count what may fail")
	case left < 0:
		out.Severity = SeverityWarning
		out.Message = "the majority is lost"
		if votes.lacking() > 0 {
			out.Message += ": " + plural(votes.lacking(), "more voter") + " needed"
		}
		out.Next = "etcdops explain quorum"
	case votes.Total == 1:
		out.Message = "a single voter survives no failure, by design"
	case votes.Healthy == votes.Total:
		out.Severity = SeverityWarning
		out.Message = fmt.Sprintf("no voter may fail: all %d are needed", votes.Total)
		out.Next = "add a member: etcdops member add NAME --learner --peer-urls=URL"
	default:
		out.Severity = SeverityWarning
		out.Message = fmt.Sprintf("no more may fail: %d of %d voters work, and %d are needed", votes.Healthy, votes.Total, votes.Quorum())
		out.Next = "bring the others back before anything is restarted"
	}
	return []Outcome{out}
}
