//go:build !windows

package process

import "syscall"

// ownSession detaches a process from our terminal and its signals.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
