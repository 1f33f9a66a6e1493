//go:build !windows

package wire

import "syscall"

// noTerminal starts a process where it can ask nobody.
func noTerminal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
