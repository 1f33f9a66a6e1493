package backup

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// schemaManifest names the form of a manifest. What is added to it keeps the name.
const schemaManifest = "etcdops-repository-manifest/1"

// Manifest says what a backup is. It is written last and never changed; what is found out later is in records beside it.
type Manifest struct {
	ID        ID            `json:"id"`
	ClusterID ops.ClusterID `json:"cluster_id"`
	TakenAt   time.Time     `json:"taken_at"` // when the member was asked; its state is of that time or a moment later
	TookMS    int64         `json:"took_ms"`  // from then to the manifest
	Program   string        `json:"program"`  // version that wrote this
	Fence     int64         `json:"fence"`    // token of the schedule that asked for it; 0 for none

	Slot *time.Time `json:"slot"` // of that schedule, the beginning of 1970 for the first; null for none. There is one good backup a slot

	Member  Member       `json:"member"`  // where the snapshot is from
	Members []ops.Member `json:"members"` // of the cluster, as its leader told; empty when it did not

	// What the file holds, read from the file itself.
	Revision        int64         `json:"revision"`         // newest
	CompactRevision int64         `json:"compact_revision"` // history before it is gone; states from it on can be restored
	Hash            Hash          `json:"hash"`
	RaftTerm        uint64        `json:"raft_term"`
	RaftIndex       uint64        `json:"raft_index"` // the last one applied
	Keys            int64         `json:"keys"`       // that exist at Revision
	Entries         int64         `json:"entries"`    // of history
	Prefixes        []PrefixCount `json:"prefixes"`   // of the keys, the first two segments of each
	AuthEnabled     bool          `json:"auth_enabled"`
	AuthRevision    uint64        `json:"auth_revision"`
	Leases          []Lease       `json:"leases"`      // at most 10,000 of them
	LeaseCount      int64         `json:"lease_count"` // of all

	Plain       Sum      `json:"plain"`       // the database file
	Stored      Sum      `json:"stored"`      // its parts joined
	Parts       []Part   `json:"parts"`       // in order
	Compression string   `json:"compression"` // "zstd"
	Encryption  string   `json:"encryption"`  // "age", or empty
	Recipients  []string `json:"recipients"`  // public keys that it is encrypted for; "passphrase" for one

	Level Level `json:"level"` // verified before the manifest was written
}

// Member is where a snapshot is from.
type Member struct {
	ID             ops.MemberID `json:"id"`
	Name           string       `json:"name"`
	Endpoint       string       `json:"endpoint"`
	Version        string       `json:"version"`
	StorageVersion string       `json:"storage_version"` // of the database file; empty before 3.6
	Role           string       `json:"role"`            // "leader", "follower"
}

// Hash is etcd's HashKV of the file at its revision, and whether a live member said the same.
type Hash struct {
	Value           uint32 `json:"value"`
	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compact_revision"`
	Live            string `json:"live"` // "equal", or why it was not compared: "skipped: ..."
}

// PrefixCount counts the keys below a prefix.
type PrefixCount struct {
	Prefix string `json:"prefix"`
	Keys   int64  `json:"keys"`
}

// Lease is a lease and its time to live as granted, in seconds.
type Lease struct {
	ID  int64 `json:"id"`
	TTL int64 `json:"ttl"`
}

// Sum is the size and hash of some bytes.
type Sum struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Part is one object of a backup's data.
type Part struct {
	Name string `json:"name"` // within the backup's directory
	Sum
}

// Level is how far a backup was verified. A backup is good from LevelData on; only LevelDrill may be called restorable.
type Level int

// The levels.
const (
	LevelNone    Level = iota - 1
	LevelPresent       // every part is there and has its size
	LevelStored        // every part has its hash; needs no key
	LevelPlain         // decrypted and decompressed, the database file has its hash
	LevelData          // the file is a sound database, every key decodes, its content is what the manifest says
	LevelDrill         // a server was started on it and served the same
)

// String describes the level for people.
func (l Level) String() string {
	switch l {
	case LevelPresent:
		return "present"
	case LevelStored:
		return "stored bytes right"
	case LevelPlain:
		return "decoded bytes right"
	case LevelData:
		return "verified"
	case LevelDrill:
		return "verified by restore"
	case LevelNone:
	}
	return "not verified"
}

// Dir is the directory of the backup in its repository, with a slash at its end.
func (m *Manifest) Dir() string { return baseDir(m.ClusterID, m.Revision, m.TakenAt, m.ID) }

// check refuses a manifest that contradicts itself or the place where it was found.
func (m *Manifest) check(object string) error {
	if object != m.Dir()+manifestName {
		return fmt.Errorf("it says that it lies at %s", m.Dir()+manifestName)
	}
	if m.Revision < 0 || m.CompactRevision > m.Revision || m.Plain.Size <= 0 || len(m.Parts) == 0 {
		return errors.New("it contradicts itself")
	}
	var size int64
	for i, p := range m.Parts {
		if p.Name != partName(i) || p.Size <= 0 || path.Base(p.Name) != p.Name {
			return fmt.Errorf("part %d is called %q", i, p.Name)
		}
		size += p.Size
	}
	if size != m.Stored.Size {
		return fmt.Errorf("its parts have %d bytes and not %d", size, m.Stored.Size)
	}
	return nil
}

// Label names the member for people: its name, or its ID while it has none.
func (m Member) Label() string {
	if m.Name != "" {
		return m.Name
	}
	return m.ID.String()
}
