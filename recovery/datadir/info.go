package datadir

import (
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Schema is the name of the JSON document that lists what was inspected.
const Schema = "etcdops.inspect/v1"

// Kind says what was found at a path.
type Kind string

// The kinds.
const (
	KindDirectory Kind = "directory" // a member's data directory
	KindSnapshot  Kind = "snapshot"  // a database with its checksum, as saved over the network
	KindDatabase  Kind = "database"  // a bare database file, as copied out of a directory: without its log
)

// State is the verdict on what was found, from best to worst.
type State string

// The states.
const (
	StateClean      State = "clean"      // everything that was written is there and reads
	StateTorn       State = "torn"       // the last write to the log was cut off, which a power cut does; nothing synced is missing
	StateDamaged    State = "damaged"    // something that was written is gone or changed
	StateUnreadable State = "unreadable" // nothing can be said about the content
)

// Info is what a directory or snapshot says about itself. What could not be read is absent.
type Info struct {
	Path  string `json:"path"`
	Kind  Kind   `json:"kind"`
	State State  `json:"state"`

	// Running says that a process had the database locked while it was read: the facts are of one moment at best.
	Running  bool      `json:"running"`
	Problems []Problem `json:"problems"`

	MemberID  ops.MemberID  `json:"member_id,omitempty"`  // absent in snapshots
	ClusterID ops.ClusterID `json:"cluster_id,omitempty"` // absent in snapshots
	Name      string        `json:"name,omitempty"`       // the member's own, as it published it

	// Version is the minor version of etcd that wrote the data ("3.5"), empty when it does not tell.
	Version        string `json:"version,omitempty"`
	ClusterVersion string `json:"cluster_version,omitempty"` // what the members agreed on
	StorageVersion string `json:"storage_version,omitempty"` // layout of the database, written since 3.6

	Members []Member       `json:"members"` // as of the last entry known to be committed
	Removed []ops.MemberID `json:"removed"`
	// Changes are changes of membership above the commit index: whether they happened, only the other members know.
	Changes []Change `json:"membership_changes_beyond_commit"`

	WAL       *WAL      `json:"wal,omitempty"` // absent in snapshots
	Snapshots []Snap    `json:"snapshots"`     // the raft snapshots beside the database
	DB        *Database `json:"database,omitempty"`

	TookMS float64 `json:"took_ms"`

	// Log identifies the entries of the log one by one, for comparison with another member's. It is not part of the
	// document.
	Log *Digest `json:"-"`
}

// Severity of a problem.
type Severity string

// The severities.
const (
	SeverityNote    Severity = "note"    // worth knowing
	SeverityWarning Severity = "warning" // the facts are weaker than they look
	SeverityDamage  Severity = "damage"  // something is lost or changed
)

// Problem is one thing that is not as it should be.
type Problem struct {
	Severity Severity `json:"severity"`
	Where    string   `json:"where"` // a file, relative to the path
	Text     string   `json:"text"`
}

// Member is an entry of the member list.
type Member struct {
	ID         ops.MemberID `json:"id"`
	Name       string       `json:"name"`
	PeerURLs   []string     `json:"peer_urls"`
	ClientURLs []string     `json:"client_urls"`
	Learner    bool         `json:"learner"`
}

// Change is one change of membership in the log.
type Change struct {
	Index  uint64       `json:"index"`
	Action string       `json:"action"` // add, add-learner, promote, remove, update
	Member ops.MemberID `json:"member"`
	URLs   []string     `json:"peer_urls,omitempty"`
}

// WAL is the write-ahead log.
type WAL struct {
	Dir      string    `json:"dir"`
	Segments []Segment `json:"segments"`

	FirstIndex uint64 `json:"first_index"` // of the entries that are there; 0 when there are none
	FirstTerm  uint64 `json:"first_term"`
	LastIndex  uint64 `json:"last_index"` // of the last entry, or of the snapshot that the log begins after
	LastTerm   uint64 `json:"last_term"`  // of that entry

	Term   uint64       `json:"hard_state_term"`
	Vote   ops.MemberID `json:"hard_state_vote,omitempty"`
	Commit uint64       `json:"hard_state_commit"`

	// SnapshotIndex and SnapshotTerm are the newest snapshot that the log records at or below its commit index.
	SnapshotIndex uint64 `json:"snapshot_index"`
	SnapshotTerm  uint64 `json:"snapshot_term"`

	// Unapplied counts the entries that the database does not contain yet; Writes those of them that may change keys.
	Unapplied uint64 `json:"unapplied"`
	Writes    uint64 `json:"unapplied_writes"`

	Tail Tail `json:"tail"`

	// Whole says that everything the member ever synced is here: no damage in any segment, no missing one, and no sign
	// that the log was longer.
	Whole bool `json:"whole"`
}

// Tail is the log above what is known to be committed. It may be committed all the same: a follower learns of it later,
// and clients may have been told so.
type Tail struct {
	From    uint64      `json:"from"` // index of its first entry; 0 when there is none
	To      uint64      `json:"to"`
	Entries []TailEntry `json:"entries"` // the first ones; Omitted more are not listed
	Omitted uint64      `json:"omitted"`
}

// Len is the number of entries beyond commit.
func (t Tail) Len() uint64 {
	if t.From == 0 {
		return 0
	}
	return t.To - t.From + 1
}

// TailEntry says what one entry would do. Values are never shown.
type TailEntry struct {
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
	What  string `json:"what"`
}

// SegmentState says how the reading of a segment ended.
type SegmentState string

// The states of a segment.
const (
	SegmentOK        SegmentState = "ok"        // every record matches its checksum
	SegmentTorn      SegmentState = "torn"      // the last record was being written when the machine stopped
	SegmentDamaged   SegmentState = "damaged"   // a record that was complete does not match, or cannot be decoded
	SegmentUnread    SegmentState = "unread"    // it follows a damaged one
	SegmentDiscarded SegmentState = "discarded" // everything readable is right, but other bytes follow its end
)

// Segment is one file of the log.
type Segment struct {
	Name      string       `json:"name"`
	Size      int64        `json:"size"`
	Records   int          `json:"records"`
	Entries   int          `json:"entries"`
	State     SegmentState `json:"state"`
	Offset    int64        `json:"offset"`    // where the readable part ends
	Discarded int64        `json:"discarded"` // bytes other than zero after that, which etcd would throw away
	Detail    string       `json:"detail,omitempty"`
}

// Snap is a raft snapshot beside the database: metadata, before 3.6 with the member list.
type Snap struct {
	Name  string `json:"name"`
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
	OK    bool   `json:"ok"`
	// Database is true when a database received with it is still pending, newer than the one in use; it is then the one
	// that was read.
	Database bool `json:"pending_database"`
}

// Database is the key-value store.
type Database struct {
	File     string `json:"file"` // relative to the path
	Size     int64  `json:"size"`
	InUse    int64  `json:"in_use"`
	PageSize int    `json:"page_size"`
	TxID     uint64 `json:"txid"`

	ConsistentIndex uint64 `json:"consistent_index"` // the last entry of the log that is in it
	Term            uint64 `json:"term"`             // of that entry; since 3.5

	Revision        int64 `json:"revision"`
	CompactRevision int64 `json:"compact_revision"`
	Keys            int64 `json:"keys"`
	Records         int64 `json:"records"` // revisions kept, of all keys
	Hash            *Hash `json:"hash"`    // of all keys, as the members themselves compute it

	Leases       int      `json:"leases"`
	Alarms       []Alarm  `json:"alarms"`
	AuthEnabled  bool     `json:"auth_enabled"`
	AuthRevision uint64   `json:"auth_revision"`
	Users        []string `json:"users"`
	Roles        []string `json:"roles"`

	// Checksum tells whether the sha256 at the end of a snapshot matches; null where a file has none.
	Checksum *bool  `json:"checksum_ok"`
	SHA256   string `json:"sha256,omitempty"`
}

// Hash is the checksum of all keys at a revision. Two stores can be compared when revision and compact revision agree.
type Hash struct {
	Hash            uint32 `json:"hash"`
	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compact_revision"`
}

// Alarm is an alarm that a member raised and nobody has disarmed.
type Alarm struct {
	Member ops.MemberID `json:"member"`
	Alarm  string       `json:"alarm"`
}

// Options of an inspection. The zero value is right for a member that keeps everything in its data directory.
type Options struct {
	WALDir string `json:"wal_dir,omitempty"` // where the log is, when not in the data directory
	HashAt int64  `json:"hash_at,omitempty"` // compute the hash at this revision; 0 is the latest
	// CompactAt computes the hash as if the store were compacted there, whatever it notes of itself: as it was before a
	// compaction that has not begun.
	CompactAt *int64 `json:"compact_at,omitempty"`
	// Verified says that a file without a checksum of its own was held against one that is kept elsewhere, as a backup's is.
	Verified bool `json:"verified,omitempty"`
	NoHash   bool `json:"no_hash,omitempty"` // leave the keys unread, when only the log is of interest
}

// add notes a problem and lowers the state accordingly.
func (i *Info) add(severity Severity, where, text string) {
	i.Problems = append(i.Problems, Problem{Severity: severity, Where: where, Text: text})
	if severity == SeverityDamage {
		i.worsen(StateDamaged)
	}
}

// worsen makes the state s unless it is worse already.
func (i *Info) worsen(s State) {
	rank := map[State]int{"": 0, StateClean: 0, StateTorn: 1, StateDamaged: 2, StateUnreadable: 3}
	if rank[s] > rank[i.State] {
		i.State = s
	}
}

// Voters are the members with a vote.
func (i *Info) Voters() []Member {
	var voters []Member
	for _, m := range i.Members {
		if !m.Learner {
			voters = append(voters, m)
		}
	}
	return voters
}

// Own is the member that the directory belongs to; nil when it is in no list.
func (i *Info) Own() *Member {
	for k := range i.Members {
		if i.Members[k].ID == i.MemberID && i.MemberID != 0 {
			return &i.Members[k]
		}
	}
	return nil
}

// Known is the highest index that is known to be committed: what the hard state says or the database contains.
func (i *Info) Known() uint64 {
	var known uint64
	if i.WAL != nil {
		known = i.WAL.Commit
	}
	if i.DB != nil {
		known = max(known, i.DB.ConsistentIndex)
	}
	return known
}

// took sets the duration of an inspection that began at start.
func (i *Info) took(start time.Time) {
	i.TookMS = float64(time.Since(start).Microseconds()) / 1000
}
