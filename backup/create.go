package backup

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/ops"
)

// CreateOptions say how a backup is taken. The zero value of a field means the default beside it.
type CreateOptions struct {
	SpoolDir   string     // where the database waits for its verification; required
	Member     string     // name, ID or URL of the member to take it from; default a follower
	Encryption Encryption // default none
	Program    string     // version to note in the manifest
	Fence      int64      // token of the schedule that asks for it
	Slot       time.Time  // of the schedule that asks for it: only one backup of the cluster is committed for it; zero for none

	Rate     int64         // bytes a second to read at most; default as fast as it comes
	MinRate  int64         // bytes a second at least, over Window; default 64 KiB
	Window   time.Duration // default 30 s
	LiveHash LiveHash      // default LiveHashAuto

	Progress func(Progress)   // called often, from one goroutine at a time
	Now      func() time.Time // default time.Now
}

// LiveHash says whether the member is asked for its own hash. While a member computes it, its writes wait: half a second
// for each 300 MB or so.
type LiveHash string

// The choices.
const (
	LiveHashAuto   LiveHash = ""       // of a follower, where the database is below 256 MiB
	LiveHashAlways LiveHash = "always" // of whichever member
	LiveHashNever  LiveHash = "never"
)

// liveHashBytes is the size of a database from which on its member is not asked by itself.
const liveHashBytes = 256 << 20

// Progress is how far a long operation is.
type Progress struct {
	Stage string // snapshot, verify, upload, hash, download, restore, replay, archive, start, compare
	Done  int64  // bytes; less than before begins the same stage with something else
	Total int64  // bytes; 0 when not known
}

// Create takes a backup of the cluster: reads a member's database to this machine, verifies it to LevelData, compresses,
// encrypts and uploads it, and writes the manifest, which is returned. Without a manifest there is no backup: an error
// means that none was made, and what was uploaded for it is removed as far as possible.
func (r *Repository) Create(ctx context.Context, c *ops.Cluster, o CreateOptions) (*Manifest, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	src, err := pickSource(ctx, c, o.Member)
	if err != nil {
		return nil, err
	}
	if err := checkSpace(o.SpoolDir, src.status.DBSize+src.status.DBSize/8); err != nil {
		return nil, err
	}
	return r.create(ctx, origin{
		member: src.member, members: src.members, cluster: src.status.ClusterID,
		read: func(ctx context.Context, plain *spool) (Sum, error) { return snapshot(ctx, c, src, o, plain) },
		scan: func(plain *spool) io.ReaderAt { return plain.file },
		live: func(ctx context.Context, m *Manifest) (string, error) { return liveHash(ctx, c, src, o, m) },
	}, o)
}

// origin is a member that a backup is taken from.
type origin struct {
	member  Member
	members []ops.Member
	cluster ops.ClusterID
	read    func(context.Context, *spool) (Sum, error)       // the database, whole
	scan    func(*spool) io.ReaderAt                         // how what came is read again
	live    func(context.Context, *Manifest) (string, error) // the member's own hash, for Hash.Live
}

// create takes a backup from an origin.
func (r *Repository) create(ctx context.Context, from origin, o CreateOptions) (*Manifest, error) {
	plain, err := newSpool(o.SpoolDir)
	if err != nil {
		return nil, spoolError(o.SpoolDir, err)
	}
	defer func() { _ = plain.Close() }()
	staged, err := newSpool(o.SpoolDir)
	if err != nil {
		return nil, spoolError(o.SpoolDir, err)
	}
	defer func() { _ = staged.Close() }()

	begin := o.Now()
	m := &Manifest{
		ID: NewID(), TakenAt: begin.UTC().Truncate(time.Millisecond), Program: o.Program, Fence: o.Fence, ClusterID: from.cluster, Member: from.member, Members: from.members,
		Compression: compressionZstd, Recipients: slices.Clone(o.Encryption.names), Level: LevelData,
	}
	if !o.Slot.IsZero() {
		slot := o.Slot.UTC()
		m.Slot = &slot
	}
	if o.Encryption.Enabled() {
		m.Encryption = encryptionAge
	}
	data, err := receive(ctx, from, o, plain, staged, m)
	if err != nil {
		return nil, err
	}
	if m.Hash.Live, err = from.live(ctx, m); err != nil {
		return nil, err
	}
	return m, r.commit(ctx, m, data, o, begin)
}

// receive reads the database, verifies it, and has it encoded meanwhile.
func receive(ctx context.Context, from origin, o CreateOptions, plain, staged *spool, m *Manifest) (encoded, error) {
	asked := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type result struct {
		data encoded
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := encode(ctx, plain.reader(), o.Encryption, staged)
		if err != nil {
			cancel(err) // the disk is full, most likely: there is no use in going on
		}
		done <- result{data, err}
	}()
	var err error
	m.Plain, err = from.read(ctx, plain)
	plain.finish(err)
	if err == nil {
		err = inspect(ctx, &countedReaderAt{ReaderAt: from.scan(plain), progress: o.Progress}, m)
	}
	encoding := <-done
	if err == nil || errors.Is(err, context.Canceled) && encoding.err != nil {
		err = encoding.err
		if err != nil {
			err = spoolError(o.SpoolDir, err)
		}
	}
	if err != nil && asked.Err() == nil {
		err = spoolError(o.SpoolDir, err) // unless it says what it is: the disk was full for both at once
	}
	return encoding.data, err
}

