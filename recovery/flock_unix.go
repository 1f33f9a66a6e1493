//go:build !windows

package recovery

import (
	"os"
	"syscall"
)

// tryLock takes the exclusive lock of a file, or fails at once. The kernel gives it back with the process.
func tryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
