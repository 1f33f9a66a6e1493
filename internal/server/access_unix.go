//go:build unix

package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// writable tells, without writing, whether this process may change a file, or make entries in a directory.
func writable(path string, info os.FileInfo) error {
	mode := uint32(unix.W_OK)
	if info.IsDir() {
		mode |= unix.X_OK
	}
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}
