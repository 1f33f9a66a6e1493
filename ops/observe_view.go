package ops

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// sight is which cluster was seen, who leads it, and which member list counts.
type sight struct {
	list   Membership
	leader *Status // the leader's own status; nil when nobody answers as the leader
}

// conclude picks the leader of the highest term that says so itself, and its member list; without one, the list that most
// members have. The error is that of the endpoints when nobody gave a list.
func (o *observer) conclude() (sight, error) {
	var s sight
	var lists []*glance
	failures := make([]error, 0, len(o.seen))
	for _, g := range o.seen {
		if g.list != nil {
			lists = append(lists, g)
		}
		if g.status != nil && g.status.Leader == g.status.MemberID && (s.leader == nil || g.status.RaftTerm > s.leader.RaftTerm) {
			s.leader = g.status
		}
		if g.err != nil {
			failures = append(failures, g.err)
		}
	}
	if len(lists) == 0 {
		return s, o.nobody(failures)
	}
	best := slices.MaxFunc(lists, func(a, b *glance) int { return o.weight(s, lists, a) - o.weight(s, lists, b) })
	s.list = *best.list
	return s, nil
}

// nobody is the error when no member gave its list.
func (o *observer) nobody(failures []error) error {
	var names []string
	for _, g := range o.seen {
		names = append(names, g.url)
		if c, _ := silent(g.secret); c == Unproven {
			return g.secret
		}
	}
	if len(failures) == len(names) {
		return joinFailures(names, failures)
	}
	return &HintError{
		Code: CodeUnavailable, Class: ClassUnreachable, Op: "list members", Member: strings.Join(names, ","),
		Err: errors.New("the members that answer do not give their member list"), Hint: "name the endpoint of a voter; etcdops health",
	}
}

// weight orders member lists: the leader's above all, then by how many share it.
func (o *observer) weight(s sight, lists []*glance, g *glance) int {
	if s.leader != nil && g.status != nil && g.status.MemberID == s.leader.MemberID {
		return len(lists) + 1
	}
	n := 0
	for _, other := range lists {
		if sameMembers(*other.list, *g.list) {
			n++
		}
	}
	return n
}

// sameMembers compares what matters for votes. Names and client URLs arrive a moment after a member's start.
func sameMembers(a, b Membership) bool {
	return a.ClusterID == b.ClusterID && slices.EqualFunc(a.Members, b.Members, func(x, y Member) bool {
		return x.ID == y.ID && x.Learner == y.Learner && sameSet(x.PeerURLs, y.PeerURLs)
	})
}

// observation puts down what was seen.
func (o *observer) observation(s sight) Observation {
	out := Observation{
		TakenAt: time.Now().UTC(), ClusterID: s.list.ClusterID, Members: []MemberState{}, Alarms: []Alarm{}, Disagree: []string{},
	}
	if s.leader != nil {
		out.Leader, out.Term, out.Commit = s.leader.MemberID, s.leader.RaftTerm, s.leader.RaftIndex
		if alarms, _ := s.leader.Alarms(); alarms != nil {
			out.Alarms = alarms
		}
	}
	for _, m := range s.list.Members {
		out.Members = append(out.Members, o.state(s, m))
	}
	out.Strained = o.strained(out)
	for _, g := range o.seen {
		if g.list == nil || g.status == nil || g.list.ClusterID != s.list.ClusterID || sameMembers(*g.list, s.list) {
			continue
		}
		if m, listed := s.list.ByID(g.status.MemberID); listed { // what others believe changes nothing
			out.Disagree = append(out.Disagree, m.Label())
		}
	}
	return out
}

// strained reports whether answers are slow on all sides: one that came took long, or none came in time and somebody was late.
func (o *observer) strained(seen Observation) bool {
	slow := func(g *glance) bool { return g.took > observeFresh }
	quick := func(g *glance) bool { return g.status != nil && !slow(g) }
	late := func(m MemberState) bool { return m.Late }
	return slices.ContainsFunc(o.seen, slow) || !slices.ContainsFunc(o.seen, quick) && slices.ContainsFunc(seen.Members, late)
}

// state judges one member by the answers at the URLs that lead to it.
func (o *observer) state(s sight, m Member) MemberState {
	state := MemberState{Member: m, Condition: Dead, Cause: "none of its client URLs answers"}
	if !m.Started() {
		state.Condition, state.Cause = Unstarted, "it never started"
	} else if len(m.ClientURLs) == 0 {
		state.Cause = "it advertises no client URL"
	}
	for _, g := range o.seen {
		switch {
		case g.status != nil && g.status.MemberID == m.ID && g.status.ClusterID == s.list.ClusterID:
			return answered(s, state, g)
		case g.err != nil && slices.Contains(m.ClientURLs, g.url):
			state.Condition, state.Cause = silent(g.err)
			state.Late = slices.Contains([]Code{CodeSilent, CodeSlow}, CodeOf(g.err))
		case g.status != nil && slices.Contains(m.ClientURLs, g.url):
			state.Cause = "another member answers at " + g.url
		case slices.ContainsFunc(m.ClientURLs, o.c.exposes):
			state.Condition, state.Cause = Unproven, "it advertises a URL without TLS, which would show the login to the network"
		}
	}
	return state
}

// silent tells a member that would not say from one that does not answer.
func silent(err error) (Condition, string) {
	if err == nil {
		return Dead, ""
	}
	cause := err.Error()
	if hint, ok := errors.AsType[*HintError](err); ok && hint.Err != nil {
		cause = hint.Err.Error()
	}
	if slices.Contains([]Code{CodeUserNeeded, CodeAuthFailed, CodePermissionDenied, CodeTokenInvalid}, CodeOf(err)) {
		return Unproven, cause
	}
	return Dead, cause
}

// answered judges a member that told its status.
func answered(s sight, state MemberState, g *glance) MemberState {
	state.Condition, state.Cause, state.ProbedAt, state.URL = Live, "", g.asked.UTC(), g.url
	state.Version, state.Commit, state.Applied = g.status.Version, g.status.RaftIndex, g.status.RaftApplied
	lost := func(cause string) MemberState {
		state.Condition, state.Cause = Leaderless, cause
		return state
	}
	switch {
	case g.status.Leader == 0:
		return lost("it has no leader")
	case s.leader == nil:
		return lost("its leader does not answer")
	case g.status.Leader != s.leader.MemberID || g.status.RaftTerm != s.leader.RaftTerm:
		return lost("it follows another leader, or an older term")
	case g.read != nil && !g.status.Learner:
		return lost("it could not bring a read to the leader and back")
	}
	return state
}
