package seed

import (
	"os/exec"
	"syscall"
)

// diesWithUs makes the kernel kill the child when we end in whatever way.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// signaled tells whether a process was ended by SIGTERM, as etcd ends itself once it has stopped.
func signaled(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}
