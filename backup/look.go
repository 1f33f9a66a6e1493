package backup

import (
	"bytes"
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/backup/rewind"
)

// LookOptions say which keys are looked up in a backup.
type LookOptions struct {
	Revision int64 // 0 for the newest of the backup
	Keys     []string
	Prefix   bool // Keys are prefixes
	KeysOnly bool
	Access   Identities
	SpoolDir string
	Progress func(Progress)
}

// Look reads keys out of a backup without restoring it: yield is called for each key that exists at the revision, in their
// order. It returns the revision.
func (r *Repository) Look(ctx context.Context, e Entry, o LookOptions, yield func(*mvccpb.KeyValue) error) (int64, error) {
	if e.Manifest == nil || e.Problem != "" {
		return 0, damagedObject(e.Object, errors.New(e.Problem))
	}
	revision := o.Revision
	if revision == 0 {
		revision = e.Manifest.Revision
	}
	span := rewind.Span{Oldest: max(e.Manifest.CompactRevision, 1), Newest: e.Manifest.Revision}
	if err := span.Check(revision, "backup "+e.ID.Short()); err != nil {
		return 0, err
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	release := r.takeLease(ctx, e.ID)
	defer release()
	plain, err := r.fetch(ctx, e.Manifest, VerifyOptions{Level: LevelData, Keys: o.Access, SpoolDir: o.SpoolDir, Progress: o.Progress})
	if err != nil {
		return 0, err
	}
	defer func() { _ = plain.Close() }()
	db, err := dbfile.Open(plain.file, e.Manifest.Plain.Size)
	if err != nil {
		return 0, err
	}
	found, err := db.Keys(ctx, revision, o.matches)
	if err != nil {
		return 0, err
	}
	for _, key := range found {
		kv := &mvccpb.KeyValue{Key: key.Key}
		entry, err := db.Entry(ctx, key.Entry)
		if err != nil {
			return 0, err
		}
		kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease = entry.CreateRevision, entry.ModRevision, entry.Version, entry.Lease
		if !o.KeysOnly {
			kv.Value = entry.Value
		}
		if err := yield(kv); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

func (o *LookOptions) matches(key []byte) bool {
	if len(o.Keys) == 0 {
		return true
	}
	for _, want := range o.Keys {
		if o.Prefix && bytes.HasPrefix(key, []byte(want)) || string(key) == want {
			return true
		}
	}
	return false
}