// snapshot reads the database into the spool.
func snapshot(ctx context.Context, c *ops.Cluster, src source, o CreateOptions, plain *spool) (Sum, error) {
	paced := newPacer(ctx, plain, o.Rate)
	buffered := bufio.NewWriterSize(paced, 1<<20)
	info, err := c.Snapshot(ctx, src.endpoint, ops.SnapshotOptions{
		MinRate: o.MinRate, Window: o.Window,
		Progress: func(received, total int64) { o.Progress(Progress{Stage: "snapshot", Done: received, Total: total}) },
	}, buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil && ops.CodeOf(err) == "" && ctx.Err() == nil {
		err = spoolError(o.SpoolDir, err)
	}
	return Sum{Size: info.Size, SHA256: hex.EncodeToString(info.SHA256[:])}, err
}

// inspect reads all of the database that came and fills in what the manifest says of it.
func inspect(ctx context.Context, plain io.ReaderAt, m *Manifest) error {
	s, err := scanFile(ctx, plain, m.Plain.Size)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &ops.HintError{
			Code: CodeNotSound, Op: "verify snapshot of", Member: m.Member.Endpoint, Err: err,
			Hint: "no backup was made of it; take one from another member: --member NAME",
		}
	}
	m.describe(s)
	return nil
}

// scanFile verifies a database.
func scanFile(ctx context.Context, plain io.ReaderAt, size int64) (dbfile.Summary, error) {
	f, err := dbfile.Open(plain, size)
	if err != nil {
		return dbfile.Summary{}, err
	}
	return f.Scan(ctx)
}

// describe fills in what a manifest says of the data.
func (m *Manifest) describe(s dbfile.Summary) {
	m.Revision, m.CompactRevision = s.Revision, s.CompactRevision
	m.Hash = Hash{Value: s.HashKV, Revision: s.Revision, CompactRevision: s.CompactRevision, Live: m.Hash.Live}
	m.RaftTerm, m.RaftIndex = s.Term, s.Index
	m.Keys, m.Entries = s.Keys, s.Entries
	m.AuthEnabled, m.AuthRevision = s.AuthEnabled, s.AuthRevision
	m.LeaseCount = s.LeaseCount
	m.Leases, m.Prefixes = []Lease{}, []PrefixCount{}
	for _, l := range s.Leases {
		m.Leases = append(m.Leases, Lease{ID: l.ID, TTL: l.TTL})
	}
	for prefix, n := range s.Prefixes {
		m.Prefixes = append(m.Prefixes, PrefixCount{prefix, n})
	}
	slices.SortFunc(m.Prefixes, func(a, b PrefixCount) int {
		if a.Prefix < b.Prefix {
			return -1
		}
		return 1
	})
}

// liveHash asks the member for its own hash of what it sent, where that does not hold its writes up for long.
func liveHash(ctx context.Context, c *ops.Cluster, src source, o CreateOptions, m *Manifest) (string, error) {
	if why := skipLiveHash(o.LiveHash, m); why != "" {
		return why, nil
	}
	client, err := c.At(ctx, src.endpoint)
	if err != nil {
		return "skipped: the member does not answer any more", nil
	}
	limit, cancel := context.WithTimeout(ctx, max(c.Config().CommandTimeout, 30*time.Second))
	defer cancel()
	live, err := client.HashKV(limit, src.endpoint, m.Revision)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", err
	case err != nil:
		return "skipped: the member did not tell: " + err.Error(), nil
	}
	return compareLiveHash(m, live.Hash, live.CompactRevision, src.endpoint)
}

// skipLiveHash says why a member is not asked for its hash; empty: it is.
func skipLiveHash(choice LiveHash, m *Manifest) string {
	switch {
	case choice == LiveHashNever:
		return "skipped: not wanted"
	case choice == LiveHashAuto && m.Plain.Size > liveHashBytes:
		return "skipped: writes would wait for it too long (more than 256 MiB)"
	case choice == LiveHashAuto && m.Member.Role == "leader" && len(m.Members) > 1:
		return "skipped: the member is the leader"
	}
	return ""
}

// compareLiveHash holds a member's own hash against the snapshot's.
func compareLiveHash(m *Manifest, hash uint32, compact int64, member string) (string, error) {
	switch {
	case max(compact, 0) != m.CompactRevision:
		return fmt.Sprintf("skipped: the member has compacted at %d meanwhile", compact), nil
	case hash != m.Hash.Value:
		return "", &ops.HintError{
			Code: CodeLiveDiffers, Class: ops.ClassCritical, Op: "compare the snapshot with", Member: member,
			Err:  fmt.Errorf("hash %08x of the snapshot at revision %d, %08x of the member", m.Hash.Value, m.Revision, hash),
			Hint: "no backup was made; etcdops health, then take it from another member: --member NAME",
		}
	}
	return "equal", nil
}

// checkSpace makes sure that so many bytes are free.
func checkSpace(dir string, need int64) error {
	free, err := freeSpace(dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return spoolError(dir, err)
	}
	if free < need {
		return spoolError(dir, fmt.Errorf("%d MiB are free, and %d MiB are needed", free>>20, need>>20))
	}
	return nil
}

func spoolError(dir string, err error) error {
	if errors.Is(err, context.Canceled) || ops.CodeOf(err) != "" {
		return err
	}
	return &ops.HintError{
		Code: CodeSpool, Op: "keep the database on its way in", Member: dir, Err: err,
		Hint: "make room there, or name another place: --spool DIR",
	}
}
