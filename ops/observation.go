package ops

import (
	"slices"
	"time"
)

// ProbeAge is how old the proof that a member lives may be when a change is decided on it.
const ProbeAge = time.Second

// Condition is what is known of a member's ability to take part.
type Condition string

// The conditions. Only live members count as able to vote.
const (
	Live       Condition = "live"       // answered as itself, in step with the leader, a moment ago
	Dead       Condition = "dead"       // does not answer
	Unstarted  Condition = "unstarted"  // never started: in the list, counted towards the majority, and not there
	Leaderless Condition = "leaderless" // answers, and does not take part under the leader of the others
	Unproven   Condition = "unproven"   // lives perhaps: it would not tell, or it told too long ago
)

// MemberState is one member of the list with what a probe of it showed.
type MemberState struct {
	Member
	Condition Condition `json:"condition"`
	Cause     string    `json:"cause,omitempty"`    // why it is not live, in plain words
	ProbedAt  time.Time `json:"probed_at,omitzero"` // when the question was sent whose answer shows it live
	URL       string    `json:"url,omitempty"`      // client URL at which it answered
	Version   string    `json:"version,omitempty"`  // of its server, as in "3.7.3"
	Commit    uint64    `json:"commit,omitempty"`   // raft index that it knows to be committed
	Applied   uint64    `json:"applied,omitempty"`  // raft index that it has applied to its database
	Late      bool      `json:"late,omitempty"`     // it took the connection and did not answer in time: it hangs, or is slow

	Strict     Strictness `json:"strict,omitempty"`      // whether it runs with strict-reconfig-check; missing: unknown
	StrictFrom string     `json:"strict_from,omitempty"` // where that was seen
}

// AddressState is what was found behind a peer URL.
type AddressState string

// The states of an address.
const (
	AddressSilent  AddressState = "silent"  // nothing answers
	AddressMember  AddressState = "member"  // a member of this cluster answers, see PeerAddress.Member
	AddressOther   AddressState = "other"   // a member of this cluster, but none that PeerAddress.Member asked for
	AddressForeign AddressState = "foreign" // a member of another cluster, or something that is no etcd
	AddressUnknown AddressState = "unknown" // something answers and does not let us see what
)

// PeerAddress is what answers behind a peer URL that a change is to bring in.
type PeerAddress struct {
	URL    string       `json:"url"`
	Member MemberID     `json:"member,omitempty"` // the member that was looked for there
	State  AddressState `json:"state"`
	Cause  string       `json:"cause,omitempty"`
}

// Observation is what one look at a cluster showed, as far as a change of its membership depends on it. It is plain
// data: CheckChange concludes from it, and from nothing else.
type Observation struct {
	TakenAt   time.Time     `json:"taken_at"`
	ClusterID ClusterID     `json:"cluster_id"`
	Leader    MemberID      `json:"leader"` // as the live members agree; 0 for none
	Term      uint64        `json:"term"`
	Commit    uint64        `json:"commit"` // the leader's, recorded when it was asked: who has applied it has caught up
	Members   []MemberState `json:"members"`
	Alarms    []Alarm       `json:"alarms"`
	Disagree  []string      `json:"disagree"` // members whose own member list is another one
	Addresses []PeerAddress `json:"addresses,omitempty"`
	Strict    Strictness    `json:"strict,omitempty"` // whether the server checks changes itself, as far as it can be seen
	// Strained says that members took long for an answer that costs them nothing: who was late may be as well as they.
	Strained bool `json:"strained,omitempty"`
}

// Strictness says whether a server runs with strict-reconfig-check.
type Strictness string

// The answers. The setting cannot be asked of a server; it shows only where the server's start can be read.
const (
	StrictUnknown Strictness = ""
	StrictOn      Strictness = "on"
	StrictOff     Strictness = "off"
)

// Membership returns the member list of the observation.
func (o Observation) Membership() Membership {
	m := Membership{ClusterID: o.ClusterID, Members: []Member{}}
	for _, s := range o.Members {
		m.Members = append(m.Members, s.Member)
	}
	return m
}

// ByID returns the state of a member.
func (o Observation) ByID(id MemberID) (MemberState, bool) {
	i := slices.IndexFunc(o.Members, func(m MemberState) bool { return m.ID == id })
	if i < 0 {
		return MemberState{}, false
	}
	return o.Members[i], true
}

// address returns what was found behind a peer URL.
func (o Observation) address(url string) PeerAddress {
	i := slices.IndexFunc(o.Addresses, func(a PeerAddress) bool { return a.URL == url })
	if i < 0 {
		return PeerAddress{URL: url, State: AddressUnknown, Cause: "it was not looked at"}
	}
	return o.Addresses[i]
}

// passes is how long what the observation shows may last before it counts, because it may pass by itself: 0 where nothing
// speaks for that. A host that takes no connection, and a port that refuses, are no matter of patience.
func (o Observation) passes(now time.Time) time.Duration {
	votes := newSimulation(o, CheckOptions{}).tally()
	late, apart, old := false, len(o.Disagree) > 0, false
	for _, m := range o.Members {
		if m.Learner {
			continue
		}
		late = late || m.Late && votes.Tolerance <= 0 // with votes to spare nothing hangs on it
		apart = apart || m.Condition == Leaderless
		old = old || m.Condition == Live && now.Sub(m.ProbedAt) > ProbeAge-observeFresh // it is we who are slow
	}
	switch {
	case old, o.Strained && (late || apart || o.Leader == 0):
		return observePatience
	case o.Leader == 0 && votes.Answering >= votes.Quorum:
		return observeElection
	case apart || o.Leader == 0:
		return observeSettle
	}
	return 0
}

// fresh turns members whose proof of life is too old, or of the future, into unproven ones.
func (o Observation) fresh(now time.Time) Observation {
	o.Members = slices.Clone(o.Members)
	for i, m := range o.Members {
		if age := now.Sub(m.ProbedAt); m.Condition == Live && (age > ProbeAge || age < -ProbeAge) {
			o.Members[i].Condition = Unproven
			o.Members[i].Cause = "its last sign of life is older than " + ProbeAge.String()
		}
	}
	return o
}
