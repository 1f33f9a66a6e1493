package datadir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	revisionSize  = 17 // 8 bytes main, '_', 8 bytes sub
	tombstoneSize = revisionSize + 1
)

// record is one revision of one key.
type record struct {
	main, sub int64
	tombstone bool
	key       []byte
	created   int64
}

// decode reads a pair of the key bucket.
func (r *record) decode(k, v []byte) error {
	if len(k) != revisionSize && len(k) != tombstoneSize || k[8] != '_' {
		return fmt.Errorf("%w: a key of %d bytes that is no revision", errPage, len(k))
	}
	main, sub := binary.BigEndian.Uint64(k), binary.BigEndian.Uint64(k[9:])
	if main > math.MaxInt64 || sub > math.MaxInt64 {
		return fmt.Errorf("%w: revision %d is impossible", errPage, main)
	}
	*r = record{main: int64(main), sub: int64(sub), tombstone: len(k) == tombstoneSize}
	var modified int64
	for rest := v; len(rest) > 0; {
		num, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return fmt.Errorf("%w: the value at revision %d does not decode", errPage, main)
		}
		rest = rest[n:]
		switch {
		case num == 1 && kind == protowire.BytesType:
			r.key, n = protowire.ConsumeBytes(rest)
		case (num == 2 || num == 3) && kind == protowire.VarintType:
			var x uint64
			x, n = protowire.ConsumeVarint(rest)
			if num == 2 {
				r.created = int64(x) //nolint:gosec // as the store itself reads it
			} else {
				modified = int64(x) //nolint:gosec // as the store itself reads it
			}
		default:
			n = protowire.ConsumeFieldValue(num, kind, rest)
		}
		if n < 0 {
			return fmt.Errorf("%w: the value at revision %d does not decode", errPage, main)
		}
		rest = rest[n:]
	}
	if !r.tombstone && modified != r.main && len(v) > 0 { // a restore that bumps the revision writes a record of nothing
		return fmt.Errorf("%w: the value at revision %d says that it is of revision %d", errPage, r.main, modified)
	}
	return nil
}

// keyspace reads all revisions once and computes what members compute of them.
//
// The checksum of the members leaves revisions out that a compaction has made superfluous: those at or below the compact
// revision that are not the last of their key. Where the compaction is finished, such a revision is superfluous only when the
// key was changed later, so it takes the set of keys changed since, not of all keys.
type keyspace struct {
	file      *boltFile
	bucket    boltBucket
	compact   int64 // the compact revision, also of a compaction that has not finished
	finished  bool
	at        int64 // revision of the hash; 0 is the latest
	seed      maphash.Seed
	changed   []uint64         // keys changed after the compact revision that existed before; sorted
	last      map[uint64]int64 // newest revision of each key, negative when deleted; for a compaction that has not finished
	live      int64            // keys at revision at
	records   int64
	revision  int64
	kept, all uint32 // the checksum with and without leaving out
}

func newKeyspace(file *boltFile, bucket boltBucket, compact int64, finished bool, at int64) *keyspace {
	if at == 0 {
		at = math.MaxInt64 - 1
	}
	first := crc32.Update(0, castagnoli(), []byte("key"))
	return &keyspace{file: file, bucket: bucket, compact: compact, finished: finished, at: at, seed: maphash.MakeSeed(), kept: first, all: first}
}

// read does the whole of it.
func (s *keyspace) read() error {
	if s.compact > 0 {
		if err := s.readChanged(); err != nil {
			return err
		}
	}
	s.file.begin()
	var r record
	return s.file.walk(s.bucket, nil, func(k, v []byte) error {
		if err := r.decode(k, v); err != nil {
			return err
		}
		s.records++
		s.revision = max(s.revision, r.main)
		s.count(&r)
		s.sum(&r, k, v)
		return nil
	})
}

// readChanged finds the keys that make revisions at or below the compact revision superfluous.
func (s *keyspace) readChanged() error {
	from := binary.BigEndian.AppendUint64(nil, uint64(s.compact)+1) //nolint:gosec // above 0
	if !s.finished {
		from, s.last = nil, map[uint64]int64{}
	}
	s.file.begin()
	used := s.file.used
	defer func() { s.file.used = used }()
	var r record
	err := s.file.walk(s.bucket, from, func(k, v []byte) error {
		if err := r.decode(k, v); err != nil {
			return err
		}
		switch {
		case r.main > s.at:
		case !s.finished:
			s.last[maphash.Bytes(s.seed, r.key)] = r.main
			if r.tombstone {
				s.last[maphash.Bytes(s.seed, r.key)] = -r.main
			}
		case r.tombstone || r.created <= s.compact:
			s.changed = append(s.changed, maphash.Bytes(s.seed, r.key))
		}
		return nil
	})
	nothing := maphash.Bytes(s.seed, nil)
	for key, revision := range s.last {
		if revision > 0 && key != nothing {
			s.live++
		}
	}
	slices.Sort(s.changed)
	s.changed = slices.Compact(s.changed)
	return err
}

// count follows how many keys there are. Of a compaction that has finished, one revision a key is left at or below it.
func (s *keyspace) count(r *record) {
	switch {
	case r.main > s.at || s.last != nil || len(r.key) == 0:
	case r.tombstone && r.main > s.compact:
		s.live--
	case r.tombstone: // kept by newer versions at the compact revision itself
	case r.main <= s.compact, r.created == r.main:
		s.live++
	}
}

// superfluous tells whether a revision at or below the compact revision is not the last of its key.
func (s *keyspace) superfluous(r *record) bool {
	h := maphash.Bytes(s.seed, r.key)
	if s.last != nil {
		return s.last[h] != r.main
	}
	_, found := slices.BinarySearch(s.changed, h)
	return found
}

// sum goes on with both checksums.
func (s *keyspace) sum(r *record, k, v []byte) {
	if r.main > s.at || r.main == s.compact && r.tombstone {
		return
	}
	s.all = crc32.Update(crc32.Update(s.all, castagnoli(), k), castagnoli(), v)
	if r.main <= s.compact && (r.tombstone || s.superfluous(r)) {
		return
	}
	s.kept = crc32.Update(crc32.Update(s.kept, castagnoli(), k), castagnoli(), v)
}

// errRevision says that a hash was asked for at a revision that the store cannot tell.
var errRevision = errors.New("the store has no hash at that revision")

// hash is the checksum; an error where the revision asked for is not there any more or not yet.
func (s *keyspace) hash(current int64) (*Hash, error) {
	at := s.at
	if at > current {
		if at != math.MaxInt64-1 {
			return nil, fmt.Errorf("%w: its latest is %d", errRevision, current)
		}
		at = current
	}
	if at < s.compact {
		return nil, fmt.Errorf("%w: it was compacted at %d", errRevision, s.compact)
	}
	sum := s.kept
	if s.live == 0 { // members leave nothing out when no key is left
		sum = s.all
	}
	return &Hash{Hash: sum, Revision: at, CompactRevision: s.compact}, nil
}
