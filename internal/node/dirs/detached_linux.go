package dirs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// detached reports whether a process has a database open that is not the file at that path: the directory was emptied or
// replaced under it. What cannot be seen (no right to look, no database open yet) is not reported.
func detached(pid int, database string) bool {
	here, err := os.Stat(database)
	if err != nil {
		here = nil
	}
	fds := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(fds)
	if err != nil {
		return false
	}
	found := false
	for _, e := range entries {
		fd := filepath.Join(fds, e.Name())
		target, err := os.Readlink(fd)
		// The path is that of the process's own view, which may be a container's.
		if err != nil || !strings.HasSuffix(strings.TrimSuffix(target, " (deleted)"), "/member/snap/db") {
			continue
		}
		open, err := os.Stat(fd) // the file itself, whatever its path is now
		switch {
		case err != nil:
		case here != nil && os.SameFile(open, here):
			return false
		default:
			found = true
		}
	}
	return found
}
