package health

import (
	"time"

	"github.com/etcdops/etcdops/ops"
)

// MetricsAnswer is one scrape of a member's /metrics.
type MetricsAnswer struct {
	Answer
	Metrics Metrics `json:"metrics,omitempty"` // nil when it failed
}

// HashAnswer is one member's hash of its data, and its number of keys, at one revision.
type HashAnswer struct {
	Answer
	Revision int64  `json:"revision"`         // asked for; the same for all members of a round
	Hash     uint32 `json:"hash"`             // of everything up to Revision that compaction left
	Compact  int64  `json:"compact_revision"` // hashes compare only where this is equal
	Keys     *int64 `json:"keys,omitempty"`   // number of keys at Revision; nil when it was not told
}

// Peer is one peer URL of a member, and what a TLS handshake with it showed. No request was made.
type Peer struct {
	Member      ops.MemberID `json:"member"`
	URL         string       `json:"url"`
	Connect     Answer       `json:"connect"`
	Certificate *Certificate `json:"certificate,omitempty"`
}

// CertificateFile is a file of certificates that the caller's own settings name.
type CertificateFile struct {
	Path         string        `json:"path"`
	Use          string        `json:"use"` // client: shown to members; authority: verifies what members show
	Certificates []Certificate `json:"certificates"`
	Problem      string        `json:"problem,omitempty"` // why it could not be read
}

// Earlier is what members said some time before these facts: progress and rates are judged over the time between.
type Earlier struct {
	TakenAt time.Time       `json:"taken_at"`
	Members []EarlierMember `json:"members"`
}

// EarlierMember is one member's earlier status and metrics.
type EarlierMember struct {
	AgoUS   int64       `json:"ago_us"` // from this sample to the beginning of these facts
	Status  *ops.Status `json:"status"`
	Metrics Metrics     `json:"metrics,omitempty"` // nil when they were not known then
}

// LocalMember is what this machine tells about a member that runs on it, or that one of its manifests describes.
type LocalMember struct {
	Source         string   `json:"source"` // for people: "running etcd, pid 812"
	Name           string   `json:"name"`
	ClientURLs     []string `json:"client_urls"`
	PeerURLs       []string `json:"peer_urls,omitempty"`       // of one that is stopped
	Stopped        bool     `json:"stopped,omitempty"`         // it should run on this machine, which the endpoints were found on, and does not
	StrictReconfig *bool    `json:"strict_reconfig,omitempty"` // nil when it is not told
	Disks          []Disk   `json:"disks,omitempty"`           // of the data and WAL directories
}

// Disk is the room in the file system that a directory is in.
type Disk struct {
	Path       string `json:"path"`
	Bytes      uint64 `json:"bytes"`
	BytesFree  uint64 `json:"bytes_free"` // for the member: without what is kept for root
	Inodes     uint64 `json:"inodes"`     // 0 where the file system has no fixed number
	InodesFree uint64 `json:"inodes_free"`
	Problem    string `json:"problem,omitempty"` // why it could not be looked at
}

// BackupState is what a backup repository tells of the cluster; whoever knows the repository fills it in.
type BackupState struct {
	Repository      string     `json:"repository"`            // for people, without secrets
	IntervalSeconds int64      `json:"interval_seconds"`      // between backups, as planned; 0 when it is not known
	LatestAt        *time.Time `json:"latest_at,omitempty"`   // when the newest good backup was taken; nil for none
	ArchivedTo      *time.Time `json:"archived_to,omitempty"` // up to when an archive of changes restores behind it; nil for none
	VerifiedAt      *time.Time `json:"verified_at,omitempty"` // when a backup was last verified; nil for never
	Looked          int        `json:"looked"`                // backups of the cluster that were looked at, the newest ones
	Damaged         int        `json:"damaged"`               // of those
	Problem         string     `json:"problem,omitempty"`     // why nothing can be said of this cluster
}

// ClusterID returns the cluster that the facts are about, 0 when nobody told one.
func (f Facts) ClusterID() ops.ClusterID { return mainCluster(f.Endpoints) }

// AsEarlier turns facts into what later ones may be held against; nil when no member gave a status. passed is the time
// from the beginning of f to that of the later facts.
func (f Facts) AsEarlier(passed time.Duration) *Earlier {
	e := &Earlier{TakenAt: f.TakenAt}
	for i := range f.Endpoints {
		ep := &f.Endpoints[i]
		s := ep.lastStatus()
		if s == nil {
			continue
		}
		m := EarlierMember{AgoUS: passed.Microseconds() - s.SentUS, Status: s.Status}
		if ep.Metrics != nil && ep.Metrics.Metrics != nil {
			m.AgoUS, m.Metrics = passed.Microseconds()-ep.Metrics.SentUS, ep.Metrics.Metrics
		}
		e.Members = append(e.Members, m)
	}
	if len(e.Members) == 0 {
		return nil
	}
	return e
}

// since returns what a member said earlier, and the microseconds between that and its answer in these facts; nil when
// there is no earlier answer, or it was not earlier.
func (v *view) since(m *member, sentUS int64) (before *EarlierMember, us int64) {
	if v.facts.Earlier == nil {
		return nil, 0
	}
	for i := range v.facts.Earlier.Members {
		e := &v.facts.Earlier.Members[i]
		if e.Status == nil || e.Status.MemberID != m.ID || e.Status.ClusterID != v.clusterID {
			continue
		}
		if us = e.AgoUS + sentUS; us > 0 {
			return e, us
		}
	}
	return nil, 0
}
