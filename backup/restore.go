package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/backup/rewind"
	"github.com/etcdops/etcdops/ops"
)

// RestoreOptions say what is restored to where.
type RestoreOptions struct {
	Targets  []memberdir.Options // one for each member's directory that is to be written
	Revision int64               // to go back to within the backup; 0 for its newest
	Leases   rewind.Policy       // for leases that ended after Revision; default rewind.Regrant
	LeaseTTL int64               // seconds of a lease that is made again and that nothing tells of; default an hour
	Keys     Identities
	Progress func(Progress)

	// Rework changes the database before it is made a member's, instead of going back to Revision: point-in-time recovery.
	Rework func(ctx context.Context, path string, out *Restored) error
}

// defaultLeaseTTL is how long a lease lives that is made again, in seconds.
const defaultLeaseTTL = 3600

// Restored is what a restore wrote.
type Restored struct {
	Backup   ID                 `json:"backup"`
	Revision int64              `json:"revision"` // of the data, before it was raised
	HashKV   uint32             `json:"hash_kv"`  // of the data at Revision
	Keys     int64              `json:"keys"`
	Leases   []int64            `json:"leases"` // that were made again or taken off keys
	Members  []memberdir.Member `json:"members"`
}

// Restore writes data directories from a backup. Nothing is written when the key does not fit, a directory is in the way, or
// the revision is not in the backup. Each directory appears when it is complete.
func (r *Repository) Restore(ctx context.Context, e Entry, o RestoreOptions) (Restored, error) {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Leases == "" {
		o.Leases = rewind.Regrant
	}
	if o.LeaseTTL <= 0 {
		o.LeaseTTL = defaultLeaseTTL
	}
	if err := r.CheckRestore(ctx, e, o); err != nil {
		return Restored{}, err
	}
	m := e.Manifest
	out := Restored{Backup: m.ID, Revision: m.Revision, HashKV: m.Hash.Value, Keys: m.Keys}
	if o.Revision != 0 {
		out.Revision = o.Revision
	}
	release := r.takeLease(ctx, e.ID)
	defer release()
	for _, target := range o.Targets {
		member, err := memberdir.Write(ctx, target,
			func(f *os.File) error { return r.download(ctx, m, f, o) },
			func(path string) error { return goBack(ctx, path, o, m, &out) })
		if err != nil {
			return out, targetError(target.Dir, err)
		}
		out.Members = append(out.Members, member)
	}
	return out, nil
}

// CheckRestore says whether a restore may begin: the backup is whole as far as a list of objects shows, the key opens it, it
// holds the revision, and nothing is in the way. It writes nothing.
func (r *Repository) CheckRestore(ctx context.Context, e Entry, o RestoreOptions) error {
	if e.Manifest == nil || e.Problem != "" {
		return damagedObject(e.Object, errors.New(e.Problem))
	}
	m := e.Manifest
	if o.Revision != 0 {
		if err := (rewind.Span{Oldest: max(m.CompactRevision, 1), Newest: m.Revision}).Check(o.Revision, "backup "+m.ID.Short()); err != nil {
			return err
		}
	}
	for _, target := range o.Targets {
		if err := target.Check(); err != nil {
			return targetError(target.Dir, err)
		}
	}
	reader, err := r.openPlain(ctx, m, o.Keys)
	if err != nil {
		return err
	}
	return reader.Close()
}

// download writes the database of a backup to a file. Its hash is that of the file that was verified when the backup was
// made, so it need not be read again.
func (r *Repository) download(ctx context.Context, m *Manifest, f *os.File, o RestoreOptions) error {
	reader, err := r.openPlain(ctx, m, o.Keys)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	counted := &countedWriter{w: contextWriter{ctx, f}, total: m.Plain.Size, stage: "restore", progress: o.Progress}
	if _, err := io.CopyBuffer(counted, onlyReader{reader}, make([]byte, 1<<20)); err != nil {
		if counted.failed {
			return err
		}
		return r.nameDamage(ctx, m, err)
	}
	return nil
}

// goBack takes a restored database back to the revision wanted.
func goBack(ctx context.Context, path string, o RestoreOptions, m *Manifest, out *Restored) error {
	if o.Rework != nil {
		return o.Rework(ctx, path, out)
	}
	if o.Revision == 0 || o.Revision == m.Revision {
		return nil
	}
	o.Progress(Progress{Stage: "replay"})
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	_, err = rewind.To(ctx, db, o.Revision)
	if err == nil {
		ttls := map[int64]int64{}
		for _, l := range m.Leases {
			ttls[l.ID] = l.TTL
		}
		out.Leases, err = rewind.Leases(ctx, db, o.Leases, func(id int64) int64 {
			if ttl := ttls[id]; ttl > 0 {
				return ttl
			}
			return o.LeaseTTL
		})
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	o.Progress(Progress{Stage: "compare"})
	s, err := summarize(ctx, path)
	if err != nil {
		return err
	}
	if s.Revision != o.Revision {
		return fmt.Errorf("went back to revision %d and found %d", o.Revision, s.Revision)
	}
	out.HashKV, out.Keys = s.HashKV, s.Keys
	return nil
}

// summarize reads a database file.
func summarize(ctx context.Context, path string) (dbfile.Summary, error) {
	f, err := os.Open(path)
	if err != nil {
		return dbfile.Summary{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return dbfile.Summary{}, err
	}
	db, err := dbfile.Open(f, info.Size())
	if err != nil {
		return dbfile.Summary{}, err
	}
	return db.Scan(ctx)
}

// targetError explains why a directory was not written.
func targetError(dir string, err error) error {
	switch {
	case errors.Is(err, memberdir.ErrRuns): // setting aside what is in use helps nobody
		return &ops.HintError{
			Code: CodeTargetExists, Class: ops.ClassRefused, Op: "restore into", Member: dir, Err: err,
			Hint: "restore into a new directory, and stop that member before another takes its place",
		}
	case errors.Is(err, memberdir.ErrExists):
		return &ops.HintError{
			Code: CodeTargetExists, Class: ops.ClassRefused, Op: "restore into", Member: dir, Err: err,
			Hint: "restore into a new directory, or set this one aside: mv " + dir + " " + dir + ".aside",
		}
	case errors.Is(err, context.Canceled):
		return &ops.HintError{Class: ops.ClassInterrupted, Op: "restore into", Member: dir, Err: err}
	case ops.CodeOf(err) != "":
		return err
	}
	return &ops.HintError{Code: CodeRestore, Op: "restore into", Member: dir, Err: err, Hint: "mend what the error names and run the command again"}
}
