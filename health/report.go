package health

import (
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/ops"
)

// ReportSchema names the JSON form of Report.
const ReportSchema = "etcdops.health/v1"

// Report is what Evaluate concluded. Values that are not known are null, never zero.
type Report struct {
	Schema    string           `json:"schema"`
	Severity  Severity         `json:"severity"`  // the verdict; unknown when too little could be looked at for one
	Summary   string           `json:"summary"`   // the verdict in words
	Available *bool            `json:"available"` // a majority works; null when that is not known
	Reached   bool             `json:"reached"`   // at least one member answered
	ClusterID ops.ClusterID    `json:"cluster_id"`
	Votes     *VotesReport     `json:"votes"` // null when the member list is not known
	TakenAt   time.Time        `json:"taken_at"`
	TookMS    float64          `json:"took_ms"`
	Members   []MemberReport   `json:"members"`  // all of the list, dead ones too
	Strays    []EndpointReport `json:"strays"`   // endpoints that belong to no member of the cluster
	Findings  []Finding        `json:"findings"` // the most urgent first
	Checks    []CheckReport    `json:"checks"`   // in the order of the table
	Counts    Counts           `json:"counts"`
}

// VotesReport is the arithmetic of the majority.
type VotesReport struct {
	ops.Votes
	Answering int `json:"answering"` // voters that answer, also without a leader
	Quorum    int `json:"quorum"`    // voters that a majority takes
	Tolerance int `json:"tolerance"` // voters that may still fail; negative when the majority is lost
}

// MemberReport is one line about one member.
type MemberReport struct {
	ID          ops.MemberID     `json:"id"`
	Name        string           `json:"name"`
	Role        string           `json:"role"` // leader, follower, learner, or voter when it did not answer
	State       State            `json:"state"`
	Cause       string           `json:"cause"` // why it did not answer; empty when it did
	Code        ops.Code         `json:"code"`
	Version     *string          `json:"version"`
	Storage     *string          `json:"storage_version"`
	RaftTerm    *uint64          `json:"raft_term"`
	RaftIndex   *uint64          `json:"raft_index"`
	Applied     *uint64          `json:"raft_applied_index"`
	Revision    *int64           `json:"revision"`
	Lag         *uint64          `json:"lag"` // entries behind the leader
	DBSize      *int64           `json:"db_size"`
	DBInUse     *int64           `json:"db_size_in_use"`
	DBQuota     *int64           `json:"db_quota"`
	Fragmented  *float64         `json:"fragmentation_percent"`
	ReadMS      *float64         `json:"read_ms"` // slower of a linearizable and a serializable read
	CertExpires *time.Time       `json:"certificate_expires"`
	Clock       *ClockReport     `json:"clock"`
	PeerURLs    []string         `json:"peer_urls"`
	Endpoints   []EndpointReport `json:"endpoints"`
}

// ClockReport is where a member's clock stands.
type ClockReport struct {
	Reference bool           `json:"reference"` // the clock that the others' offsets are told against
	Offset    clock.Interval `json:"offset"`    // in which the offset from it lies, for sure
	Source    clock.Kind     `json:"source"`
}

// EndpointReport is how one client URL answered.
type EndpointReport struct {
	URL   string   `json:"url"`
	Given bool     `json:"given"`
	State State    `json:"state"`
	Cause string   `json:"cause"`
	Code  ops.Code `json:"code"`
}

// Finding is everything that is not simply well.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	Member   string   `json:"member"` // label; empty when it is about the cluster
	Endpoint string   `json:"endpoint"`
	Value    string   `json:"value"`
	Limit    string   `json:"threshold"`
	Source   string   `json:"source"`
	Message  string   `json:"message"`
	Next     string   `json:"next"`   // what to type next
	Needed   bool     `json:"needed"` // no verdict without this check
	Doc      string   `json:"doc"`
}

// CheckReport is the outcome of one check of the table.
type CheckReport struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	Scope    Scope    `json:"scope"`
	Source   string   `json:"source"`
	Limits   Limits   `json:"limits"`
	From     Origin   `json:"from"`
	Looked   int      `json:"looked"`  // things that were looked at and are known
	Unknown  int      `json:"unknown"` // things that could not be looked at
	Skipped  string   `json:"skipped"` // why the check was not made at all; empty when it was
}

// Counts counts the checks by their outcome; what is merely worth knowing counts as well.
type Counts struct {
	Total    int `json:"total"`
	OK       int `json:"ok"`
	Warning  int `json:"warning"`
	Critical int `json:"critical"`
	Unknown  int `json:"unknown"`
	Skipped  int `json:"skipped"` // not made: left out, or in need of more than was asked for
}

// Class says what the report means to a script: no quorum or nobody reached, critical or undecidable, or well. With
// failOnWarn a warning counts as critical.
func (r Report) Class(failOnWarn bool) (class ops.Class, failed bool) {
	switch {
	case !r.Reached, r.Available != nil && !*r.Available:
		return ops.ClassUnreachable, true
	case r.Severity == SeverityCritical, r.Severity == SeverityUnknown:
		return ops.ClassCritical, true
	case r.Severity == SeverityWarning && failOnWarn:
		return ops.ClassCritical, true
	}
	return ops.ClassFailure, false
}
