package dbfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/maphash"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Summary is what a database file holds.
type Summary struct {
	Revision        int64  // newest
	CompactRevision int64  // that the history was compacted to; 0 for never
	HashKV          uint32 // as a member computes it at Revision
	Hash            uint32 // of all buckets, as `etcdutl snapshot status` computes it
	Size            int64  // bytes that the database takes of the file
	Entries         int64  // of history
	Keys            int64  // that exist at Revision
	Prefixes        map[string]int64

	StorageVersion string // empty before 3.6
	ClusterVersion string
	Term, Index    uint64 // of raft, applied last
	AuthEnabled    bool
	AuthRevision   uint64
	Leases         []Lease // at most MaxLeases
	LeaseCount     int64
	Alarms         int
	Members        []MemberName
}

// Lease is a lease as granted.
type Lease struct{ ID, TTL int64 }

// MemberName is a member of the cluster that the file is of.
type MemberName struct {
	ID       uint64
	Name     string
	PeerURLs []string
	Learner  bool
}

// Limits of what a Summary lists; the rest is only counted.
const (
	MaxLeases   = 10_000
	maxPrefixes = 200
	otherPrefix = "(others)"
)

// Names of etcd's buckets.
const (
	bucketKey     = "key"
	bucketMeta    = "meta"
	bucketLease   = "lease"
	bucketAlarm   = "alarm"
	bucketAuth    = "auth"
	bucketMembers = "members"
	bucketCluster = "cluster"
)

// Scan reads the whole file and checks all of it: every page is used once, all keys are in order, every entry of history
// decodes and its revisions are without a gap, and the numbers of the summary come from the data itself.
func (f *File) Scan(ctx context.Context) (Summary, error) { return f.scan(ctx, true) }

// Status is Scan in half the time, without HashKV and Prefixes: history is read once, forwards.
func (f *File) Status(ctx context.Context) (Summary, error) { return f.scan(ctx, false) }

