package dirstore

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// openFlags refuse a symbolic link put in a file's place, and keep a FIFO from holding us up.
const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

// noLinks says whether the file system has no hard links.
func noLinks(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.ENOSYS)
}

// renameNew renames a file to a name that is free.
func (s *Store) renameNew(from, to string) error {
	fromDir, err := s.root.Open(path.Dir(from))
	if err != nil {
		return err
	}
	defer func() { _ = fromDir.Close() }()
	toDir, err := s.root.Open(path.Dir(to))
	if err != nil {
		return err
	}
	defer func() { _ = toDir.Close() }()
	err = unix.Renameat2(int(fromDir.Fd()), path.Base(from), int(toDir.Fd()), path.Base(to), unix.RENAME_NOREPLACE)
	if err != nil {
		return &os.LinkError{Op: "renameat2", Old: from, New: to, Err: err}
	}
	return nil
}

func syncDir(dir *os.File) error { return dir.Sync() }
