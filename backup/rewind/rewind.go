// Package rewind takes a database file of etcd's back to an older revision.
//
// The bucket "key" holds every change under its revision, so what lies above a revision can be deleted, and what is left is
// what a member had when that revision was its newest: the same HashKV. It works for every revision that the file has not
// compacted away, and needs nothing but the file.
//
// Users, roles and leases are no part of that history: they stay as they are in the file. A lease that ended after the
// revision is missing then; see Leases.
package rewind

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/ops"
)

// Codes of this package.
const (
	CodeCompacted ops.Code = "ETO-4155" // the revision is older than the history in the file
	CodeAhead     ops.Code = "ETO-4156" // the file ends before the revision
)

// batch is how many entries one transaction deletes: it bounds memory.
const batch = 50_000

const (
	bucketKey  = "key"
	bucketMeta = "meta"
)

// Span is the history in a file: states from Oldest to Newest can be made of it.
type Span struct{ Oldest, Newest int64 }

// ReadSpan reads the span of an open database.
func ReadSpan(db *bolt.DB) (Span, error) {
	var s Span
	err := db.View(func(tx *bolt.Tx) error {
		keys, meta := tx.Bucket([]byte(bucketKey)), tx.Bucket([]byte(bucketMeta))
		if keys == nil || meta == nil {
			return fmt.Errorf("%w: it is no database of etcd's", dbfile.ErrDamaged)
		}
		s.Oldest, s.Newest = 1, 1
		if v := meta.Get([]byte("scheduledCompactRev")); v != nil {
			rev, err := dbfile.ParseRevision(v)
			if err != nil {
				return err
			}
			s.Oldest = max(rev.Main, 1)
		}
		if last, _ := keys.Cursor().Last(); last != nil {
			rev, err := dbfile.ParseRevision(last)
			if err != nil {
				return err
			}
			s.Newest = rev.Main
		}
		return nil
	})
	s.Newest = max(s.Newest, s.Oldest) // a deletion at the newest revision, compacted away
	return s, err
}

// Check refuses revisions that cannot be made of the span; member names the file in the error.
func (s Span) Check(revision int64, member string) error {
	switch {
	case revision < s.Oldest:
		return &ops.HintError{
			Code: CodeCompacted, Class: ops.ClassRefused, Op: "go back in", Member: member,
			Err:  fmt.Errorf("revision %d is compacted away: its history goes from %d to %d", revision, s.Oldest, s.Newest),
			Hint: "an older backup may reach it",
		}
	case revision > s.Newest:
		return &ops.HintError{
			Code: CodeAhead, Class: ops.ClassRefused, Op: "go back in", Member: member,
			Err:  fmt.Errorf("revision %d is not in it: its history goes from %d to %d", revision, s.Oldest, s.Newest),
			Hint: "a newer backup may reach it",
		}
	}
	return nil
}

// To deletes all history above a revision and returns how many entries went. The revision must lie in the file's span. A
// database that was opened with NoSync is not synced. When it fails half-way the file is of no use; run it on a copy.
func To(ctx context.Context, db *bolt.DB, revision int64) (int64, error) {
	span, err := ReadSpan(db)
	if err != nil {
		return 0, err
	}
	if err := span.Check(revision, db.Path()); err != nil {
		return 0, err
	}
	first := dbfile.Revision{Main: revision + 1}.Bytes()
	var gone int64
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return gone, context.Cause(ctx)
		}
		err := db.Update(func(tx *bolt.Tx) error {
			bucket := tx.Bucket([]byte(bucketKey))
			keys := make([][]byte, 0, 1024)
			cursor := bucket.Cursor()
			for k, _ := cursor.Seek(first); k != nil && len(keys) < batch; k, _ = cursor.Next() {
				keys = append(keys, k) // bbolt's own memory, valid until the transaction ends
			}
			more = len(keys) == batch
			gone += int64(len(keys))
			for _, k := range keys {
				if err := bucket.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// Policy says what becomes of keys whose lease is not in the file any more.
type Policy string

// The policies.
const (
	// Regrant makes the lease again. The keys stay as they were, and the hash too.
	Regrant Policy = "regrant"
	// Strip takes the lease off the keys: they stay for ever, and the hash changes.
	Strip Policy = "strip"
	// Fail refuses.
	Fail Policy = "fail"
)

var errNoPolicy = errors.New("regrant, strip or fail")

// ParsePolicy reads a policy.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case Regrant, Strip, Fail:
		return p, nil
	}
	return "", fmt.Errorf("there is no lease policy %q: %w", s, errNoPolicy)
}

// leaseKey is the key of a lease in its bucket.
func leaseKey(id int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }
