package backup

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a terminal's interrupt from the server, which is ended by us.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
