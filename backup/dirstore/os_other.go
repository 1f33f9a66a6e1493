//go:build !linux

package dirstore

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
)

const openFlags = 0

// noLinks says whether the file system has no hard links: here it is not known, and a rename follows a look.
func noLinks(err error) bool { return !errors.Is(err, fs.ErrExist) }

// renameNew renames a file to a name that was free a moment ago.
func (s *Store) renameNew(from, to string) error {
	if _, err := s.root.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return s.root.Rename(from, to)
}

// syncDir syncs a directory where the system knows such a thing.
func syncDir(dir *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return dir.Sync()
}
