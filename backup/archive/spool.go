package archive

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/etcdops/etcdops/backup"
)

// spool keeps sealed segments on the local disk until the store has them. What a killed archiver left there is sent by the
// next one.
type spool struct {
	dir string

	mu      sync.Mutex
	waiting int64
	wake    chan struct{}
	sending sync.Mutex
}

const spoolSuffix = ".seg"

// openSpool makes the directory, readable for its owner only.
func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &spool{dir: dir, wake: make(chan struct{}, 1)}
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if info, err := os.Stat(filepath.Join(dir, f)); err == nil {
			s.waiting += info.Size()
		}
	}
	return s, nil
}

// files lists what waits, oldest first: the names begin with timeline and revision.
func (s *spool) files() ([]string, error) {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range list {
		if strings.HasSuffix(f.Name(), spoolSuffix) && f.Type().IsRegular() {
			names = append(names, f.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// fileOf is the name of an object's file: slashes are no part of file names, nor plus signs of objects'.
func fileOf(object string) string { return strings.ReplaceAll(object, "/", "+") + spoolSuffix }

func objectOf(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(file, spoolSuffix), "+", "/")
}

// put keeps a segment. It is whole and on the disk when put returns nil.
func (s *spool) put(object string, data []byte) error {
	f, err := os.CreateTemp(s.dir, "new-*") // 0600 and O_EXCL
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, fileOf(object)))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := syncDir(s.dir); err != nil {
		return err
	}
	s.add(int64(len(data)))
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// syncDir makes the names in a directory last. Windows has no such call, and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// whole says whether a segment is what was written.
func whole(data []byte) error {
	r := bytes.NewReader(data)
	h, err := ReadHeader(r)
	if err == nil {
		_, err = readStored(r, h)
	}
	return err
}

func (s *spool) add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = max(0, s.waiting+n)
}

// size is how many bytes wait.
func (s *spool) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// drain sends what waits, in order, and calls stored for each. It ends with the first failure.
func (s *spool) drain(ctx context.Context, store backup.Store, stored func(object string)) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	files, err := s.files()
	if err != nil {
		return err
	}
	for _, name := range files {
		path := filepath.Join(s.dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := whole(data); err != nil {
			// A disk that lied. What it held is read from the cluster again.
			s.add(-int64(len(data)))
			if err := os.Rename(path, path+".damaged"); err != nil {
				return err
			}
			continue
		}
		object := objectOf(name)
		if err := store.Put(ctx, object, bytes.NewReader(data)); err != nil && !errors.Is(err, backup.ErrExist) {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		s.add(-int64(len(data)))
		stored(object)
	}
	return nil
}
