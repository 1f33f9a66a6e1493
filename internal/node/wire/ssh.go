package wire

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// The exit codes that tell ssh's own failures and a shell that does not find a program from those of the program.
const (
	sshFailed = 255
	notFound  = 127
)

// sshTrouble says in words of ours why ssh gave no answer, nil when it is none of the known reasons. said is what ssh
// wrote on its standard error.
func sshTrouble(host string, err error, said string) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return nil
	}
	said = strings.ReplaceAll(said, "\r", "")
	switch code := exit.ExitCode(); {
	case code == sshFailed && strings.Contains(said, "REMOTE HOST IDENTIFICATION HAS CHANGED"):
		name, _, _ := strings.Cut(after(said, "Host key for "), " has changed") // a jump host's, perhaps
		return fmt.Errorf("refused, the host key of %s is not the one that is known: somebody may stand between, or the machine was set up anew. "+
			"It shows %s; known is another (%s). Compare at its console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) before the old key is removed",
			name, after(said, "key sent by the remote host is\n"), after(said, "Offending "))
	case code == sshFailed && strings.Contains(said, "Host key verification failed"):
		return fmt.Errorf("refused, its host key is not known here, or not that of its jump host: connect once by hand (ssh %s) and compare the fingerprint", host)
	case code == sshFailed && strings.Contains(said, "Permission denied ("):
		return fmt.Errorf("it does not let this user in (%s): a key is needed in the agent or the configuration, as no question is answered", lastLine(said))
	case code == sshFailed:
		return fmt.Errorf("it cannot be reached: %s", lastLine(said))
	case code == notFound && strings.Contains(said, "etcdops"):
		return fmt.Errorf("etcdops is not in the PATH of the user there: install the same version (%s)", lastLine(said))
	}
	return nil
}

// after is the rest of the line behind a mark.
func after(text, mark string) string {
	_, rest, ok := strings.Cut(text, mark)
	if !ok {
		return "unknown"
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSuffix(strings.TrimSpace(line), ".")
}

// lastLine is the last line that says something.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
