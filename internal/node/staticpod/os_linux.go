package staticpod

import (
	"io/fs"
	"syscall"
	"time"
)

// changed is when a file's name or status last changed: a rename counts, unlike for its time of modification.
func changed(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime()
	}
	return time.Unix(st.Ctim.Unix())
}
