package recovery

import (
	"os"

	"golang.org/x/sys/windows"
)

// tryLock takes the exclusive lock of a file, or fails at once. The system gives it back with the process.
func tryLock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	const far = 1 << 30 // beyond the text, which others may read
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{Offset: far})
}
