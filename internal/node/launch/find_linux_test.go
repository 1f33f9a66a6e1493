package launch

import (
	"os/exec"
	"testing"
)

// TestRunningAtOnce looks for processes that were started this moment: the kernel shows a program before its command line.
func TestRunningAtOnce(t *testing.T) {
	dir := t.TempDir()
	for range 200 {
		cmd := exec.CommandContext(t.Context(), "/usr/bin/env", "sh", "-c", "read line", "member", "--data-dir="+dir)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := Running(dir, ""); got != cmd.Process.Pid {
			t.Errorf("found process %d, want %d", got, cmd.Process.Pid)
		}
		_ = in.Close()
		_ = cmd.Wait() // read fails at the end of its input
	}
}
