package seed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/etcdops/etcdops/recovery/datadir"
)

// Copied is a file of the source as it was read.
type Copied struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// HasReplica tells whether Copy is done.
func (w Work) HasReplica() bool { return exists(w.Replica()) }

// Copy copies the database that counts, and the raft snapshots beside it, of what info says was found. Of the log nothing
// is copied: Seal reads it where it is. told is called with the bytes done.
func (w Work) Copy(ctx context.Context, info *datadir.Info, told func(bytes int64)) ([]Copied, error) {
	to := w.Replica() + partial
	if err := errors.Join(os.RemoveAll(to), os.RemoveAll(w.Replica())); err != nil { // our own, of a run that was killed
		return nil, err
	}
	snap := filepath.Join(to, "member", "snap")
	if err := os.MkdirAll(snap, 0o700); err != nil {
		return nil, err
	}
	type file struct{ from, to string }
	files := []file{{databaseOf(info), filepath.Join(snap, "db")}}
	for _, s := range info.Snapshots {
		if s.OK {
			files = append(files, file{filepath.Join(filepath.Dir(databaseOf(info)), s.Name), filepath.Join(snap, s.Name)})
		}
	}
	var out []Copied
	for _, f := range files {
		c, err := copyFile(ctx, f.from, f.to, told)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, publish(to, w.Replica())
}

// databaseOf is the file that info's database was read from.
func databaseOf(info *datadir.Info) string {
	if info.Kind != datadir.KindDirectory {
		return info.Path
	}
	return filepath.Join(info.Path, info.DB.File)
}

// copyFile copies a file with its checksum, and refuses one that changed meanwhile.
func copyFile(ctx context.Context, from, to string, told func(int64)) (Copied, error) {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return Copied{Path: from}, err
	}
	c, err := copyInto(ctx, from, out, told)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return c, fmt.Errorf("copy %s: %w", from, err)
	}
	return c, nil
}

// copyInto reads a file once: what is read is written and hashed at the same time. The disk begins to write at once, so that
// little is left for the sync. A file that changed meanwhile is refused.
func copyInto(ctx context.Context, from string, out *os.File, told func(int64)) (Copied, error) {
	c := Copied{Path: from}
	in, err := os.Open(from)
	if err != nil {
		return c, err
	}
	defer func() { _ = in.Close() }() // only read
	before, err := in.Stat()
	if err != nil {
		return c, err
	}
	sum := newSummer()
	for err == nil {
		var n int
		buf := sum.buffer()
		if n, err = in.Read(buf); n > 0 {
			_, failed := out.Write(buf[:n])
			writeSoon(out, c.Bytes, int64(n))
			c.Bytes += int64(n)
			if failed = cmp.Or(failed, ctx.Err()); failed != nil {
				err = failed
			}
			told(c.Bytes)
		}
		sum.add(buf[:n])
	}
	c.SHA256 = hex.EncodeToString(sum.end())
	if !errors.Is(err, io.EOF) {
		return c, err
	}
	after, err := os.Stat(from)
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) || c.Bytes != before.Size()) {
		err = fmt.Errorf("%s changed while it was copied: something uses it", from)
	}
	return c, err
}

// summer hashes in a goroutine of its own.
type summer struct {
	free, full chan []byte
	sum        chan []byte
}

func newSummer() *summer {
	const buffers, size = 3, 4 << 20
	s := &summer{free: make(chan []byte, buffers), full: make(chan []byte, buffers), sum: make(chan []byte)}
	for range buffers {
		s.free <- make([]byte, size)
	}
	go func() {
		hash := sha256.New()
		for b := range s.full {
			_, _ = hash.Write(b) // a hash takes everything
			s.free <- b[:cap(b)]
		}
		s.sum <- hash.Sum(nil)
	}()
	return s
}

// buffer is one to fill, for add.
func (s *summer) buffer() []byte { return <-s.free }

func (s *summer) add(b []byte) { s.full <- b }

// end is the hash of all that was added.
func (s *summer) end() []byte {
	close(s.full)
	return <-s.sum
}

// publish makes a directory durable and gives it its name.
func publish(from, to string) error {
	if err := syncTree(from); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncPath(filepath.Dir(to))
}

// syncTree syncs every file and directory below a path.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		return syncPath(path)
	})
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
