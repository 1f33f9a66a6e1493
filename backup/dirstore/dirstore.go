// Package dirstore keeps a repository in a directory.
//
// An object is written to a file of a random name, made with O_EXCL and mode 0600, synced, linked to its name (which
// fails where the name is taken, be it by a symbolic link), and the directory is synced: after a power cut the object is
// there whole, or is not there. Nothing outside the directory is reached through symbolic links (os.Root).
package dirstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/backup"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	// tempDir holds objects that are being written. Names of objects never begin with a dot.
	tempDir = ".tmp"
)

// Store is a directory. It implements backup.Store.
type Store struct {
	root *os.Root
	path string
}

// Open opens the directory at path, which must exist. Close it after use.
func Open(path string) (*Store, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Store{root: root, path: path}, nil
}

// Create makes the directory at path, with its parents, if it is missing, and opens it. What it makes has mode 0700 and
// is synced.
func Create(path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := mkdirAll(abs); err != nil {
		return nil, err
	}
	return Open(path)
}

// mkdirAll is os.MkdirAll with every new entry synced into its parent.
func mkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("exists and is no directory")}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(f), f.Close())
}

// Close releases the directory.
func (s *Store) Close() error { return s.root.Close() }

// String implements backup.Store.
func (s *Store) String() string { return s.path }

// Path is the directory's path, as it was opened.
func (s *Store) Path() string { return s.path }

// Put implements backup.Store.
func (s *Store) Put(ctx context.Context, name string, body backup.Body) error {
	if err := backup.CheckName(name); err != nil {
		return err
	}
	if _, err := s.root.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w", name, backup.ErrExist)
	}
	if err := s.mkdirs(tempDir); err != nil {
		return err
	}
	if err := s.mkdirs(path.Dir(name)); err != nil {
		return err
	}
	temp := tempDir + "/" + rand.Text()
	err := s.write(ctx, temp, body)
	if err == nil {
		err = s.publish(temp, name)
	}
	if removeErr := s.root.Remove(temp); err == nil && removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = removeErr
	}
	return err
}

// publish gives a finished file its name, unless that is taken.
func (s *Store) publish(temp, name string) error {
	err := s.root.Link(temp, name)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s: %w", name, backup.ErrExist)
	case err != nil && noLinks(err):
		err = s.renameNew(temp, name)
	}
	if err != nil {
		return err
	}
	return s.syncDir(path.Dir(name))
}

// write makes the file temp and syncs it.
func (s *Store) write(ctx context.Context, temp string, body backup.Body) error {
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	err = f.Chmod(fileMode) // whatever the umask
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	var n int64
	if err == nil {
		n, err = io.CopyBuffer(f, contextReader{ctx, body}, make([]byte, 256<<10))
	}
	if err == nil && n != body.Size() {
		err = fmt.Errorf("%d of %d bytes: %w", n, body.Size(), io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// mkdirs makes a directory below the root with its parents and syncs each new entry. Symbolic links are refused.
func (s *Store) mkdirs(dir string) error {
	if dir == "." {
		return nil
	}
	info, err := s.root.Lstat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path.Join(s.path, dir), Err: errors.New("something that is no directory is in the way")}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncDir(path.Dir(dir))
}

func (s *Store) syncDir(dir string) error {
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(f), f.Close())
}

// Open implements backup.Store.
func (s *Store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := backup.CheckName(name); err != nil {
		return nil, err
	}
	info, err := s.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", name, backup.ErrNotExist)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "open", Path: path.Join(s.path, name), Err: errors.New("not a regular file")}
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{contextReader{ctx, f}, f}, nil
}

// List implements backup.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]backup.Object, error) {
	var out []backup.Object
	start := "."
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		start = prefix[:i]
	}
	err := fs.WalkDir(s.root.FS(), start, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // deleted meanwhile, or nothing of that prefix
			return nil
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.HasPrefix(entry.Name(), "."):
			return skip(entry)
		case entry.IsDir() && !strings.HasPrefix(name, prefix) && !strings.HasPrefix(prefix, name):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !strings.HasPrefix(name, prefix):
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			out = append(out, backup.Object{Name: name, Size: info.Size(), Modified: info.ModTime()})
		}
		return err
	})
	slices.SortFunc(out, func(a, b backup.Object) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// skip passes over an entry with all below it.
func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// Delete implements backup.Store. Directories that become empty stay: another process may be about to fill them.
func (s *Store) Delete(_ context.Context, name string) error {
	if err := backup.CheckName(name); err != nil {
		return err
	}
	err := s.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.syncDir(path.Dir(name))
	}
	return err
}

// Sweep implements backup.Store. It also removes directories that are empty for as long.
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	n := 0
	var empty []string
	err := fs.WalkDir(s.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(ctx.Err(), ignore(err, fs.ErrNotExist))
		}
		info, err := entry.Info()
		if err != nil || info.ModTime().After(before) {
			return ignore(err, fs.ErrNotExist)
		}
		switch {
		case entry.IsDir() && name != "." && name != tempDir:
			empty = append(empty, name)
		case path.Dir(name) == tempDir && entry.Type().IsRegular():
			if err := s.root.Remove(name); err != nil {
				return ignore(err, fs.ErrNotExist)
			}
			n++
		}
		return nil
	})
	for _, dir := range slices.Backward(empty) {
		_ = s.root.Remove(dir) // fails when it is not empty
	}
	return n, err
}

func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context // Store.Open: ctx bounds the reading
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
