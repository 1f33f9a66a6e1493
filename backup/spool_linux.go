package backup

import (
	"os"

	"golang.org/x/sys/unix"
)

// unnamed makes a file that has no name from the beginning; file systems that know no such thing get one whose name is
// removed at once.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return unlinked(dir)
	}
	return os.NewFile(uintptr(fd), dir+"/(unnamed)"), nil
}

// startWriteback has the kernel begin to write a part of a file to the disk. It is a wish: what comes of it does not matter.
func startWriteback(f *os.File, offset, size int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, size, unix.SYNC_FILE_RANGE_WRITE)
}

// freeSpace is how many bytes an unprivileged user may still write below dir.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}
