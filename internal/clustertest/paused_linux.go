package clustertest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// waitStopped waits until every thread of a process has stopped. The signal reaches one of them first: on a busy machine
// the others go on for a while, and may answer.
func waitStopped(tb testing.TB, pid int) {
	tb.Helper()
	deadline := time.After(readyLimit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !stopped(pid) {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("process %d did not stop within %s", pid, readyLimit)
		}
	}
}

// stopped reads the state of each thread: the field after the name, which is in parentheses.
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
