package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Local is a member that runs in this process: its database is read without a network.
type Local interface {
	// About tells what a manifest says of the member.
	About(ctx context.Context) (LocalMember, error)
	// Snapshot is the database as it is now. It must be closed: until then the member cannot use again what it frees.
	Snapshot(ctx context.Context) (LocalSnapshot, error)
	// HashKV is the member's own hash at a revision; its writes wait for it.
	HashKV(ctx context.Context, revision int64) (hash uint32, compact int64, err error)
}

// LocalMember is what a manifest says of where it is from.
type LocalMember struct {
	Member
	Cluster ops.ClusterID
	Members []ops.Member
	DBSize  int64 // bytes
}

// LocalSnapshot is a consistent view of a database.
type LocalSnapshot interface {
	Size() int64
	WriteTo(w io.Writer) (int64, error)
	Close() error
}

const (
	// scanSpeed is how much faster than its copying a database is verified: reading costs the processor, not the disk.
	scanSpeed = 4
	// localReserve is what a local backup leaves free on the disk, in bytes: the member may live on it.
	localReserve = 512 << 20
)

// CreateLocal is Create for a member of this process. The default of Rate is not "as fast as it comes" here but LocalRate: reading,
// writing and verifying are slowed down to it, so that the member's own writes do not wait.
func (r *Repository) CreateLocal(ctx context.Context, l Local, o CreateOptions) (*Manifest, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Rate <= 0 {
		o.Rate = LocalRate
	}
	about, err := l.About(ctx)
	if err != nil {
		return nil, noSource("", err)
	}
	// Twice: as it is, and as it will be stored; a directory of this machine takes it a third time.
	if err := checkSpace(o.SpoolDir, 3*about.DBSize+localReserve); err != nil {
		return nil, err
	}
	return r.create(ctx, origin{
		member: about.Member, members: about.Members, cluster: about.Cluster,
		read: func(ctx context.Context, plain *spool) (Sum, error) { return copyLocal(ctx, l, o, plain) },
		scan: func(plain *spool) io.ReaderAt {
			return &pacedReaderAt{ReaderAt: plain.file, pace: newPace(ctx, o.Rate*scanSpeed)}
		},
		live: func(ctx context.Context, m *Manifest) (string, error) { return localHash(ctx, l, o, m) },
	}, o)
}

// LocalRate is the default pace of local backups in bytes a second: measured to leave the latency of writes about as it is.
const LocalRate = 50_000_000

// copyLocal copies the database into the spool, at its pace, and hashes it.
func copyLocal(ctx context.Context, l Local, o CreateOptions, plain *spool) (Sum, error) {
	s, err := l.Snapshot(ctx)
	if err != nil {
		return Sum{}, noSource("", err)
	}
	sum := sha256.New()
	counted := &countedWriter{w: io.MultiWriter(&steadyWriter{spool: plain}, sum), total: s.Size(), stage: "snapshot", progress: o.Progress}
	buffered := bufio.NewWriterSize(newPacer(ctx, counted, o.Rate), 1<<20)
	n, err := s.WriteTo(onlyWriter{buffered})
	if err == nil {
		err = buffered.Flush()
	}
	size := s.Size()
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return Sum{}, &ops.HintError{Class: ops.ClassInterrupted, Op: "copy the database of this member", Err: context.Cause(ctx)}
	case counted.failed:
		return Sum{}, spoolError(o.SpoolDir, err)
	case err != nil:
		return Sum{}, notCopied(err)
	case n != size:
		return Sum{}, notCopied(fmt.Errorf("the copy has %d bytes and not %d", n, size))
	}
	return Sum{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// notCopied is the error over a member that gave no whole copy of its database: it could not, or had something better to do.
func notCopied(err error) error {
	return &ops.HintError{
		Code: CodeNoSource, Class: ops.ClassUnreachable, Op: "copy the database of this member", Err: err,
		Hint: "it is tried again, here or on another member; etcdops health says how this one is",
	}
}

// localHash compares with the member's own hash, by the rules of LiveHash.
func localHash(ctx context.Context, l Local, o CreateOptions, m *Manifest) (string, error) {
	if why := skipLiveHash(o.LiveHash, m); why != "" {
		return why, nil
	}
	hash, compact, err := l.HashKV(ctx, m.Revision)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", err
	case err != nil:
		return "skipped: the member did not tell: " + err.Error(), nil //nolint:nilerr // a hash that is not told is noted, no failure
	}
	return compareLiveHash(m, hash, compact, m.Member.Label())
}

// onlyWriter hides a writer's other methods from io.Copy.
type onlyWriter struct{ io.Writer }

// steadyBytes is how much is written before the kernel is asked to begin writing it to the disk.
const steadyBytes = 4 << 20

// steadyWriter keeps the kernel from saving up what is written and then writing it at once, for which the member's log would wait.
type steadyWriter struct {
	spool *spool
	asked int64
	done  int64
}

// Write implements io.Writer.
func (s *steadyWriter) Write(b []byte) (int, error) {
	n, err := s.spool.Write(b)
	s.done += int64(n)
	if s.done-s.asked >= steadyBytes {
		startWriteback(s.spool.file, s.asked, s.done-s.asked)
		s.asked = s.done
	}
	return n, err
}
