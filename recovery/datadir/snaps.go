package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/etcdserver/api/snap/snappb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/ops"
)

// maxSnap bounds the size of a raft snapshot's file: metadata, and before 3.6 a small tree of the old store.
const maxSnap = 64 << 20

// snapFile is a raft snapshot beside the database.
type snapFile struct {
	Snap
	data []byte // the old store, as JSON; not kept when there are newer ones
}

// readSnaps reads the raft snapshots, newest first.
func (i *inspection) readSnaps() {
	dir := filepath.Join(i.member, "snap")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the database, in the same directory, will tell
	}
	for _, e := range slices.Backward(entries) {
		term, index, ok := parseSnapName(e.Name())
		if !ok {
			continue
		}
		file := snapFile{Snap: Snap{Name: e.Name(), Term: term, Index: index}}
		file.data, err = readSnap(filepath.Join(dir, e.Name()), term, index)
		file.OK = err == nil
		if err != nil {
			i.add(SeverityWarning, i.relative(filepath.Join(dir, e.Name())), "the snapshot is unusable: "+err.Error())
		}
		if len(i.snaps) > 0 {
			file.data = nil
		}
		i.snaps = append(i.snaps, file)
	}
	for _, s := range i.snaps {
		i.Snapshots = append(i.Snapshots, s.Snap)
	}
}

func parseSnapName(name string) (term, index uint64, ok bool) {
	base, isSnap := strings.CutSuffix(name, ".snap")
	if !isSnap || len(base) != 33 {
		return 0, 0, false
	}
	n, err := fmt.Sscanf(base, "%016x-%016x", &term, &index)
	return term, index, n == 2 && err == nil
}

// readSnap checks a raft snapshot and returns its content.
func readSnap(file string, term, index uint64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxSnap))
	if err != nil {
		return nil, err
	}
	var outer snappb.Snapshot
	if err := proto.Unmarshal(b, &outer); err != nil || len(outer.GetData()) == 0 {
		return nil, errors.New("it does not decode")
	}
	if crc32.Checksum(outer.GetData(), castagnoli()) != outer.GetCrc() {
		return nil, errors.New("its checksum does not match")
	}
	var inner raftpb.Snapshot
	if err := proto.Unmarshal(outer.GetData(), &inner); err != nil {
		return nil, errors.New("it does not decode")
	}
	if inner.GetMetadata().GetIndex() != index || inner.GetMetadata().GetTerm() != term {
		return nil, errors.New("it is of another entry than its name says")
	}
	return inner.GetData(), nil
}

// pendingDatabase finds the database that came with the newest snapshot and was not put in place yet: the machine stopped
// in between. A start would use it. Empty when the database in place is the newest.
func (i *inspection) pendingDatabase(inPlace string) string {
	at := slices.IndexFunc(i.snaps, func(s snapFile) bool {
		return s.OK && slices.Contains(i.log.snaps, snapMark{index: s.Index, term: s.Term}) && s.Index <= i.log.wal.Commit
	})
	if at < 0 {
		return ""
	}
	newest := i.snaps[at]
	applied, err := appliedOf(inPlace)
	if err == nil && applied >= newest.Index {
		return ""
	}
	name := fmt.Sprintf("%016x.snap.db", newest.Index)
	file := filepath.Join(i.member, "snap", name)
	if !exists(file) {
		if err == nil {
			i.add(SeverityDamage, i.relative(file), fmt.Sprintf("the database ends at entry %d, the snapshot is of entry %d, and the database that came with it is missing", applied, newest.Index))
		}
		return ""
	}
	i.Snapshots[at].Database = true
	i.add(SeverityNote, i.relative(file), "this database was received and is not in place yet; it is the one that counts")
	return file
}

// appliedOf reads the last entry that a database contains, and nothing else of it.
func appliedOf(file string) (uint64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	db, err := openBolt(f, info.Size())
	if err != nil {
		return 0, err
	}
	buckets, err := db.buckets()
	if err != nil {
		return 0, err
	}
	var s store
	return s.applied(db, buckets["meta"])
}

func (s *store) applied(db *boltFile, meta boltBucket) (uint64, error) {
	db.begin()
	err := db.walk(meta, nil, s.readMetaValue)
	return s.db.ConsistentIndex, err
}

// oldNode is a node of the store that raft snapshots carried before 3.6.
type oldNode struct {
	Path     string
	Value    string
	Children map[string]*oldNode
}

// membersOfSnapshot takes the member list of the newest raft snapshot, and returns the snapshot's index.
func (i *inspection) membersOfSnapshot() uint64 {
	if len(i.snaps) == 0 || !i.snaps[0].OK {
		return 0
	}
	var old struct{ Root *oldNode }
	if json.Unmarshal(i.snaps[0].data, &old) != nil || old.Root == nil {
		return 0
	}
	at := func(path ...string) *oldNode {
		n := old.Root
		for _, p := range path {
			if n == nil {
				return &oldNode{}
			}
			n = n.Children[p]
		}
		if n == nil {
			return &oldNode{}
		}
		return n
	}
	for id, n := range at("0", "members").Children {
		if m, ok := oldMember(id, n); ok {
			i.Members = append(i.Members, m)
		}
	}
	for id := range at("0", "removed_members").Children {
		if removed, err := ops.ParseMemberID(id); err == nil {
			i.Removed = append(i.Removed, removed)
		}
	}
	i.ClusterVersion = at("0", "version").Value
	return i.snaps[0].Index
}

func oldMember(id string, n *oldNode) (Member, bool) {
	parsed, err := ops.ParseMemberID(path.Base(id))
	if err != nil || n == nil {
		return Member{}, false
	}
	m := Member{ID: parsed}
	var attributes struct {
		Name       string   `json:"name"`
		ClientURLs []string `json:"clientURLs"`
		PeerURLs   []string `json:"peerURLs"`
		IsLearner  bool     `json:"isLearner"`
	}
	for _, name := range []string{"attributes", "raftAttributes"} {
		if c := n.Children[name]; c != nil {
			_ = json.Unmarshal([]byte(c.Value), &attributes) // what does not decode is not known
		}
	}
	m.Name, m.Learner = attributes.Name, attributes.IsLearner
	m.PeerURLs, m.ClientURLs = orEmpty(attributes.PeerURLs), orEmpty(attributes.ClientURLs)
	return m, true
}
