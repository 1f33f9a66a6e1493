// Package snapfile handles snapshots that lie in a single file as etcdctl writes them: the database, and the 32 bytes of its
// SHA-256 behind it.
package snapfile

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/ops"
)

// Save reads a snapshot of the member at an endpoint into a file. It is written under a name drawn by lot, with mode 0600,
// compared with the member's hash, synced, renamed, and the directory is synced: a file of the name wanted is whole, also
// after a power cut. An older file of that name is replaced then; what is no regular file is refused.
func Save(ctx context.Context, c *ops.Cluster, endpoint, path string, o ops.SnapshotOptions) (ops.SnapshotInfo, error) {
	if err := replaceable(path); err != nil {
		return ops.SnapshotInfo{}, err
	}
	dir := filepath.Dir(path)
	temp := filepath.Join(dir, "."+filepath.Base(path)+".part-"+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return ops.SnapshotInfo{}, fileError("save snapshot to", path, err)
	}
	info, err := receive(ctx, c, endpoint, f, o)
	if err = errors.Join(err, f.Close()); err == nil {
		if err = replaceable(path); err == nil {
			err = os.Rename(temp, path)
		}
	}
	if err != nil {
		_ = os.Remove(temp)
		return info, fileError("save snapshot to", path, err)
	}
	return info, fileError("sync", dir, syncDir(dir))
}

// receive writes the snapshot with its hash, and syncs the file.
func receive(ctx context.Context, c *ops.Cluster, endpoint string, f *os.File, o ops.SnapshotOptions) (ops.SnapshotInfo, error) {
	if err := f.Chmod(0o600); err != nil && runtime.GOOS != "windows" { // whatever the umask
		return ops.SnapshotInfo{}, err
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	info, err := c.Snapshot(ctx, endpoint, o, buffered)
	if err == nil {
		_, err = buffered.Write(info.SHA256[:])
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return info, err
}

// replaceable refuses to put a file in the place of what is none.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is there and no regular file (%v)", info.Mode())
		return &ops.HintError{
			Code: backup.CodeTargetExists, Class: ops.ClassRefused, Op: "save snapshot to", Member: path, Err: err,
			Hint: "name another file; who put that there?",
		}
	}
	return err
}

