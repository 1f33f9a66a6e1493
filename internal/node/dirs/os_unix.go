//go:build !windows

package dirs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsMount reports whether another file system begins at path.
func IsMount(path string, info fs.FileInfo) bool {
	parent, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return false
	}
	a, ok := info.Sys().(*syscall.Stat_t)
	b, also := parent.Sys().(*syscall.Stat_t)
	return ok && also && a.Dev != b.Dev
}

func owner(info fs.FileInfo) (uid, gid int) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return int(st.Uid), int(st.Gid)
}

// free is the space that ordinary users may still use.
func free(path string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // the types differ between systems
}

// locked reports whether a process holds a lock of the file. A file that cannot be opened is not known to be locked.
func locked(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // gives the lock back
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// Inherit gives a new directory or file the owner, the mode and the extended attributes (SELinux label, ACL) of an old one.
func Inherit(from, to string, info fs.FileInfo) error {
	uid, gid := owner(info)
	if os.Geteuid() == 0 {
		if err := os.Lchown(to, uid, gid); err != nil {
			return err
		}
	}
	if err := os.Chmod(to, info.Mode().Perm()|info.Mode()&(fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	return copyAttributes(from, to)
}
