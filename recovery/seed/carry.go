package seed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/recovery/datadir"
)

// Carried is a file of a source that is brought to another machine.
type Carried struct {
	Copied
	Name string `json:"name"` // relative to Work.Carried
}

// ErrChanged says that a file is not the one that was listed.
var ErrChanged = errors.New("its content is not what was listed")

// Carried is what was brought here from another machine: a data directory, or a snapshot's file in it.
func (w Work) Carried() string { return filepath.Join(w.Dir, "carried") }

// CarriedSource is the path of the source in it: the directory, or a file of this name.
func (w Work) CarriedSource(file string) string { return filepath.Join(w.Carried(), file) }

// HasCarried tells whether everything was brought here.
func (w Work) HasCarried() bool { return exists(w.Carried()) }

// List lists the files that a new directory is made of, with checksums: databases, raft snapshots and the log.
func List(ctx context.Context, info *datadir.Info, told func(bytes int64)) ([]Carried, error) {
	if info.Kind != datadir.KindDirectory {
		c, err := listed(ctx, info.Path, filepath.Base(info.Path), told)
		return []Carried{c}, err
	}
	var out []Carried
	for _, part := range []struct{ dir, name string }{{filepath.Dir(databaseOf(info)), "snap"}, {info.WAL.Dir, "wal"}} {
		entries, err := os.ReadDir(part.dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || e.Name() != "db" && !strings.HasSuffix(e.Name(), ".snap") && !strings.HasSuffix(e.Name(), ".snap.db") && !strings.HasSuffix(e.Name(), ".wal") {
				continue
			}
			c, err := listed(ctx, filepath.Join(part.dir, e.Name()), filepath.Join("member", part.name, e.Name()), told)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func listed(ctx context.Context, path, name string, told func(int64)) (Carried, error) {
	c := Carried{Copied: Copied{Path: path}, Name: name}
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer func() { _ = f.Close() }() // only read
	c.Bytes, c.SHA256, err = sumOf(ctx, f, told)
	return c, err
}

// sumOf reads to the end.
func sumOf(ctx context.Context, r io.Reader, told func(int64)) (size int64, sum string, err error) {
	hash := sha256.New()
	buf := make([]byte, 1<<20)
	for err == nil {
		var n int
		n, err = r.Read(buf)
		_, _ = hash.Write(buf[:n]) // a hash takes everything
		size += int64(n)
		told(size)
		err = errors.Join(err, ctx.Err())
	}
	if ctx.Err() == nil && errors.Is(err, io.EOF) {
		err = nil
	}
	return size, hex.EncodeToString(hash.Sum(nil)), err
}

// Send writes a file that was listed, from offset on.
func Send(c Carried, offset int64, w io.Writer) error {
	f, err := os.Open(c.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if st, err := f.Stat(); err != nil || st.Size() != c.Bytes {
		return errors.Join(fmt.Errorf("%s: %w", c.Path, ErrChanged), err)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, c.Bytes-offset)
	return err
}

// arriving is where a file is while others are on their way.
func (w Work) arriving(c Carried) (string, error) {
	if !filepath.IsLocal(c.Name) {
		return "", fmt.Errorf("%q is no name of a file here", c.Name)
	}
	return filepath.Join(w.Carried()+partial, c.Name), nil
}

// Arrived is how many bytes of a file are here, of a run that was killed perhaps; whole says that it is complete and has
// the checksum.
func (w Work) Arrived(c Carried) (bytes int64, whole bool, err error) {
	path, err := w.arriving(c)
	if err != nil {
		return 0, false, err
	}
	if exists(path) {
		return c.Bytes, true, nil
	}
	st, err := os.Stat(path + partial)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	return min(st.Size(), c.Bytes), false, nil
}

// Receive takes the rest of a file, of which offset bytes are here. It gets its name when its content is what was listed;
// when it is not, what arrived is given up and the error is ErrChanged.
func (w Work) Receive(ctx context.Context, c Carried, offset int64, r io.Reader, told func(bytes int64)) error {
	path, err := w.arriving(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+partial, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err = f.Truncate(offset); err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err == nil {
		_, err = io.CopyN(f, &counting{r, offset, told}, c.Bytes-offset)
	}
	var sum string
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, sum, err = sumOf(ctx, f, func(int64) {})
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("receive %s: %w", c.Path, err)
	}
	if sum != c.SHA256 {
		return errors.Join(fmt.Errorf("receive %s: %w", c.Path, ErrChanged), os.Remove(path+partial))
	}
	return os.Rename(path+partial, path)
}

// Carry makes what has arrived durable, when all of it has.
func (w Work) Carry(files []Carried) error {
	for _, c := range files {
		if _, whole, err := w.Arrived(c); err != nil || !whole {
			return errors.Join(fmt.Errorf("%s has not arrived", c.Path), err)
		}
	}
	return publish(w.Carried()+partial, w.Carried())
}

// counting tells how much was read.
type counting struct {
	r    io.Reader
	at   int64
	told func(int64)
}

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.at += int64(n)
	c.told(c.at)
	return n, err
}
