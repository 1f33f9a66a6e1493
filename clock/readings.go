package clock

import (
	"slices"
	"time"
)

// Kind names a source of readings.
type Kind string

// The sources, the most exact first.
const (
	KindServe   Kind = "serve"   // the endpoint of etcdops serve, on client URLs
	KindProbing Kind = "probing" // etcd's own /raft/probing, on peer URLs
	KindSSH     Kind = "ssh"     // date on the member's host
	KindDate    Kind = "date"    // the Date header of any HTTP answer, on client URLs
	KindNTP     Kind = "ntp"     // a time server
	KindSelf    Kind = "self"    // the clock of this very process
)

// Readings are what an audit saw, and nothing that is concluded from it; they round-trip through JSON.
type Readings struct {
	StartedAt time.Time `json:"started_at"` // on the wall clock of this machine, which may be wrong
	TookNS    int64     `json:"took_ns"`
	// RhoPPT is the largest difference in speed between a remote clock and this machine's, in parts per thousand.
	RhoPPT int64     `json:"rho_ppt"`
	Clocks []Reading `json:"clocks"`
}

// Reading is everything that was read of one member's clock.
type Reading struct {
	ID       string    `json:"id"`   // of the member, in hexadecimal; empty where it is not known
	Name     string    `json:"name"` // of the member, its URL where it has none, or the time server's
	Truth    bool      `json:"truth,omitempty"`
	Series   []Series  `json:"series"`
	Failures []Failure `json:"failures"`
	Kernel   *Kernel   `json:"kernel,omitempty"` // what the kernel under the clock says, where it can be asked
}

// add puts the samples of a further round beside those of the rounds before.
func (r *Reading) add(more Reading) {
	for _, s := range more.Series {
		at := slices.IndexFunc(r.Series, func(have Series) bool { return have.Source == s.Source && have.URL == s.URL })
		if at < 0 {
			r.Series = append(r.Series, s)
			continue
		}
		r.Series[at].Samples = append(r.Series[at].Samples, s.Samples...)
	}
}

// Series is the samples of one source.
type Series struct {
	Source  Kind     `json:"source"`
	URL     string   `json:"url"`
	Samples []Sample `json:"samples"`
}

// Failure is why a source gave nothing.
type Failure struct {
	Source Kind   `json:"source"`
	URL    string `json:"url"`
	Cause  string `json:"cause"`
}

// Kernel is the state of a kernel's clock as adjtimex(2) tells it.
type Kernel struct {
	Synchronised bool    `json:"synchronised"` // some daemon keeps it to a time source
	OffsetNS     int64   `json:"offset_ns"`    // that the daemon last found, as far as it tells the kernel
	MaxErrorNS   int64   `json:"max_error_ns"` // grows while nobody synchronises; 16 s is the kernel's ceiling
	EstErrorNS   int64   `json:"est_error_ns"`
	SpeedPPM     float64 `json:"speed_ppm"` // by which it is made faster or slower now
}
