package seed

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeSoon has the kernel begin to write a range to the disk. It promises nothing: the file is synced later.
func writeSoon(f *os.File, offset, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE) //nolint:gosec // a descriptor
}
