//go:build unix

package memberdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// moveNew renames a directory to a name that is free, or that of an empty directory. The system call itself refuses
// directories that are not empty, and everything that is no directory.
func moveNew(from, to string) error {
	err := syscall.Rename(from, to)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s: %w", to, ErrExists)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// memberRuns says whether the database of a data directory is locked, as a running member locks it.
func memberRuns(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "member", "snap", "db"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // which gives the lock back
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// OwnerOf is the owner of a file.
func OwnerOf(info os.FileInfo) *Owner {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return &Owner{UID: int(stat.Uid), GID: int(stat.Gid)}
	}
	return nil
}
