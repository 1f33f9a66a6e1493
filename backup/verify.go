package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// VerifyOptions say how backups are verified.
type VerifyOptions struct {
	Level    Level      // to reach, up to LevelData
	Keys     Identities // from LevelPlain on, of encrypted backups
	SpoolDir string     // from LevelData on
	Progress func(Progress)
}

// Verify checks a backup to a level and returns the level that was reached. An error that is CodeDamaged or CodeNotSound
// says what is wrong with the backup; any other says that it could not be checked.
func (r *Repository) Verify(ctx context.Context, e Entry, o VerifyOptions) (Level, error) {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if e.Problem != "" {
		return LevelNone, damagedObject(e.Object, errors.New(e.Problem))
	}
	release := r.takeLease(ctx, e.ID)
	defer release()
	reached := LevelPresent
	if o.Level == LevelStored {
		if err := r.verifyStored(ctx, e.Manifest, o.Progress); err != nil {
			return reached, err
		}
		return LevelStored, nil
	}
	if o.Level < LevelPlain {
		return reached, nil
	}
	plain, err := r.fetch(ctx, e.Manifest, o)
	if err != nil {
		return reached, err
	}
	if plain == nil {
		return LevelPlain, nil
	}
	defer func() { _ = plain.Close() }()
	got, err := scanFile(ctx, &countedReaderAt{ReaderAt: plain.file, progress: o.Progress}, e.Manifest.Plain.Size)
	if err != nil {
		if ctx.Err() != nil {
			return LevelPlain, err
		}
		return LevelPlain, &ops.HintError{Code: CodeNotSound, Op: "verify backup", Member: e.ID.Short(), Err: err, Hint: "take a new backup: etcdops backup create"}
	}
	again := &Manifest{Hash: Hash{Live: e.Manifest.Hash.Live}}
	again.describe(got)
	if diff := differs(e.Manifest, again); diff != "" {
		return LevelPlain, &ops.HintError{Code: CodeNotSound, Op: "verify backup", Member: e.ID.Short(), Err: errors.New(diff), Hint: "take a new backup: etcdops backup create"}
	}
	return LevelData, nil
}

// RecordError says that what a verification found could not be kept. Found is what it found, nil for nothing wrong.
type RecordError struct {
	Found error
	Err   error
}

// Error implements error.
func (e *RecordError) Error() string { return e.Err.Error() }

// Unwrap returns why it could not be kept.
func (e *RecordError) Unwrap() error { return e.Err }

// VerifyAndRecord is Verify, with a record of what was found beside the backup. A check that could not be made leaves
// none. Where only the record failed, the error is a *RecordError.
func (r *Repository) VerifyAndRecord(ctx context.Context, e Entry, o VerifyOptions) (Level, error) {
	begin := time.Now()
	o.Level = min(o.Level, LevelData)
	reached, err := r.Verify(ctx, e, o)
	return reached, r.record(ctx, e, Record{At: begin.UTC(), Level: o.Level, TookMS: time.Since(begin).Milliseconds()}, err)
}

// record keeps what was found and returns it.
func (r *Repository) record(ctx context.Context, e Entry, rec Record, found error) error {
	if found != nil && !recordable(found) {
		return found
	}
	if found != nil {
		rec.Problem = found.Error()
		if hint, ok := errors.AsType[*ops.HintError](found); ok {
			rec.Object = hint.Member
		}
	}
	if err := r.AddRecord(ctx, e.ID, rec); err != nil {
		return &RecordError{Found: found, Err: err}
	}
	return found
}

// VerifyDocuments checks every document that lies beside the backups.
func (r *Repository) VerifyDocuments(ctx context.Context) error {
	objects, err := r.store.List(ctx, "")
	if err != nil {
		return storeError("list", r.store, err)
	}
	for _, o := range objects {
		kind, _, _ := strings.Cut(o.Name, "/")
		schema := map[string]string{
			holdDir: schemaHold, tombDir: schemaTomb, leaseDir: schemaLease, recordDir: schemaRecord, claimDir: schemaClaim,
		}[kind+"/"]
		if schema == "" {
			continue
		}
		var body json.RawMessage
		switch err := readDocument(ctx, r.store, o.Name, schema, &body); {
		case err == nil, errors.Is(err, ErrNotExist): // done with meanwhile
		case documentError(err):
			return damagedObject(o.Name, err)
		default:
			return storeError("verify "+o.Name+" in", r.store, err)
		}
	}
	return nil
}

