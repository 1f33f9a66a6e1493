package health

import (
	"cmp"
	"slices"

	"github.com/etcdops/etcdops/ops"
)

// view puts the facts together: which cluster is meant, who its members are, which answers are whose. It concludes
// nothing about health.
type view struct {
	facts     Facts
	clusterID ops.ClusterID   // the cluster that is judged; 0 when nobody told one
	list      *ops.Membership // the member list that is believed; nil when nobody gave one
	listFrom  *Endpoint       // who gave it
	members   []*member       // in the order of the list, then those that answered without being in it
	strays    []*Endpoint     // endpoints that belong to no member: unknown and silent, or of another cluster
}

// member is one member with everything that was heard of it.
type member struct {
	ops.Member
	label     string // for people: its name, with its ID when others have the same
	listed    bool
	answered  []*Endpoint // those that answered as this member
	silent    []*Endpoint // those that it advertises and that gave no status
	elsewhere []*Endpoint // those that it advertises and that answered as another member
}

// newView never fails: facts may be incomplete, contradictory or hostile.
func newView(facts Facts) *view {
	v := &view{facts: facts}
	v.clusterID = mainCluster(facts.Endpoints)
	v.chooseList()
	if v.list != nil {
		names := map[string]int{}
		for _, m := range v.list.Members {
			names[m.Label()]++
		}
		for _, m := range v.list.Members {
			label := m.Label()
			if names[label] > 1 {
				label += " (" + m.ID.String() + ")"
			}
			if v.byID(m.ID) == nil {
				v.members = append(v.members, &member{Member: m, label: label, listed: true})
			}
		}
	}
	for i := range facts.Endpoints {
		v.place(&facts.Endpoints[i])
	}
	return v
}

// clusterOf returns the cluster that an endpoint says it belongs to, and 0 when it does not say.
func clusterOf(e *Endpoint) ops.ClusterID {
	if s := e.lastStatus(); s != nil {
		return s.Status.ClusterID
	}
	if e.Members != nil && e.Members.Membership != nil {
		return e.Members.Membership.ClusterID
	}
	return 0
}

// mainCluster picks the cluster to judge when endpoints belong to more than one: that of most endpoints, then the one
// with more members, then the one that was named first. The difference itself is a finding.
func mainCluster(endpoints []Endpoint) ops.ClusterID {
	type weight struct {
		id           ops.ClusterID
		answers, big int
	}
	var weights []weight
	for i := range endpoints {
		e := &endpoints[i]
		id := clusterOf(e)
		if id == 0 {
			continue
		}
		at := slices.IndexFunc(weights, func(w weight) bool { return w.id == id })
		if at < 0 {
			weights, at = append(weights, weight{id: id}), len(weights)
		}
		weights[at].answers++
		if e.Members != nil && e.Members.Membership != nil {
			weights[at].big = max(weights[at].big, len(e.Members.Membership.Members))
		}
	}
	if len(weights) == 0 {
		return 0
	}
	slices.SortStableFunc(weights, func(a, b weight) int {
		return cmp.Or(cmp.Compare(b.answers, a.answers), cmp.Compare(b.big, a.big))
	})
	return weights[0].id
}

// ownLists returns the endpoints of the judged cluster that gave a member list.
func (v *view) ownLists() []*Endpoint {
	var out []*Endpoint
	for i := range v.facts.Endpoints {
		e := &v.facts.Endpoints[i]
		if e.Members != nil && e.Members.Membership != nil && e.Members.Membership.ClusterID == v.clusterID {
			out = append(out, e)
		}
	}
	return out
}

// chooseList believes the list that most members agree on; among equals the one of the highest term, then the first.
func (v *view) chooseList() {
	lists := v.ownLists()
	best := -1
	for i, e := range lists {
		if best < 0 || v.prefer(lists, e, lists[best]) {
			best = i
		}
	}
	if best >= 0 {
		v.listFrom, v.list = lists[best], lists[best].Members.Membership
	}
}

func (v *view) prefer(lists []*Endpoint, a, b *Endpoint) bool {
	backers := func(e *Endpoint) (n int) {
		for _, other := range lists {
			if other.Members.Membership.Equal(*e.Members.Membership) {
				n++
			}
		}
		return n
	}
	return cmp.Or(cmp.Compare(backers(a), backers(b)), cmp.Compare(termOf(a), termOf(b))) > 0
}

func termOf(e *Endpoint) uint64 {
	if s := e.lastStatus(); s != nil {
		return s.Status.RaftTerm
	}
	return 0
}

// place gives an endpoint to the member that answered there, and to the member that advertises it.
func (v *view) place(e *Endpoint) {
	owner := v.answering(e)
	if owner != nil {
		owner.answered = append(owner.answered, e)
	}
	advertised := false
	for _, m := range v.members {
		if !slices.Contains(m.ClientURLs, e.URL) {
			continue
		}
		advertised = true
		switch {
		case m == owner:
		case e.lastStatus() != nil:
			m.elsewhere = append(m.elsewhere, e)
		default:
			m.silent = append(m.silent, e)
		}
	}
	if owner == nil && !advertised {
		v.strays = append(v.strays, e)
	}
}

// answering returns the member of the judged cluster that answered at the endpoint; a member that is in no list is
// added.
func (v *view) answering(e *Endpoint) *member {
	s := e.lastStatus()
	if s == nil || s.Status.ClusterID != v.clusterID {
		return nil
	}
	if m := v.byID(s.Status.MemberID); m != nil {
		return m
	}
	m := &member{
		Member: ops.Member{ID: s.Status.MemberID, Learner: s.Status.Learner}, label: s.Status.MemberID.String(),
	}
	v.members = append(v.members, m)
	return m
}

func (v *view) byID(id ops.MemberID) *member {
	for _, m := range v.members {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// label names a member for people, known or not.
func (v *view) label(id ops.MemberID) string {
	if m := v.byID(id); m != nil {
		return m.label
	}
	return id.String()
}

// first returns the member's earliest status, from the endpoint that it was heard at first.
func (m *member) first() *StatusAnswer {
	if len(m.answered) == 0 {
		return nil
	}
	return m.answered[0].firstStatus()
}

// last returns the member's latest status, and nil when it never answered.
func (m *member) last() *StatusAnswer {
	var latest *StatusAnswer
	for _, e := range m.answered {
		if s := e.lastStatus(); s != nil && (latest == nil || s.SentUS > latest.SentUS) {
			latest = s
		}
	}
	return latest
}

// failure says why the member gave no status; nil when it gave one. The kindest answer counts: a member that refuses
// to tell is alive, whatever its other URLs say.
func (m *member) failure() *Failure {
	if len(m.answered) > 0 {
		return nil
	}
	var cause *Failure
	for _, e := range m.silent {
		if f := e.failure(); cause == nil || f.alive() {
			cause = f
		}
	}
	return cause
}

// cutOff says why no linearizable read came through the member, nil when one did, or when none was tried or allowed.
func (m *member) cutOff() *Failure {
	var cause *Failure
	for _, e := range m.answered {
		f := e.Linearizable.failed()
		switch {
		case e.Linearizable.done():
			return nil
		case f != nil && f.Kind != KindAuth && f.Kind != KindUnsupported:
			cause = f
		}
	}
	return cause
}
