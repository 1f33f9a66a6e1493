package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

func identityChecks() []Check {
	return []Check{
		{
			ID: "cluster.id", Title: "all endpoints belong to one cluster", Scope: ScopeEndpoint,
			Source: "cluster ID in the header of every status; where the endpoints were found on this machine, its manifests, services and data directories too",
			Rule: "critical for every endpoint that differs, and when the member that this machine should run is stopped and " +
				"what answers in its place is a cluster that does not list it; unknown when nothing tells which cluster it is of",
			From: FromUs,
			Cause: "A member was wiped and started as a new cluster, a backup was restored beside the old cluster, or endpoints of two clusters were given. " +
				"Or this machine's own member is down, and an etcd of something else runs on it.",
			Danger: "Clients that reach the other cluster read old or no data, and what they write there is lost to this one. " +
				"Merging the two is not possible: one of them has to go.",
			Fix: []string{
				"this machine's own member is down: systemctl status etcd etcdops; crictl ps -a --name etcd; journalctl -u etcd",
				"another cluster is meant than this machine's: name it with --endpoints or --context",
				"find out which cluster is the right one before anything is stopped: compare revisions with etcdops status",
				"stop the member that is alone, keep its data directory aside, and add it again empty: etcdops explain replace-member",
			},
			eval: evalClusterID,
		},
		{
			ID: "membership.agreement", Title: "all members know the same member list", Scope: ScopeMember,
			Source: "each voter's own copy of the member list (a learner refuses to tell its copy)",
			Rule:   "critical when a copy differs, or when a member answers that is in nobody's list", From: FromUs,
			Cause: "A member is far behind, was removed and still runs, or its store is damaged " +
				"(3.5 before 3.5.26 could bring removed members back).",
			Danger: "Members that count different majorities can decide different things.",
			Fix: []string{
				"ask again in a few seconds: a change may be under way",
				"stop a member that was removed; keep its data directory",
				"replace a member whose list stays wrong: etcdops explain replace-member",
			},
			eval: evalMembershipAgreement,
		},
		{
			ID: "endpoint.identity", Title: "every advertised client URL leads to the member that advertises it", Scope: ScopeEndpoint,
			Source: "member ID in the status read through each advertised client URL",
			Rule:   "critical when another member of the cluster answers", From: FromUs,
			Cause:  "Advertised client URLs were swapped or copied, or a load balancer's address is advertised.",
			Danger: "A command meant for one member is carried out on another: the wrong member is defragmented, stopped or replaced.",
			Fix:    []string{"restart the member with its own --advertise-client-urls"},
			eval:   evalEndpointIdentity,
		},
	}
}

func evalClusterID(v *view, _ Check) []Outcome {
	if !v.reached() {
		return nil
	}
	var out []Outcome
	for i := range v.facts.Endpoints {
		e := &v.facts.Endpoints[i]
		o := Outcome{Member: v.advertiser(e), Endpoint: e.URL}
		switch id := clusterOf(e); id {
		case 0:
			o.Severity = SeverityUnknown
			o.Message = "not known: " + e.why()
		case v.clusterID:
			o.Value, o.Message = id.String(), "belongs to the cluster"
		default:
			o.Severity, o.Value, o.Limit = SeverityCritical, id.String(), v.clusterID.String()
			o.Message = fmt.Sprintf("%s belongs to cluster %s, not to %s", e.URL, id, v.clusterID)
			o.Next = "stop it before clients write to it; etcdops explain cluster.id"
			if o.Member == "" { // nobody advertises it: two clusters were named, and both may be in use
				o.Next = "if two clusters were named, ask each by itself; etcdops explain cluster.id"
			}
		}
		out = append(out, o)
	}
	return append(out, evalStopped(v)...)
}

// evalStopped holds the members that this machine should run and does not against the member list of those that answer: of
// a cluster that does not list them it says nothing that anybody asked for.
func evalStopped(v *view) []Outcome {
	var out []Outcome
	for i := range v.facts.Local {
		l := &v.facts.Local[i]
		if !l.Stopped || v.list != nil && slices.ContainsFunc(v.list.Members, l.is) {
			continue // if it is listed, reachability tells of it
		}
		o := Outcome{Severity: SeverityUnknown, Needed: true, Next: "start it (systemctl status etcd etcdops; crictl ps -a --name etcd), or name the cluster that is meant: --endpoints URL"}
		who := "this machine's own member"
		if l.Name != "" {
			who += " " + l.Name
		}
		o.Message = fmt.Sprintf("%s (%s) does not run here; whether what answers is its cluster is not known", who, l.Source)
		if v.list != nil && len(l.ClientURLs)+len(l.PeerURLs) > 0 {
			o.Severity = SeverityCritical
			o.Message = fmt.Sprintf("%s (%s) does not run here, and what answers is another cluster, which does not list it", who, l.Source)
		}
		out = append(out, o)
	}
	return out
}

