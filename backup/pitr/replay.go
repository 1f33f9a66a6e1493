package pitr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/backup/rewind"
)

// Batches of a replay end after so much: it bounds memory. One is filled while the one before it is written.
const (
	batchEntries = 10_000
	batchBytes   = 12 << 20
)

// Errors of a replay.
var (
	errForeign     = errors.New("the base is not of the history that was archived")
	errHashMark    = errors.New("the hash of what was restored is not what the member computed")
	errUnconnected = errors.New("nothing proves that the base is of the history that was archived: they have no revision in common")
	errReached     = errors.New("the revision is reached")
)

// Source yields the archived segments in order, each with what is in it.
type Source interface {
	Len() int
	// Read tells the visitor what the i-th segment holds, checked.
	Read(ctx context.Context, i int, v archive.Visitor) (*archive.Header, error)
	// Name of the i-th one, for errors.
	Name(i int) string
	// Size of the i-th one as it is stored, in bytes.
	Size(i int) int64
}

// Segments reads segments out of a store.
type Segments struct {
	Store backup.Store
	Refs  []archive.Ref
	Keys  backup.Identities
}

// Len implements Source.
func (s Segments) Len() int { return len(s.Refs) }

// Name implements Source.
func (s Segments) Name(i int) string { return s.Refs[i].Object }

// Size implements Source.
func (s Segments) Size(i int) int64 { return s.Refs[i].Size }

// Read implements Source.
func (s Segments) Read(ctx context.Context, i int, v archive.Visitor) (*archive.Header, error) {
	return archive.ReadObject(ctx, s.Store, s.Refs[i], v, s.Keys)
}

// Result is what a database holds after a restore.
type Result struct {
	Revision        int64           // newest
	CompactRevision int64           // that it is marked to be compacted to
	Keys            int64           // that exist
	HashKV          uint32          // at both, as a member computes it
	Replayed        int64           // entries written
	Proven          int64           // newest revision at which a member's own hash was compared and is equal; 0 for none
	Deleted         int64           // entries of later revisions taken away
	AuthBase        uint64          // revision of users and roles in the base
	AuthChanged     bool            // users or roles changed between base and revision
	AuthKnown       bool            // the archive tells
	LeaseTTL        map[int64]int64 // leases as the archive saw them granted, in seconds
	Missing         []int64         // leases that keys hang on and that had to be made again, or taken off
	Guessed         []int64         // of those, the ones whose time to live nobody knows
}

// Options say how a restore goes.
type Options struct {
	Leases rewind.Policy // what becomes of keys whose lease is not in the file; default rewind.Regrant
	// GuessTTL is the time to live in seconds of a lease that is made again when nobody knows what it had; default an hour.
	GuessTTL int64
	Own      bool // the base is the one that the timeline began with

	Progress func(backup.Progress) // stages "replay" (stored bytes of segments) and "compare"
}

// To brings a database file to a revision: forward with archived segments, or back in its own history. The file is
// changed in place and of no use after an error.
func To(ctx context.Context, file string, source Source, revision int64, o Options) (*Result, error) {
	if o.Leases == "" {
		o.Leases = rewind.Regrant
	}
	if o.GuessTTL <= 0 {
		o.GuessTTL = guessTTL
	}
	if o.Progress == nil {
		o.Progress = func(backup.Progress) {}
	}
	r := &replay{target: revision, progress: o.Progress, Result: Result{LeaseTTL: map[int64]int64{}}}
	if err := r.with(file, room(source), func() error { return r.run(ctx, source) }); err != nil {
		return nil, err
	}
	o.Progress(backup.Progress{Stage: "compare"})
	if err := r.check(ctx, file); err != nil {
		return nil, err
	}
	if source.Len() > 0 && !o.Own && r.compared == 0 && r.Proven == 0 && r.Replayed > 0 {
		return nil, errUnconnected
	}
	if err := r.with(file, 0, func() error { return errors.Join(r.mendLeases(ctx, o), r.db.Sync()) }); err != nil {
		return nil, err
	}
	if o.Leases == rewind.Strip && len(r.Missing) > 0 {
		return &r.Result, r.look(file, func(db *dbfile.File) error { return r.summarize(ctx, db) })
	}
	return &r.Result, nil
}

