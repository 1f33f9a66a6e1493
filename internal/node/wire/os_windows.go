package wire

import "syscall"

func noTerminal() *syscall.SysProcAttr { return nil }
