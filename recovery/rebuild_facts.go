package recovery

import (
	"time"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// Source is a place that may hold the cluster's data: a member's data directory, or a snapshot.
type Source struct {
	Name    string        `json:"name"` // of the member, or of the file
	Path    string        `json:"path"`
	WALDir  string        `json:"wal_dir"`        // where the log is, when it is not in the data directory
	Via     string        `json:"via"`            // how its machine is reached; empty for a path on this one
	Backup  string        `json:"backup"`         // ID of the backup that the file was read from
	Cluster ops.ClusterID `json:"cluster_id"`     // that it says it was taken of; 0 where nothing says
	Taken   time.Time     `json:"taken,omitzero"` // when, of a backup
}

// Candidate is a source with what was found there. It round-trips through JSON but for the log's digest.
type Candidate struct {
	Source
	Info    *datadir.Info `json:"info"`    // nil when it could not be inspected
	Problem string        `json:"problem"` // why not
	// Common is the checksum of the keys at the newest revision that all databases of the cluster have; nil where it
	// could not be computed.
	Common *datadir.Hash `json:"common"`
}

// log says whether the candidate is a member's directory with a log.
func (c *Candidate) log() *datadir.WAL {
	if c.Info == nil || c.Info.Kind != datadir.KindDirectory {
		return nil
	}
	return c.Info.WAL
}

// Server is a program that can replay a log.
type Server struct {
	Path    string `json:"path"`    // empty for this program itself
	Version string `json:"version"` // "3.4.23"
	Machine string `json:"machine"` // "ssh:HOST" where it is on another one
}

// RebuildFacts is everything that a plan for a rebuild depends on.
type RebuildFacts struct {
	Candidates []Candidate `json:"candidates"`
	// Answers are the members that answered a request; Quorum says that a majority of the cluster works. Secret are those that
	// answer and do not say without a user whether they follow a leader.
	Answers []string    `json:"answers"`
	Secret  []string    `json:"secret"`
	Quorum  bool        `json:"quorum"`
	Servers []Server    `json:"servers"` // what could replay a log, the first fit is taken
	Nodes   []NodeFacts `json:"nodes"`
}

// NodeFacts is the machine of one member of the new cluster, as its driver sees it.
type NodeFacts struct {
	Name   string      `json:"name"`
	Via    string      `json:"via"`
	Survey *Survey     `json:"survey"` // nil when it could not be looked at
	Status *NodeStatus `json:"status"`
	Error  string      `json:"error"` // why not
}

// NewMember is a member of the rebuilt cluster.
type NewMember struct {
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"` // as published before; empty for a new machine
	DataDir    string   `json:"data_dir"`
	WALDir     string   `json:"wal_dir"`
	DataMount  bool     `json:"data_mount"` // the data directory is the top of a file system
	WALMount   bool     `json:"wal_mount"`  // the log's is
	UID        int      `json:"uid"`
	GID        int      `json:"gid"`
	Via        string   `json:"via"`
	Known      bool     `json:"known"` // it was a member before
}

// Verdict says what a rebuild keeps.
type Verdict struct {
	Complete bool   `json:"complete"` // no acknowledged write can be lost
	Theorem  string `json:"theorem"`  // what says so, in docs/theory-of-recovery.md
	Voters   int    `json:"voters"`   // of the newest configuration known
	Needed   int    `json:"needed"`   // intact logs of voters that prove completeness
	Intact   int    `json:"intact"`   // of them that are here
	// Floor is the highest entry that is known to be committed: everything up to it is kept. FloorRevision is the revision
	// that the store has reached there at the least.
	Floor         uint64 `json:"floor_index"`
	FloorRevision int64  `json:"floor_revision"`
	// Missing is an entry beyond the source's last one that another source knows to be committed: it is lost for sure.
	Missing     uint64 `json:"missing_index"`
	MissingFrom string `json:"missing_from"`
	// RemovedOther is a removed member whose log differs from the source's, from entry OtherFrom on.
	RemovedOther string `json:"removed_other"`
	OtherFrom    uint64 `json:"removed_other_from"`
	Text         string `json:"text"`
}

// Ranked is a candidate's place in a plan, with the reason.
type Ranked struct {
	Rank      int           `json:"rank"` // from 1; 0 for what cannot be the seed
	Name      string        `json:"name"`
	Path      string        `json:"path"`
	Kind      datadir.Kind  `json:"kind"`
	Member    ops.MemberID  `json:"member_id"`
	LastTerm  uint64        `json:"last_term"`
	LastIndex uint64        `json:"last_index"`
	Commit    uint64        `json:"commit"`
	Revision  int64         `json:"revision"` // of the database
	Writes    uint64        `json:"writes"`   // entries after it that may change keys
	State     datadir.State `json:"state"`
	Seed      bool          `json:"seed"`   // the new cluster is made of it
	Voter     bool          `json:"voter"`  // its log counts for completeness
	Reason    string        `json:"reason"` // why it has this place
	Lacks     string        `json:"lacks"`  // what the seed has and it has not, or why it is out
}

// RebuildPlan is what a plan for a rebuild says beside its steps.
type RebuildPlan struct {
	Verdict Verdict  `json:"verdict"`
	Ranking []Ranked `json:"ranking"`
	Source  Source   `json:"source"`  // what the new cluster is made of
	Sources []Source `json:"sources"` // all that were looked at
	Backup  bool     `json:"backup"`  // it is a snapshot or a copied database
	// Token makes the cluster's ID one that no old directory has.
	Token string `json:"token"`
	// Bump is added to the revision, and everything before marked compacted, so that watchers list again; 0 for no.
	Bump   int64      `json:"revision_bump"`
	Replay bool       `json:"replay"` // the log has entries that the database does not contain
	Server Server     `json:"server"` // that replays them
	Seal   uint64     `json:"seal"`   // entry up to which the log is committed
	Hash   *HashProof `json:"hash"`   // that the database must have, when there is nothing to replay
	// Checksum says that the source carries a checksum at its end; Shrink that unused space is given back, because the
	// alarm NOSPACE was raised.
	Checksum bool `json:"source_checksum"`
	Shrink   bool `json:"shrink"`
	// OldClients are where members of the old cluster would answer.
	OldClients []string    `json:"old_client_urls"`
	Members    []NewMember `json:"members"` // the first one is started of the data, the others join
	// AtOnce is how many members join at the same time, when it is more than one.
	AtOnce int `json:"at_once,omitempty"`
	// SSHConfig is the configuration file of ssh for other machines, empty for ssh's own.
	SSHConfig string `json:"ssh_config,omitempty"`
}

// HashProof is what a store must contain.
type HashProof struct {
	datadir.Hash
	Keys   int64 `json:"keys"`
	Leases int   `json:"leases"`
	Auth   bool  `json:"auth_enabled"`
	Users  int   `json:"users"`
}

// proofOf is what a database contains.
func proofOf(db *datadir.Database) HashProof {
	return HashProof{Hash: *db.Hash, Keys: db.Keys, Leases: db.Leases, Auth: db.AuthEnabled, Users: len(db.Users)}
}
