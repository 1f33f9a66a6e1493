package clustertest

import (
	"os"
	"syscall"
)

// The signals of Pause and Resume.
const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// flock takes an exclusive lock on f; closing f gives it back.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
