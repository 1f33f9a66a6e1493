package archive

import "time"

// Note is something that the stream of changes does not tell, sampled while it was followed. One of its fields is set.
type Note struct {
	Sync       *Sync       `json:"sync,omitempty"`
	Mark       *Mark       `json:"mark,omitempty"`
	Leases     []Lease     `json:"leases,omitempty"`
	Compaction *Compaction `json:"compaction,omitempty"`
	Auth       *Auth       `json:"auth,omitempty"`
}

// Sync is one or more linearizable reads with one answer. Every change that was acknowledged before Asked has a revision of
// at most Revision; from Since to Asked nothing was changed.
type Sync struct {
	Since    time.Time `json:"since"` // when the first of them was answered; by the archiver's clock, as all times here
	Asked    time.Time `json:"asked"` // when the last of them was asked
	Revision int64     `json:"revision"`
}

// Mark is what a member computed over its own data: etcd's HashKV.
type Mark struct {
	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compact_revision"`
	Hash            uint32 `json:"hash"`
	MemberID        uint64 `json:"member_id"`
}

// Lease is a lease and its time to live as granted, in seconds.
type Lease struct {
	ID  int64 `json:"id"`
	TTL int64 `json:"ttl"`
}

// Compaction says that the cluster's history was compacted at a revision, noticed when the stream stood at another.
type Compaction struct {
	CompactRevision int64 `json:"compact_revision"`
	Revision        int64 `json:"revision"` // the newest archived one then
}

// Auth is the revision of users and roles, which counts apart. Known is false where the server does not tell (before 3.5).
type Auth struct {
	AuthRevision uint64 `json:"auth_revision"`
	Revision     int64  `json:"revision"` // the newest archived one then
	Known        bool   `json:"known"`
}