func (f *File) scan(ctx context.Context, all bool) (Summary, error) {
	s := &scan{f: f, hash: crc32.New(castagnoli), Summary: Summary{Size: f.Size(), Prefixes: map[string]int64{}}}
	if err := f.Walk(ctx, bucketMeta, nil, s.meta); err != nil {
		return s.Summary, err
	}
	if all {
		live, err := f.liveness(ctx, maxRevision)
		if err != nil {
			return s.Summary, err
		}
		s.live, s.Keys = live, live.named
		s.kv = newKVHash(s.CompactRevision, live)
	} else {
		s.names, s.seed = &keySet{}, maphash.MakeSeed()
	}
	seen := newBitmap(f.high)
	seen[0] = 3 // both meta pages
	buckets, err := f.buckets(ctx, seen)
	if err != nil {
		return s.Summary, err
	}
	for _, b := range buckets {
		if err := s.bucket(ctx, seen, b); err != nil {
			return s.Summary, fmt.Errorf("bucket %q: %w", b.name, err)
		}
	}
	if err := f.checkPages(seen); err != nil {
		return s.Summary, err
	}
	s.Hash = s.hash.Sum32()
	if all {
		s.HashKV = s.kv.sum()
	}
	return s.Summary, s.finish()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // the table of a polynomial is a constant

// scan collects a Summary.
type scan struct {
	Summary
	f    *File
	hash hash.Hash32
	kv   *kvHash
	live *liveness
	last Revision

	names *keySet // of a Status: keys that were met, with a bit for those that exist
	seed  maphash.Seed
	n     int64
}

// namedTree is a bucket with its name.
type namedTree struct {
	name string
	tree
}

// buckets lists the buckets of the file in their order.
func (f *File) buckets(ctx context.Context, seen bitmap) ([]namedTree, error) {
	var out []namedTree
	w := &walker{f: f, ctx: ctx, seen: &seen}
	err := w.walk(tree{root: f.root}, func(page uint64, key, value []byte, flags uint32) error {
		if flags&flagBucket == 0 {
			return damaged(page, "%q is no bucket", key)
		}
		t, err := parseBucket(page, value)
		out = append(out, namedTree{string(key), t})
		return err
	})
	return out, err
}

// bucket reads one bucket.
func (s *scan) bucket(ctx context.Context, seen bitmap, b namedTree) error {
	_, _ = s.hash.Write([]byte(b.name))
	read := map[string]visit{
		bucketKey: s.entry, bucketLease: s.lease, bucketAlarm: s.alarm, bucketAuth: s.auth,
		bucketMembers: s.member, bucketCluster: s.cluster,
	}[b.name]
	w := &walker{f: s.f, ctx: ctx, seen: &seen}
	return w.walk(b.tree, func(page uint64, key, value []byte, flags uint32) error {
		if flags&flagBucket != 0 {
			return damaged(page, "there is a bucket within the bucket")
		}
		_, _ = s.hash.Write(key)
		_, _ = s.hash.Write(value)
		if read == nil {
			return nil
		}
		if err := read(key, value); err != nil {
			return fmt.Errorf("%w (page %d)", err, page)
		}
		return nil
	})
}

// entry reads an entry of history.
func (s *scan) entry(key, value []byte) error {
	rev, err := ParseRevision(key)
	if err != nil {
		return err
	}
	// Revisions below the compaction may be missing; above it each revision follows the one before.
	if next := rev.Main > s.last.Main; next && rev.Main != s.last.Main+1 && s.last.Main > s.CompactRevision || !next && rev.Sub <= s.last.Sub {
		return fmt.Errorf("%w: revision %d.%d follows %d.%d", ErrDamaged, rev.Main, rev.Sub, s.last.Main, s.last.Sub)
	}
	s.last = rev
	kv, err := ParseKV(value)
	if err != nil {
		return err
	}
	if !rev.Tombstone && kv.ModRevision != rev.Main && len(value) > 0 {
		return fmt.Errorf("%w: the entry of revision %d says that it is of %d", ErrDamaged, rev.Main, kv.ModRevision)
	}
	if s.names != nil {
		s.countName(rev, kv.Key)
	} else {
		s.kv.add(rev, key, value)
		if len(kv.Key) > 0 && s.live.exists(s.n) {
			s.countPrefix(kv.Key)
		}
	}
	s.n++
	s.Entries++
	s.Revision = rev.Main
	return nil
}

// countName counts the keys that exist as history goes on, and a record of nothing too, as etcdutl does.
func (s *scan) countName(rev Revision, key []byte) {
	slot, _ := s.names.slot(maphash.Bytes(s.seed, key))
	switch exists := *slot&userBit != 0; {
	case exists == !rev.Tombstone:
		return
	case exists:
		s.Keys--
	default:
		s.Keys++
	}
	*slot ^= userBit
}

// countPrefix counts a key below its first two segments.
func (s *scan) countPrefix(key []byte) {
	prefix := otherPrefix
	if end := prefixEnd(key); end > 0 {
		if n, ok := s.Prefixes[string(key[:end])]; ok { // without making a string of it
			s.Prefixes[string(key[:end])] = n + 1
			return
		}
		prefix = strings.ToValidUTF8(string(key[:end]), "?")
	}
	if _, known := s.Prefixes[prefix]; !known && len(s.Prefixes) >= maxPrefixes {
		prefix = otherPrefix
	}
	s.Prefixes[prefix]++
}

// prefixEnd is how much of a key its first two segments take; 0 where it has none.
func prefixEnd(key []byte) int {
	if len(key) == 0 || key[0] != '/' {
		return 0
	}
	second := bytes.IndexByte(key[1:], '/')
	if second < 0 {
		return 0
	}
	end := second + 2
	return end + bytes.IndexByte(key[end:], '/') + 1
}

func (s *scan) meta(key, value []byte) error {
	switch string(key) {
	case "scheduledCompactRev":
		rev, err := ParseRevision(value)
		s.CompactRevision = rev.Main
		return err
	case "consistent_index", "term":
		if len(value) != 8 {
			return fmt.Errorf("%w: %s has %d bytes", ErrDamaged, key, len(value))
		}
		if string(key) == "term" {
			s.Term = binary.BigEndian.Uint64(value)
		} else {
			s.Index = binary.BigEndian.Uint64(value)
		}
	case "storageVersion":
		s.StorageVersion = string(value)
	}
	return nil
}

func (s *scan) lease(key, value []byte) error {
	l, err := parseLease(value)
	if err != nil {
		return err
	}
	if len(key) != 8 || int64(binary.BigEndian.Uint64(key)) != l.ID {
		return fmt.Errorf("%w: lease %x lies under the key %x", ErrDamaged, l.ID, key)
	}
	s.LeaseCount++
	if len(s.Leases) < MaxLeases {
		s.Leases = append(s.Leases, l)
	}
	return nil
}

// parseLease decodes leasepb.Lease.
func parseLease(b []byte) (Lease, error) {
	var l Lease
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return l, badKV(n)
		}
		b = b[n:]
		if kind == protowire.VarintType && number <= 2 {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return l, badKV(n)
			}
			if number == 1 {
				l.ID = int64(v)
			} else {
				l.TTL = int64(v)
			}
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return l, badKV(n)
		}
		b = b[n:]
	}
	return l, nil
}

func (s *scan) alarm(_, _ []byte) error {
	s.Alarms++
	return nil
}

func (s *scan) auth(key, value []byte) error {
	switch string(key) {
	case "authEnabled":
		s.AuthEnabled = len(value) == 1 && value[0] == 1
	case "authRevision":
		if len(value) == 8 {
			s.AuthRevision = binary.BigEndian.Uint64(value)
		}
	}
	return nil
}

func (s *scan) cluster(key, value []byte) error {
	if string(key) == "clusterVersion" {
		s.ClusterVersion = string(value)
	}
	return nil
}

func (s *scan) member(_, value []byte) error {
	var m struct {
		ID        uint64   `json:"id"`
		PeerURLs  []string `json:"peerURLs"`  //nolint:tagliatelle // etcd's own
		IsLearner bool     `json:"isLearner"` //nolint:tagliatelle // etcd's own
		Name      string   `json:"name"`
	}
	if err := json.Unmarshal(value, &m); err != nil {
		return fmt.Errorf("%w: a member does not decode: %w", ErrDamaged, err)
	}
	s.Members = append(s.Members, MemberName{m.ID, m.Name, m.PeerURLs, m.IsLearner})
	return nil
}

// finish checks what can only be told at the end.
func (s *scan) finish() error {
	if s.live != nil && s.n != s.live.entries {
		return errors.New("the file changed while it was read")
	}
	// The file of a store in which nothing was written has no entry: etcd begins at revision 1.
	// A compaction at the newest revision takes the entry of a deletion there with it (etcd before 3.5.15): the store's
	// revision is the compaction's then, as it is for the member.
	s.Revision = max(s.Revision, s.CompactRevision, 1)
	slices.SortFunc(s.Leases, func(a, b Lease) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	return nil
}
