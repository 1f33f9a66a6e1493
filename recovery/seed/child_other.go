//go:build !linux

package seed

import (
	"os/exec"
	"syscall"
)

// diesWithUs has no counterpart elsewhere than on Linux.
func diesWithUs() *syscall.SysProcAttr { return nil }

// signaled tells whether a process was ended by a signal.
func signaled(exit *exec.ExitError) bool { return exit.ExitCode() == -1 }
