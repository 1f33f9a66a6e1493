package recovery

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fileStates tells the state of all files below some paths: any change of one makes another text. It is not known when one
// changed within age, or cannot be looked at.
func fileStates(age time.Duration, paths ...string) (state string, known bool) {
	var all strings.Builder
	limit := time.Now().Add(-age)
	for _, root := range paths {
		if root == "" {
			continue
		}
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			stat, ok := info.Sys().(*syscall.Stat_t)
			changed := changeTime(stat)
			if !ok || age > 0 && !changed.Before(limit) {
				return fs.ErrInvalid
			}
			fmt.Fprintf(&all, "%q %v %d %d %d %d %d\n", path, info.Mode(), stat.Dev, stat.Ino, info.Size(), info.ModTime().UnixNano(), changed.UnixNano())
			return nil
		})
		if err != nil {
			return "", false
		}
	}
	return all.String(), true
}

// changeTime is when a file's content or properties changed last; no program can set it.
func changeTime(s *syscall.Stat_t) time.Time {
	return time.Unix(int64(s.Ctim.Sec), int64(s.Ctim.Nsec)) //nolint:unconvert // 32 bits on some machines
}
