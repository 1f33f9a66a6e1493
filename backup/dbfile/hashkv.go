package dbfile

import (
	"context"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/maphash"
	"math"
)

const maxRevision = math.MaxInt64 - 1

// liveness says which entries of history are the newest of their key.
type liveness struct {
	newest  bitmap // by the number of the entry, counted from the last
	entries int64
	keys    int64 // that exist, as the hash counts them
	named   int64 // likewise, without the record of nothing that a restore writes which raises the revision
}

// exists says whether the entry of that number, counted from the first, is what its key is now.
func (l *liveness) exists(n int64) bool { return n < l.entries && l.newest.has(uint64(l.entries-1-n)) }

// liveness goes through history backwards: the first entry met of a key is its newest. Keys are known by 64 bits of a
// hash: among four million keys the chance that two are taken for one is below one in a million, and what comes of it is
// a hash that differs, never one that agrees.
func (f *File) liveness(ctx context.Context, until int64) (*liveness, error) {
	seed := maphash.MakeSeed()
	met := &keySet{}
	l := &liveness{}
	err := f.walkBucket(ctx, bucketKey, nil, true, func(key, value []byte) error {
		rev, err := ParseRevision(key)
		if err != nil {
			return err
		}
		if uint64(l.entries)/64 >= uint64(len(l.newest)) {
			l.newest = append(l.newest, 0)
		}
		if rev.Main <= until {
			kv, err := ParseKV(value)
			if err != nil {
				return err
			}
			if _, superseded := met.slot(maphash.Bytes(seed, kv.Key)); !superseded && !rev.Tombstone {
				l.newest.set(uint64(l.entries))
				l.keys++
				if len(kv.Key) > 0 {
					l.named++
				}
			}
		}
		l.entries++
		return nil
	})
	return l, err
}

// kvHash computes what etcd calls HashKV: of the history up to a revision, without what the compaction takes away.
type kvHash struct {
	hash    hash.Hash32
	compact int64
	live    *liveness
	n       int64
}

func newKVHash(compact int64, live *liveness) *kvHash {
	h := &kvHash{hash: crc32.New(castagnoli), compact: compact, live: live}
	_, _ = h.hash.Write([]byte(bucketKey))
	return h
}

// add takes the next entry.
func (h *kvHash) add(rev Revision, key, value []byte) {
	n := h.n
	h.n++
	// Members leave out of the compacted history what is not the newest of its key, unless there is no key at all.
	if rev.Main <= h.compact && h.live.keys > 0 && !h.live.exists(n) {
		return
	}
	// Whether a tombstone at the compacted revision itself is there depends on the version that compacted.
	if rev.Main == h.compact && rev.Tombstone {
		return
	}
	_, _ = h.hash.Write(key)
	_, _ = h.hash.Write(value)
}

func (h *kvHash) sum() uint32 { return h.hash.Sum32() }

// HashKV is etcd's hash of the history up to a revision: what a member answers that has compacted at the same revision.
func (f *File) HashKV(ctx context.Context, revision int64) (sum uint32, compact int64, err error) {
	s := &scan{}
	if err := f.Walk(ctx, bucketMeta, nil, s.meta); err != nil {
		return 0, 0, err
	}
	if revision < s.CompactRevision {
		return 0, s.CompactRevision, fmt.Errorf("revision %d is compacted away: history begins at %d", revision, s.CompactRevision)
	}
	sum, err = f.HashKVAt(ctx, revision, s.CompactRevision)
	return sum, s.CompactRevision, err
}

// HashKVAt is HashKV as a member computes it that has compacted at another revision than the file says, a later one.
func (f *File) HashKVAt(ctx context.Context, revision, compact int64) (uint32, error) {
	live, err := f.liveness(ctx, revision)
	if err != nil {
		return 0, err
	}
	h := newKVHash(compact, live)
	err = f.Walk(ctx, bucketKey, nil, func(key, value []byte) error {
		rev, err := ParseRevision(key)
		if err == nil && rev.Main <= revision {
			h.add(rev, key, value)
		}
		return err
	})
	return h.sum(), err
}