// replay is one restore at work.
type replay struct {
	Result
	db     *bolt.DB
	target int64
	span   rewind.Span // of the base

	progress func(backup.Progress)

	batch  []archive.Entry
	arena  []byte
	size   int
	writer *appender

	mark   *archive.Mark // the newest one that the result can be held against
	newest int64         // revision met last
	auth   *archive.Auth

	compared int64 // changes that base and archive have in common
}

// with opens the database for a while, with room for so many more bytes. It is not synced: what fails is of no use anyway,
// and one sync at the end waits for the disk once, where one for each transaction makes the processor wait as often.
func (r *replay) with(file string, room int64, do func() error) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	db, err := bolt.Open(file, 0o600, &bolt.Options{
		NoSync: true, NoGrowSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, InitialMmapSize: mapping(info.Size() + room),
	})
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	r.db = db
	return errors.Join(do(), db.Close())
}

// room guesses by how much a database grows when all of a source is written to it.
func room(source Source) int64 {
	const unpacked = 10 // times as large as stored, at most in most cases
	var stored int64
	for i := range source.Len() {
		stored += source.Size(i)
	}
	return unpacked * stored
}

// mapping is the size of a file's mapping that need not be enlarged: whenever bbolt does, it copies what the transaction
// under way has touched. Addresses are what it costs, not memory.
func mapping(size int64) int {
	const most = 64 << 30
	if runtime.GOOS == "windows" || strconv.IntSize < 64 {
		return 0 // the file would be made as large, or there are not so many addresses
	}
	return int(min(size, most))
}

func (r *replay) run(ctx context.Context, source Source) error {
	var err error
	if r.span, err = rewind.ReadSpan(r.db); err != nil {
		return err
	}
	if err := r.readBase(); err != nil {
		return err
	}
	if r.target < r.span.Newest {
		if r.Deleted, err = rewind.To(ctx, r.db, r.target); err != nil {
			return err
		}
	}
	if err := r.forward(ctx, source); err != nil {
		return err
	}
	return r.setCompact(r.CompactRevision)
}

// mendLeases deals with keys whose leases are not in the file.
func (r *replay) mendLeases(ctx context.Context, o Options) (err error) {
	r.Missing, err = rewind.Leases(ctx, r.db, o.Leases, func(id int64) int64 {
		if ttl, known := r.LeaseTTL[id]; known {
			return ttl
		}
		r.Guessed = append(r.Guessed, id)
		return o.GuessTTL
	})
	return err
}

// guessTTL is long enough, in seconds, for the owner of a lease to come back and renew it.
const guessTTL = 3600

// forward writes the archived changes behind the base.
func (r *replay) forward(ctx context.Context, source Source) error {
	r.newest = min(r.span.Newest, r.target)
	r.writer = newAppender(r.db)
	err := r.read(ctx, source)
	if err == nil {
		err = r.flush()
	}
	written, writeErr := r.writer.end()
	r.Replayed += written
	if err := errors.Join(err, writeErr); err != nil {
		return err
	}
	if r.newest != r.target {
		return fmt.Errorf("the archive ends at revision %d, before %d", r.newest, r.target)
	}
	return nil
}

// read reads the archived changes up to the target.
func (r *replay) read(ctx context.Context, source Source) error {
	at := backup.Progress{Stage: "replay"}
	for i := range source.Len() {
		at.Total += source.Size(i)
	}
	for i := range source.Len() {
		r.progress(at)
		at.Done += source.Size(i)
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		_, err := source.Read(ctx, i, archive.Visitor{
			Entry: func(revision int64, e archive.Entry) error { return r.entry(ctx, revision, e) },
			Note:  func(n archive.Note) error { r.note(n); return nil },
		})
		if errors.Is(err, errReached) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", source.Name(i), err)
		}
	}
	return nil
}

