package clustertest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// The signals of Pause and Resume.
const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// knowsCallers says whether callerInode and owns work.
const knowsCallers = true

// flock takes an exclusive lock on f; closing f gives it back.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }

// stopped reports whether every thread of a process has stopped. A thread's state stands after its name, which is in
// parentheses.
func stopped(pid int) bool {
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	if err != nil || len(files) == 0 {
		return false
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil { // the thread has ended
			continue
		}
		at := bytes.LastIndexByte(stat, ')')
		if at < 0 || at+2 >= len(stat) || stat[at+2] != 'T' {
			return false
		}
	}
	return true
}
