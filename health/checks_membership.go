package health

import (
	"fmt"
	"strconv"
	"strings"
)

const fromMemberList = "member list, each member's own copy, read without a quorum"

func membershipChecks() []Check {
	return []Check{
		{
			ID: "membership.unstarted", Title: "every member in the list has started", Scope: ScopeMember, Source: fromMemberList,
			Rule: "warns for every member without a name; critical when the voters that work are fewer than a majority", From: FromUs,
			Cause: "A member was added and its process was never started, or it fails at start (wrong --initial-cluster, a peer URL that differs from the one added).",
			Danger: "A voter counts towards the majority from the moment it is added. Every upstream health check passes, " +
				"and yet the next failure stops the cluster.",
			Fix: []string{
				"start it with --initial-cluster-state existing and the peer URL in the list",
				"or remove it: etcdops member remove ID",
				"next time add it as a learner: etcdops member add NAME --learner --peer-urls=URL",
			},
			eval: evalUnstarted,
		},
		{
			ID: "membership.duplicate", Title: "names and URLs are used once", Scope: ScopeCluster, Source: fromMemberList,
			Rule: "warns when two members share a name, a peer URL or a client URL", From: FromUs,
			Cause:  "A unit file or manifest was copied without changing its name or addresses.",
			Danger: "Commands and dashboards that name a member mean two of them; a shared address sends requests to the wrong one.",
			Fix:    []string{"restart one of them with its own --name and URLs", "peer URLs: etcdops member update ID --peer-urls=URL"},
			eval:   evalDuplicate,
		},
		{
			ID: "membership.even", Title: "the number of voters is odd", Scope: ScopeCluster, Source: fromMemberList,
			Rule: "warns when it is even", From: FromDocs,
			Cause:  "A member was added without another, or removed and not replaced.",
			Danger: "An even cluster survives no more failures than one voter fewer would, and has one member more that can fail.",
			Fix:    []string{"add a member, or remove one: three voters survive one failure, five survive two"},
			eval:   evalEven,
		},
		{
			ID: "membership.size", Title: "there are three to seven voters", Scope: ScopeCluster, Source: fromMemberList,
			Rule: "warns for one voter and for more than seven", From: FromDocs,
			Cause:  "A test or single-node set-up, or a cluster that grew with its nodes.",
			Danger: "One voter survives no failure. More than seven cost write latency and gain nothing.",
			Fix:    []string{"one: add two members, as learners first", "more than seven: remove voters, or run the others as learners"},
			eval:   evalSize,
		},
	}
}

func evalUnstarted(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	votes := v.standing()
	var out []Outcome
	for _, m := range v.members {
		if !m.listed {
			continue
		}
		o := Outcome{Member: m.label, Message: "has started"}
		if !m.Started() {
			o = m.unstarted()
			if !m.Learner && votes.Tolerance() < 0 && !v.majorityProof().passed {
				o.Severity = SeverityCritical
			}
		}
		out = append(out, o)
	}
	return out
}

func (m *member) unstarted() Outcome {
	o := Outcome{Severity: SeverityWarning, Member: m.label, Value: strings.Join(m.PeerURLs, " ")}
	switch {
	case len(m.answered) > 0:
		o.Message = "runs, but could not publish its name yet"
		o.Next = "ask again in a few seconds; read its log if it stays so"
	case m.Learner:
		o.Message = "learner was added and never started"
		o.Next = "start it, or etcdops member remove " + m.ID.String()
	default:
		o.Message = "counts towards quorum but never started"
		o.Next = "start it, or etcdops member remove " + m.ID.String()
	}
	return o
}

func evalDuplicate(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	var out []Outcome
	seen := map[string]string{} // kind and value -> first owner
	for _, m := range v.list.Members {
		var uses []string
		if m.Started() {
			uses = append(uses, "name "+m.Name)
		}
		for _, u := range m.PeerURLs {
			uses = append(uses, "peer URL "+u)
		}
		for _, u := range m.ClientURLs {
			uses = append(uses, "client URL "+u)
		}
		for _, use := range uses {
			owner, taken := seen[use]
			if seen[use] = m.ID.String(); !taken {
				continue
			}
			out = append(out, Outcome{
				Severity: SeverityWarning, Member: v.label(m.ID), Value: use,
				Message: fmt.Sprintf("%s belongs to members %s and %s", use, owner, m.ID),
				Next:    "etcdops explain membership.duplicate",
			})
		}
	}
	if len(out) == 0 {
		out = append(out, Outcome{Message: "every name and URL is used once"})
	}
	return out
}

func evalEven(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	n := len(v.list.Voters())
	o := Outcome{Value: strconv.Itoa(n), Message: plural(n, "voter")}
	if n%2 == 0 {
		o.Severity = SeverityWarning
		o.Message = fmt.Sprintf("%d voters survive no more failures than %d", n, max(n-1, 0))
		o.Next = "add a member or remove one"
	}
	return []Outcome{o}
}

// maxVoters is the largest cluster that etcd's documentation recommends.
const maxVoters = 7

func evalSize(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	n := len(v.list.Voters())
	o := Outcome{Value: strconv.Itoa(n), Message: plural(n, "voter")}
	switch {
	case n == 1:
		o.Severity, o.Limit = SeverityWarning, "1"
		o.Message = "one voter survives no failure"
		o.Next = "fine for a test; otherwise etcdops member add NAME --learner --peer-urls=URL"
	case n > maxVoters:
		o.Severity, o.Limit = SeverityWarning, strconv.Itoa(maxVoters)
		o.Message = fmt.Sprintf("%d voters: every write waits for %d of them", n, n/2+1)
		o.Next = "remove voters until at most 7 are left"
	}
	return []Outcome{o}
}
