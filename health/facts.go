package health

import (
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/ops"
)

// FactsSchema names the JSON form of Facts.
const FactsSchema = "etcdops.facts/v1"

// Facts are what Collect saw, and nothing that is concluded from it. They round-trip through JSON. All times within are
// microseconds of a monotonic clock since the collection began, so that one can tell what was read before what.
type Facts struct {
	Schema    string     `json:"schema"`
	TakenAt   time.Time  `json:"taken_at"`
	TookUS    int64      `json:"took_us"`   // the whole collection
	BoundUS   int64      `json:"bound_us"`  // silence after which an endpoint was given up
	Depth     Depth      `json:"depth"`     // how much was asked
	LoggedIn  bool       `json:"logged_in"` // with a user and a password, which members take only where authentication is on
	NotAsked  int        `json:"not_asked"` // advertised URLs beyond the limit of endpoints
	Endpoints []Endpoint `json:"endpoints"` // the given ones in their order, then those that members advertise

	Peers   []Peer            `json:"peers,omitempty"`   // peer URLs of the members; not asked when fast
	Clock   *clock.Readings   `json:"clock,omitempty"`   // of the members; not read when fast, or where nobody lists them
	Kernel  *clock.Kernel     `json:"kernel,omitempty"`  // what this machine's kernel says of its own clock
	Files   []CertificateFile `json:"files,omitempty"`   // certificates in the files that the caller uses
	Earlier *Earlier          `json:"earlier,omitempty"` // what members said some time before
	Local   []LocalMember     `json:"local,omitempty"`   // members whose process or configuration is on this machine
	Backup  *BackupState      `json:"backup,omitempty"`  // the state of the cluster's backups, where somebody told
}

// Endpoint is one client URL that was asked, with every answer and every silence.
type Endpoint struct {
	URL          string         `json:"url"`
	Given        bool           `json:"given"` // named by the caller; otherwise a member advertises it
	Connect      Answer         `json:"connect"`
	Certificate  *Certificate   `json:"certificate,omitempty"`  // as served in the handshake
	WantsClient  bool           `json:"wants_client,omitempty"` // the handshake asked for a client certificate
	Statuses     []StatusAnswer `json:"statuses,omitempty"`     // samples in the order of time, at most two
	Members      *MembersAnswer `json:"members,omitempty"`      // this member's own copy of the member list
	Linearizable *Answer        `json:"linearizable,omitempty"` // read that a majority must confirm
	Serializable *Answer        `json:"serializable,omitempty"` // read that the member answers by itself
	Metrics      *MetricsAnswer `json:"metrics,omitempty"`      // nil when not asked for
	Hashes       []HashAnswer   `json:"hashes,omitempty"`       // one a round, the latest last
}

// Answer is when a request was sent, how long it took to be answered, and why it failed if it did.
type Answer struct {
	SentUS  int64    `json:"sent_us"`
	TookUS  int64    `json:"took_us"`
	Failure *Failure `json:"failure,omitempty"`
}

// done reports whether the request was carried out. etcd checks a user's permission to read a key after the read itself:
// a read that is denied has been confirmed like any other.
func (a *Answer) done() bool { return a != nil && (a.Failure == nil || a.Failure.Kind == KindDenied) }

// failed returns why a request failed; nil when it did not, or was not made.
func (a *Answer) failed() *Failure {
	if a == nil {
		return nil
	}
	return a.Failure
}

// StatusAnswer is one sample of a member's status.
type StatusAnswer struct {
	Answer
	Status *ops.Status `json:"status,omitempty"` // nil when it failed
}

// MembersAnswer is a member's own copy of the member list.
type MembersAnswer struct {
	Answer
	Membership *ops.Membership `json:"membership,omitempty"` // nil when it failed
}

// Certificate is what is judged of a certificate.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Names     []string  `json:"names,omitempty"`  // DNS names and IP addresses that it is valid for
	Usages    []string  `json:"usages,omitempty"` // extended key usages: server, client, any, other; none means all
	Authority bool      `json:"authority,omitempty"`
}

// Kind sorts failures by what they say about the member.
type Kind string

// The kinds of failure, by the stage at which it happened.
const (
	KindDNS         Kind = "dns"         // the name has no address
	KindRefused     Kind = "refused"     // nothing listens there
	KindUnreachable Kind = "unreachable" // no route, or the connection was not answered
	KindTLS         Kind = "tls"         // the handshake failed
	KindHung        Kind = "hung"        // connected, then silence
	KindWaiting     Kind = "waiting"     // silent to clients, and answers its peers
	KindAuth        Kind = "auth"        // it works, and will not tell us
	KindDenied      Kind = "denied"      // it carried the request out, and keeps the answer from this user
	KindNoLeader    Kind = "no_leader"   // it works, and has no leader
	KindUnsupported Kind = "unsupported" // this member cannot answer such a request
	KindError       Kind = "error"       // it answered with an error
)

// Failure is why a request was not answered.
type Failure struct {
	Kind    Kind     `json:"kind"`
	Code    ops.Code `json:"code,omitempty"`
	Message string   `json:"message"` // the cause, in plain words
	Hint    string   `json:"hint,omitempty"`
}

// alive reports whether the failure shows a member at work: it answered, and told nothing of itself.
func (f *Failure) alive() bool {
	return f != nil && (f.Kind == KindAuth || f.Kind == KindDenied || f.Kind == KindNoLeader)
}

// firstStatus returns the endpoint's earliest sample of its status, and nil when it never gave one.
func (e *Endpoint) firstStatus() *StatusAnswer {
	for i := range e.Statuses {
		if e.Statuses[i].Status != nil {
			return &e.Statuses[i]
		}
	}
	return nil
}

// lastStatus returns the endpoint's latest sample of its status, and nil when it never gave one.
func (e *Endpoint) lastStatus() *StatusAnswer {
	for i := len(e.Statuses) - 1; i >= 0; i-- {
		if e.Statuses[i].Status != nil {
			return &e.Statuses[i]
		}
	}
	return nil
}

// failure says why the endpoint gave no status; nil when it gave one.
func (e *Endpoint) failure() *Failure {
	switch {
	case e.Connect.Failure != nil:
		return e.Connect.Failure
	case e.firstStatus() != nil:
		return nil
	}
	for i := range e.Statuses {
		if f := e.Statuses[i].Failure; f != nil {
			return f
		}
	}
	return &Failure{Kind: KindError, Message: "its status was not asked for"}
}