// entry takes one archived change: what the base has already must be the same there.
func (r *replay) entry(ctx context.Context, revision int64, e archive.Entry) error {
	switch {
	case revision > r.target:
		return errReached
	case revision <= r.span.Newest:
		return r.compare(revision, e)
	case revision > r.newest+1:
		return fmt.Errorf("revision %d follows %d: a gap", revision, r.newest)
	}
	r.newest = revision
	at := len(r.arena)
	if cap(r.arena)-at < len(e.Key)+len(e.Value) {
		r.arena = make([]byte, 0, max(1<<20, len(e.Key)+len(e.Value))) // bbolt keeps what lies in the old one until the commit
		at = 0
	}
	r.arena = append(append(r.arena, e.Key...), e.Value...)
	middle, end := at+len(e.Key), len(r.arena)
	r.batch = append(r.batch, archive.Entry{Key: r.arena[at:middle:middle], Value: r.arena[middle:end:end]})
	r.size += end - at
	if len(r.batch) < batchEntries && r.size < batchBytes {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return r.flush()
}

// compare holds an archived change against the base's own.
func (r *replay) compare(revision int64, e archive.Entry) error {
	return r.db.View(func(tx *bolt.Tx) error {
		own := tx.Bucket([]byte("key")).Get(e.Key)
		if own == nil && revision <= r.span.Oldest {
			return nil // compacted away
		}
		if !bytes.Equal(own, e.Value) {
			return fmt.Errorf("%w: they differ at revision %d", errForeign, revision)
		}
		r.compared++
		return nil
	})
}

// flush hands on what has been collected.
func (r *replay) flush() error {
	if len(r.batch) == 0 {
		return nil
	}
	err := r.writer.add(r.batch)
	r.batch, r.arena, r.size = make([]archive.Entry, 0, batchEntries), nil, 0
	return err
}

// note takes what was sampled before the revision.
func (r *replay) note(n archive.Note) {
	for _, l := range n.Leases {
		r.LeaseTTL[l.ID] = l.TTL
	}
	if n.Compaction != nil && n.Compaction.Revision <= r.target {
		r.CompactRevision = max(r.CompactRevision, min(n.Compaction.CompactRevision, r.target))
	}
	if n.Auth != nil && n.Auth.Revision <= r.target {
		r.auth = n.Auth
	}
	if m := n.Mark; m != nil && m.Revision <= r.target && m.Revision > r.span.Newest && max(m.CompactRevision, 1) >= r.span.Oldest {
		r.mark = m
		r.CompactRevision = max(r.CompactRevision, m.CompactRevision)
	}
}

// readBase reads what the base says of itself.
func (r *replay) readBase() error {
	return r.db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket([]byte("meta")).Get(scheduledCompact); v != nil {
			rev, err := dbfile.ParseRevision(v)
			if err != nil {
				return err
			}
			r.CompactRevision = rev.Main
		}
		if auth := tx.Bucket([]byte("auth")); auth != nil {
			r.AuthBase = authRevision(auth.Get([]byte("authRevision")))
		}
		return nil
	})
}

var scheduledCompact = []byte("scheduledCompactRev") //nolint:gochecknoglobals // the name of a key

// setCompact marks the database to be compacted to a revision: compactions are no changes, so none is in the stream. The
// member that starts on it finishes the work.
func (r *replay) setCompact(revision int64) error {
	if revision <= 0 {
		return nil
	}
	return r.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put(scheduledCompact, dbfile.Revision{Main: revision}.Bytes())
	})
}

// look opens the database for reading.
func (r *replay) look(file string, do func(*dbfile.File) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	db, err := dbfile.Open(f, info.Size())
	if err != nil {
		return err
	}
	return do(db)
}

// check computes the hash of what was restored, and that of the newest mark, as the member did.
func (r *replay) check(ctx context.Context, file string) error {
	r.Revision = r.target
	if r.auth != nil && r.auth.Known {
		r.AuthKnown, r.AuthChanged = true, r.auth.AuthRevision != r.AuthBase
	}
	return r.look(file, func(db *dbfile.File) (err error) {
		if m := r.mark; m != nil {
			got, err := db.HashKVAt(ctx, m.Revision, m.CompactRevision)
			if err != nil {
				return err
			}
			if got != m.Hash {
				return fmt.Errorf("%w: %08x and %08x at revision %d compacted at %d", errHashMark, got, m.Hash, m.Revision, m.CompactRevision)
			}
			r.Proven = m.Revision
		}
		return r.summarize(ctx, db)
	})
}

// summarize reads all of what was restored: a sound database, and what it holds.
func (r *replay) summarize(ctx context.Context, db *dbfile.File) error {
	s, err := db.Scan(ctx)
	if err != nil {
		return err
	}
	if s.Revision != r.target {
		return fmt.Errorf("went to revision %d and found %d", r.target, s.Revision)
	}
	r.HashKV, r.CompactRevision, r.Keys = s.HashKV, s.CompactRevision, s.Keys
	return nil
}

// authRevision decodes the revision of users and roles.
func authRevision(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}
