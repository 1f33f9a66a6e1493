package datadir

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// lockedByAnother tells whether some process holds a lock on a file. It asks the kernel's list: a lock of our own, even
// for an instant, could keep a member from starting.
func lockedByAnother(file string) bool {
	info, err := os.Stat(file)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return false
	}
	defer func() { _ = locks.Close() }() // only read
	suffix := ":" + strconv.FormatUint(stat.Ino, 10)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 6 && fields[1] != "->" && strings.HasSuffix(fields[5], suffix) {
			return true
		}
	}
	return false
}
