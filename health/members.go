package health

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// State is how a member or an endpoint was found, in a word or two.
type State string

// States of members and endpoints.
const (
	StateOK           State = "ok"
	StateNoLeader     State = "no leader"
	StateNeverStarted State = "never started"
	StateRefused      State = "refused"
	StateUnreachable  State = "unreachable"
	StateHung         State = "hung"
	StateWaiting      State = "waiting" // runs, and serves no clients before it has a quorum
	StateNoName       State = "no such host"
	StateTLS          State = "tls error"
	StateAuth         State = "needs user"
	StateError        State = "error"
	StateWrongMember  State = "wrong member"
	StateWrongCluster State = "wrong cluster"
	StateNoAddress    State = "no address"
)

// stateOf sorts a failure.
func stateOf(f *Failure) State {
	switch f.Kind {
	case KindDNS:
		return StateNoName
	case KindRefused:
		return StateRefused
	case KindUnreachable:
		return StateUnreachable
	case KindTLS:
		return StateTLS
	case KindHung:
		return StateHung
	case KindWaiting:
		return StateWaiting
	case KindAuth, KindDenied:
		return StateAuth
	case KindNoLeader:
		return StateNoLeader
	case KindUnsupported, KindError:
	}
	return StateError
}

func (v *view) memberState(m *member) State {
	s := m.last()
	switch f := m.failure(); {
	case s != nil && s.Status.Leader == 0:
		return StateNoLeader
	case s != nil && m.cutOff() != nil:
		return stateOf(m.cutOff())
	case s != nil:
		return StateOK
	case f != nil:
		return stateOf(f)
	case !m.Started():
		return StateNeverStarted
	case len(m.elsewhere) > 0:
		return v.endpointState(m.elsewhere[0], m)
	}
	return StateNoAddress
}

// endpointState judges an endpoint; as is the member that advertises it, nil when nobody does.
func (v *view) endpointState(e *Endpoint, as *member) State {
	if f := e.failure(); f != nil {
		return stateOf(f)
	}
	s := e.lastStatus().Status
	switch {
	case s.ClusterID != v.clusterID:
		return StateWrongCluster
	case as != nil && s.MemberID != as.ID:
		return StateWrongMember
	case s.Leader == 0:
		return StateNoLeader
	}
	return StateOK
}

// memberReports lists the members by name; those without one come last, by ID.
func (v *view) memberReports() []MemberReport {
	out := make([]MemberReport, 0, len(v.members))
	for _, m := range v.members {
		out = append(out, v.memberReport(m))
	}
	v.tellClocks(out)
	slices.SortStableFunc(out, func(a, b MemberReport) int {
		if (a.Name == "") != (b.Name == "") {
			return strings.Compare(b.Name, a.Name)
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (v *view) memberReport(m *member) MemberReport {
	r := MemberReport{
		ID: m.ID, Name: m.Name, Role: v.role(m), State: v.memberState(m), PeerURLs: m.PeerURLs,
		Endpoints: []EndpointReport{},
	}
	if r.PeerURLs == nil {
		r.PeerURLs = []string{}
	}
	for _, e := range slices.Concat(m.answered, m.silent, m.elsewhere) {
		r.Endpoints = append(r.Endpoints, v.endpointReport(e, m))
	}
	if f := m.failure(); f != nil {
		r.Cause, r.Code = f.Message, f.Code
	}
	if s := m.last(); s != nil {
		if f := m.cutOff(); f != nil && s.Status.Leader != 0 {
			r.Cause, r.Code = "no linearizable read comes through it: "+f.Message, f.Code
		}
		r.fill(s.Status)
	}
	if quota, known := m.quota(); known {
		r.DBQuota = &quota
	}
	if lag, exact, known := v.lag(m); known && exact {
		r.Lag = &lag
	}
	if ms, known := m.slowestRead(); known {
		r.ReadMS = &ms
	}
	r.CertExpires = m.certificateEnd()
	return r
}

func (r *MemberReport) fill(s *ops.Status) {
	r.Version, r.RaftTerm, r.RaftIndex, r.Revision = &s.Version, &s.RaftTerm, &s.RaftIndex, &s.Revision
	r.DBSize = &s.DBSize
	if s.StorageVersion != "" {
		r.Storage = &s.StorageVersion
	}
	if s.RaftApplied > 0 {
		r.Applied = &s.RaftApplied
	}
	if s.DBSizeInUse > 0 {
		r.DBInUse = &s.DBSizeInUse
	}
	if percent, known := fragmentation(s); known {
		r.Fragmented = &percent
	}
}

// role names what a member is; one that does not answer is a voter or a learner.
func (v *view) role(m *member) string {
	s := m.last()
	switch {
	case m.Learner:
		return "learner"
	case s == nil:
		return "voter"
	case s.Status.Leader == m.ID:
		return "leader"
	}
	return "follower"
}

// slowestRead returns the time of the slower read in milliseconds.
func (m *member) slowestRead() (ms float64, known bool) {
	linear, lok := m.latency(func(e *Endpoint) *Answer { return e.Linearizable })
	serial, sok := m.latency(func(e *Endpoint) *Answer { return e.Serializable })
	return milliseconds(max(linear, serial).Microseconds()), lok || sok
}

// certificateEnd returns when the first of the certificates expires that the member's endpoints served.
func (m *member) certificateEnd() *time.Time {
	var first *time.Time
	for _, e := range slices.Concat(m.answered, m.silent) {
		if c := e.Certificate; c != nil && (first == nil || c.NotAfter.Before(*first)) {
			first = &c.NotAfter
		}
	}
	return first
}

func endpointReports(v *view, endpoints []*Endpoint) []EndpointReport {
	out := make([]EndpointReport, 0, len(endpoints))
	for _, e := range endpoints {
		out = append(out, v.endpointReport(e, nil))
	}
	return out
}

func (v *view) endpointReport(e *Endpoint, as *member) EndpointReport {
	r := EndpointReport{URL: e.URL, Given: e.Given, State: v.endpointState(e, as)}
	if f := e.failure(); f != nil {
		r.Cause, r.Code = f.Message, f.Code
	}
	return r
}