// differs says what a manifest says otherwise than the data.
func differs(m, data *Manifest) string {
	switch {
	case m.Revision != data.Revision, m.CompactRevision != data.CompactRevision:
		return fmt.Sprintf("its revisions are %d to %d, the manifest says %d to %d", data.CompactRevision, data.Revision, m.CompactRevision, m.Revision)
	case m.Hash != data.Hash:
		return fmt.Sprintf("its hash is %08x, the manifest says %08x", data.Hash.Value, m.Hash.Value)
	case m.Keys != data.Keys, m.Entries != data.Entries, m.LeaseCount != data.LeaseCount, !slices.Equal(m.Leases, data.Leases), !slices.Equal(m.Prefixes, data.Prefixes):
		return fmt.Sprintf("it has %d keys, %d entries and %d leases, the manifest says %d, %d and %d",
			data.Keys, data.Entries, data.LeaseCount, m.Keys, m.Entries, m.LeaseCount)
	case m.AuthEnabled != data.AuthEnabled, m.AuthRevision != data.AuthRevision, m.RaftIndex != data.RaftIndex, m.RaftTerm != data.RaftTerm:
		return "its users or its place in the log are not what the manifest says"
	}
	return ""
}

// fetch decodes a backup. For LevelData it comes back in a spool.
func (r *Repository) fetch(ctx context.Context, m *Manifest, o VerifyOptions) (*spool, error) {
	reader, err := r.openPlain(ctx, m, o.Keys)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	target := io.Discard
	var plain *spool
	if o.Level >= LevelData {
		if err := checkSpace(o.SpoolDir, m.Plain.Size+m.Plain.Size/8); err != nil {
			return nil, err
		}
		if plain, err = newSpool(o.SpoolDir); err != nil {
			return nil, spoolError(o.SpoolDir, err)
		}
		target = plain
	}
	counted := &countedWriter{w: contextWriter{ctx, target}, total: m.Plain.Size, stage: "download", progress: o.Progress}
	if _, err = io.CopyBuffer(counted, onlyReader{reader}, make([]byte, 1<<20)); err != nil {
		if plain != nil {
			_ = plain.Close()
		}
		if counted.failed {
			return nil, spoolError(o.SpoolDir, err)
		}
		return nil, r.nameDamage(ctx, m, err)
	}
	return plain, nil
}

// nameDamage explains a failed decoding. Decoders stumble before the part that is damaged is at its end: the parts are
// then hashed, so that the error names the object.
func (r *Repository) nameDamage(ctx context.Context, m *Manifest, err error) error {
	if _, ok := errors.AsType[partError](err); !ok && ctx.Err() == nil && ops.CodeOf(err) == "" {
		if stored := r.verifyStored(ctx, m, func(Progress) {}); stored != nil {
			return stored
		}
	}
	return r.readError(m, err)
}

// verifyStored hashes all parts.
func (r *Repository) verifyStored(ctx context.Context, m *Manifest, progress func(Progress)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done atomic.Int64
	var mu sync.Mutex
	var group sync.WaitGroup
	next := make(chan int, len(m.Parts))
	for n := range m.Parts {
		next <- n
	}
	close(next)
	const readers = 2
	for range min(readers, len(m.Parts)) {
		group.Go(func() {
			buffer := make([]byte, 1<<20)
			for n := range next {
				one := &partsReader{ctx: ctx, store: r.store, m: &Manifest{
					ID: m.ID, ClusterID: m.ClusterID, Revision: m.Revision, TakenAt: m.TakenAt, Parts: m.Parts[n : n+1],
				}}
				_, err := io.CopyBuffer(io.Discard, onlyReader{one}, buffer)
				if err = errors.Join(err, one.Close()); err != nil {
					cancel(r.readError(m, err))
					return
				}
				mu.Lock()
				progress(Progress{Stage: "hash", Done: done.Add(m.Parts[n].Size), Total: m.Stored.Size})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// damagedObject is the error over an object.
func damagedObject(object string, err error) error {
	return &ops.HintError{
		Code: CodeDamaged, Op: "verify", Member: object, Err: err,
		Hint: "etcdops backup list shows others; take a new one: etcdops backup create",
	}
}

// countedWriter tells how far a copy is, and whether it was the writing that failed.
type countedWriter struct {
	w           io.Writer
	done, total int64
	stage       string
	progress    func(Progress)
	failed      bool
}

// Write implements io.Writer.
func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.done += int64(n)
	c.failed = err != nil
	c.progress(Progress{Stage: c.stage, Done: c.done, Total: c.total})
	return n, err
}

// countedReaderAt tells how much of a database was read to verify it. How much that will be is not known: history is read twice,
// and what is free is not read.
type countedReaderAt struct {
	io.ReaderAt
	done     int64
	progress func(Progress)
}

// ReadAt implements io.ReaderAt.
func (c *countedReaderAt) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, offset)
	c.done += int64(n)
	c.progress(Progress{Stage: "verify", Done: c.done})
	return n, err
}
