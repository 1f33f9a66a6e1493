package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup puts a command into a process group of its own, which is killed as one when the command's context ends and
// by the kernel when this program dies.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// dieWithParent has the kernel kill a command when this program dies; it stays in this program's group.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// peakOf returns the most memory in bytes that a finished process held resident.
func peakOf(state *os.ProcessState) int64 {
	if used, ok := state.SysUsage().(*syscall.Rusage); ok {
		return used.Maxrss * 1024
	}
	return 0
}

// residentMemory returns the bytes that a running process holds resident.
func residentMemory(pid int) (int64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	if n := procKiB(path, "VmRSS"); n > 0 {
		return n * 1024, nil
	}
	return 0, fmt.Errorf("%s tells no VmRSS", path)
}
