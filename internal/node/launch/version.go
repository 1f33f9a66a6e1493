package launch

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// versionLimit is how long a program may take to tell its version.
const versionLimit = 5 * time.Second

// Version asks the program for its version, "" when it does not tell.
func (l Launch) Version(ctx context.Context) string {
	if len(l.Args) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	args := []string{"--version"}
	if len(l.Args) > 1 && (l.Args[1] == "serve" || l.Args[1] == "etcd") {
		args = []string{l.Args[1], "--version"}
	}
	cmd := exec.CommandContext(ctx, l.Args[0], args...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, l.withoutEtcd()...)
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(out)) {
		if v, ok := strings.CutPrefix(line, "etcd Version: "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Program is the path of the etcd program that the member is started with, "" when it is another kind of program.
func (l Launch) Program() string {
	if len(l.Args) == 0 || !filepath.IsAbs(l.Args[0]) || len(l.Args) > 1 && !strings.HasPrefix(l.Args[1], "-") {
		return ""
	}
	return l.Args[0]
}

// withoutEtcd is the environment without the member's own settings.
func (l Launch) withoutEtcd() []string {
	var out []string
	for _, e := range l.Env {
		if !strings.HasPrefix(e, "ETCD_") {
			out = append(out, e)
		}
	}
	return out
}
