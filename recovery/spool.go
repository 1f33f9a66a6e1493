package recovery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/etcdops/etcdops/ops"
)

// Spool is a backup in one file: a snapshot whose checksum, which the server appends, was verified as it came.
type Spool struct{ Path string }

// partial ends the name of a spool that is not complete.
const partial = ".partial"

// Done implements Backup: the file takes its name only when it is whole and durable.
func (s Spool) Done(context.Context) (bool, error) {
	_, err := os.Stat(s.Path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Take implements Backup.
func (s Spool) Take(ctx context.Context, cluster *ops.Cluster, endpoint string, size int64, tell Tell) (string, error) {
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o700); err != nil {
		return "", err
	}
	client, err := cluster.At(ctx, endpoint)
	if err != nil {
		return "", err
	}
	stream, err := client.Snapshot(ctx)
	if err != nil {
		return "", cluster.Explain(ctx, "ask for a snapshot at", endpoint, err)
	}
	defer func() { _ = stream.Close() }() // only read
	n, err := s.store(stream, size, tell)
	if err != nil {
		return "", cluster.Explain(ctx, "receive a snapshot from", endpoint, err)
	}
	return fmt.Sprintf("%s, %s, sha256 verified", s.Path, humanize.IBytes(uint64(n))), nil
}

// store writes the stream to a partial file, verifies it, and gives it its name.
func (s Spool) store(stream io.Reader, size int64, tell Tell) (int64, error) {
	f, err := os.OpenFile(s.Path+partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	sum := &trailer{hash: sha256.New()}
	progress := &progressWriter{total: size, tell: tell, begun: time.Now()}
	n, err := io.Copy(io.MultiWriter(f, sum, progress), stream)
	if err == nil {
		err = sum.verify()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), s.Path); err != nil {
		return 0, err
	}
	return n, SyncDir(filepath.Dir(s.Path))
}

// trailer hashes all but the last 32 bytes, which are the server's own hash of what comes before.
type trailer struct {
	hash hash.Hash
	held []byte
}

// Write implements io.Writer.
func (t *trailer) Write(p []byte) (int, error) {
	t.held = append(t.held, p...)
	if n := len(t.held) - sha256.Size; n > 0 {
		t.hash.Write(t.held[:n])
		t.held = append(t.held[:0], t.held[n:]...)
	}
	return len(p), nil
}

func (t *trailer) verify() error {
	if len(t.held) != sha256.Size || !bytes.Equal(t.hash.Sum(nil), t.held) {
		return errors.New("the snapshot's checksum does not fit: it was damaged on the way, or broke off")
	}
	return nil
}

// progressWriter tells how far a stream has come.
type progressWriter struct {
	total, bytes int64
	tell         Tell
	begun, told  time.Time
}

// Write implements io.Writer.
func (w *progressWriter) Write(p []byte) (int, error) {
	w.bytes += int64(len(p))
	if now := time.Now(); now.Sub(w.told) > nodeEvery {
		w.told = now
		t := &Transfer{Bytes: w.bytes, Total: w.total}
		if took := now.Sub(w.begun).Seconds(); took > 0 {
			t.PerSecond = float64(w.bytes) / took
			if left := w.total - w.bytes; left > 0 {
				t.ETASecond = float64(left) / t.PerSecond
			}
		}
		w.tell("the snapshot arrives", t)
	}
	return len(p), nil
}
