//go:build linux || darwin || freebsd

package health

import (
	"golang.org/x/sys/unix"
)

// ReadDisk tells how much room is left in the file system that a directory is in.
func ReadDisk(dir string) Disk {
	d := Disk{Path: dir}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		d.Problem = err.Error()
		return d
	}
	size := uint64(fs.Bsize)                                      //nolint:gosec // never negative; its type differs between systems
	d.Bytes, d.BytesFree = fs.Blocks*size, uint64(fs.Bavail)*size //nolint:unconvert // signed on FreeBSD
	d.Inodes, d.InodesFree = fs.Files, uint64(fs.Ffree)           //nolint:unconvert // signed on FreeBSD
	return d
}