// is reports whether a listed member is this one: their names do not differ, and they share an address.
func (l *LocalMember) is(m ops.Member) bool {
	if l.Name != "" && m.Name != "" && l.Name != m.Name {
		return false
	}
	for _, own := range [][2][]string{{l.ClientURLs, m.ClientURLs}, {l.PeerURLs, m.PeerURLs}} {
		if slices.ContainsFunc(own[0], func(u string) bool { return slices.Contains(own[1], u) }) {
			return true
		}
	}
	return false
}

// why says why an endpoint gave no status.
func (e *Endpoint) why() string {
	if f := e.failure(); f != nil {
		return f.Message
	}
	return "it did not say"
}

// advertiser names the member that answered at the endpoint, or else the first one that advertises it.
func (v *view) advertiser(e *Endpoint) string {
	name := ""
	for _, m := range v.members {
		switch {
		case slices.Contains(m.answered, e):
			return m.label
		case name == "" && (slices.Contains(m.silent, e) || slices.Contains(m.elsewhere, e)):
			name = m.label
		}
	}
	return name
}

func evalMembershipAgreement(v *view, _ Check) []Outcome {
	if v.list == nil {
		return unknown(v.whyNoList())
	}
	var out []Outcome
	for _, m := range v.members {
		switch {
		case !m.listed:
			out = append(out, Outcome{
				Severity: SeverityCritical, Member: m.label, Endpoint: m.answered[0].URL,
				Message: m.answered[0].URL + " answers as a member of the cluster, but is not in its member list",
				Next:    "stop it if it was removed; etcdops explain membership.agreement",
			})
		case m.Learner, !m.Started() && len(m.answered) == 0:
		default:
			out = append(out, v.agrees(m))
		}
	}
	return out
}

func (v *view) agrees(m *member) Outcome {
	reason := "not known: " + m.whySilent()
	for _, e := range m.answered {
		switch {
		case e.Members == nil:
		case e.Members.Failure != nil:
			reason = "its member list is not known: " + e.Members.Failure.Message
		case e.Members.Membership == nil:
		case e.Members.Membership.Equal(*v.list):
			return Outcome{Member: m.label, Message: "knows the same " + plural(len(v.list.Members), "member")}
		default:
			return Outcome{
				Severity: SeverityCritical, Member: m.label, Endpoint: e.URL,
				Message: "knows another member list: " + difference(*e.Members.Membership, *v.list),
				Next:    "ask again in a few seconds; etcdops explain membership.agreement",
			}
		}
	}
	return Outcome{Severity: SeverityUnknown, Member: m.label, Message: reason}
}

// difference says how a member list differs from the one that is believed.
func difference(got, want ops.Membership) string {
	var parts []string
	for _, m := range got.Members {
		other, ok := want.ByID(m.ID)
		switch {
		case !ok:
			parts = append(parts, "has "+m.Label())
		case !(ops.Membership{Members: []ops.Member{m}}).Equal(ops.Membership{Members: []ops.Member{other}}):
			parts = append(parts, "tells "+m.Label()+" differently")
		}
	}
	for _, m := range want.Members {
		if _, ok := got.ByID(m.ID); !ok {
			parts = append(parts, "lacks "+m.Label())
		}
	}
	if len(parts) == 0 {
		return "of another cluster, or with entries twice"
	}
	return strings.Join(parts, ", ")
}

func evalEndpointIdentity(v *view, _ Check) []Outcome {
	var out []Outcome
	for _, m := range v.members {
		for _, e := range m.answered {
			out = append(out, Outcome{Member: m.label, Endpoint: e.URL, Message: "answers as itself"})
		}
		for _, e := range m.silent {
			out = append(out, Outcome{
				Severity: SeverityUnknown, Member: m.label, Endpoint: e.URL, Message: "not known: " + e.why(),
			})
		}
		for _, e := range m.elsewhere {
			out = append(out, v.misled(m, e))
		}
	}
	return out
}

// misled judges an advertised URL at which somebody else answered. Another cluster's member is left to cluster.id.
func (v *view) misled(m *member, e *Endpoint) Outcome {
	s := e.lastStatus().Status
	o := Outcome{Member: m.label, Endpoint: e.URL, Value: s.MemberID.String(), Limit: m.ID.String()}
	if s.ClusterID != v.clusterID {
		o.Severity, o.Message = SeverityUnknown, e.URL+" leads to another cluster: see cluster.id"
		return o
	}
	o.Severity = SeverityCritical
	o.Message = fmt.Sprintf("its advertised %s leads to %s", e.URL, v.label(s.MemberID))
	o.Next = "restart " + m.label + " with its own --advertise-client-urls"
	return o
}
