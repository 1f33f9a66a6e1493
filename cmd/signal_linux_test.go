package cmd_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSecondSignalEnds holds that a command which waits for what nothing can cancel, here a file that nobody writes, ends
// with the second signal.
func TestSecondSignalEnds(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "config.yaml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, etcdopsProgram(t, "etcdops", "ETCDOPS_CONFIG="+fifo), "config", "view")
	ended := make(chan syscall.WaitStatus, 1)
	go func() {
		status, _ := r.end(t).Sys().(syscall.WaitStatus)
		ended <- status
	}()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			_ = r.cmd.Process.Signal(syscall.SIGINT) // the first may come before the program listens
		case status := <-ended:
			if status.Signal() != syscall.SIGINT {
				t.Errorf("it ended with %v, want the signal", status)
			}
			return
		}
	}
}