func fileError(op, path string, err error) error {
	if err == nil || ops.CodeOf(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Class == ops.ClassInterrupted {
		return err
	}
	return &ops.HintError{Code: backup.CodeStore, Op: op, Member: path, Err: err, Hint: "check the path, its permissions, and the space: df -h"}
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Status reads a snapshot, or a database that was copied from a data directory, whole and checks its structure.
func Status(ctx context.Context, path string) (dbfile.Summary, error) {
	f, err := os.Open(path)
	if err != nil {
		return dbfile.Summary{}, fileError("read snapshot", path, err)
	}
	defer func() { _ = f.Close() }()
	size, _, err := database(f)
	if err != nil {
		return dbfile.Summary{}, fileError("read snapshot", path, err)
	}
	prefetch(f, size)
	db, err := dbfile.Open(f, size)
	if err == nil {
		var s dbfile.Summary
		if s, err = db.Status(ctx); err == nil {
			return s, nil
		}
	}
	if !errors.Is(err, dbfile.ErrDamaged) {
		return dbfile.Summary{}, fileError("read snapshot", path, err)
	}
	return dbfile.Summary{}, notSound(path, err)
}

func notSound(path string, err error) error {
	return &ops.HintError{Code: backup.CodeNotSound, Op: "read snapshot", Member: path, Err: err, Hint: "use another snapshot; etcdops explain " + string(backup.CodeNotSound)}
}

// database says how much of a file is the database, and whether a hash follows it.
func database(f *os.File) (size int64, hashed bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	if !info.Mode().IsRegular() {
		return 0, false, errors.New("it is no regular file")
	}
	size = info.Size()
	if size%512 == sha256.Size {
		return size - sha256.Size, true, nil
	}
	return size, false, nil
}

// RestoreOptions say how a snapshot is restored.
type RestoreOptions struct {
	Target   memberdir.Options
	SkipHash bool // the file has no hash, as one copied from a data directory: it is read whole instead
}

// Restore writes a member's data directory from a snapshot in one pass: what is copied is hashed on its way.
func Restore(ctx context.Context, path string, o RestoreOptions) (memberdir.Member, error) {
	f, err := os.Open(path)
	if err != nil {
		return memberdir.Member{}, fileError("read snapshot", path, err)
	}
	defer func() { _ = f.Close() }()
	size, hashed, err := database(f)
	if err != nil {
		return memberdir.Member{}, fileError("read snapshot", path, err)
	}
	if !hashed && !o.SkipHash {
		return memberdir.Member{}, notSound(path, errors.New("it does not end with a hash: it was cut, or is a copy of a database (--skip-hash-check reads it whole instead)"))
	}
	prefetch(f, size)
	fill := func(to *os.File) error { return copyHashed(ctx, to, f, size, hashed && !o.SkipHash, path) }
	var finish func(string) error
	if o.SkipHash {
		finish = func(db string) error {
			_, err := Status(ctx, db)
			return err
		}
	}
	m, err := memberdir.Write(ctx, o.Target, fill, finish)
	return m, restoreError(o.Target.Dir, err)
}

func restoreError(dir string, err error) error {
	switch {
	case err == nil, ops.CodeOf(err) != "":
		return err
	case errors.Is(err, memberdir.ErrExists):
		return &ops.HintError{
			Code: backup.CodeTargetExists, Class: ops.ClassRefused, Op: "restore into", Member: dir, Err: err,
			Hint: "restore into a new directory, or set this one aside",
		}
	case errors.Is(err, context.Canceled):
		return &ops.HintError{Class: ops.ClassInterrupted, Op: "restore into", Member: dir, Err: err}
	}
	return &ops.HintError{Code: backup.CodeRestore, Op: "restore into", Member: dir, Err: err, Hint: "mend what the error names and run the command again"}
}

// copyHashed copies the database and compares it with the hash behind it.
func copyHashed(ctx context.Context, to io.Writer, from *os.File, size int64, check bool, path string) error {
	var sum hash.Hash
	if check {
		sum = sha256.New()
	}
	if err := pipeline(ctx, to, io.NewSectionReader(from, 0, size), sum); err != nil || !check {
		return err
	}
	var want [sha256.Size]byte
	if _, err := from.ReadAt(want[:], size); err != nil {
		return err
	}
	if got := sum.Sum(nil); string(got) != string(want[:]) {
		return notSound(path, fmt.Errorf("its SHA-256 is %s, and it should be %s", hex.EncodeToString(got), hex.EncodeToString(want[:])))
	}
	return nil
}

// pipeline copies, hashing each block while the one before it is written.
func pipeline(ctx context.Context, to io.Writer, from io.Reader, sum hash.Hash) error {
	const blocks, blockBytes = 4, 1 << 20
	free, full := make(chan []byte, blocks), make(chan []byte, blocks)
	for range blocks {
		free <- make([]byte, blockBytes)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		var written int64
		for block := range full {
			if err == nil {
				_, err = to.Write(block)
				flush(to, written, int64(len(block)))
				written += int64(len(block))
			}
			free <- block[:blockBytes]
		}
		done <- err
	}()
	var readErr error
	for readErr == nil {
		if readErr = context.Cause(ctx); readErr != nil {
			break
		}
		block := <-free
		var n int
		n, readErr = io.ReadFull(from, block)
		if sum != nil {
			_, _ = sum.Write(block[:n])
		}
		full <- block[:n]
	}
	close(full)
	if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) {
		readErr = nil
	}
	return errors.Join(readErr, <-done)
}
