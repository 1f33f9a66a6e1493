package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/etcdops/etcdops/internal/node/launch"
)

// start runs the member as a process that outlives this one: in a session of its own, with files for its output. The
// environment is the specification's with PATH and HOME alone, so that no secret of ours reaches it.
func start(spec Spec, l launch.Launch) error {
	cmd := exec.Command(l.Args[0], l.Args[1:]...) //nolint:noctx // it must live on
	cmd.Dir = spec.Dir
	cmd.Env = slices.Clone(l.Env)
	for _, name := range []string{"PATH", "HOME"} {
		if !slices.ContainsFunc(l.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") }) {
			cmd.Env = append(cmd.Env, name+"="+os.Getenv(name))
		}
	}
	cmd.SysProcAttr = ownSession()
	if spec.Log != "" {
		log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }()
		cmd.Stdout, cmd.Stderr = log, log
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the member: %w", err)
	}
	go func() { _ = cmd.Wait() }() // its end is seen by Status; this only lets the system forget it
	return nil
}

// terminate ends a process: SIGTERM, and SIGKILL when that does not help in time.
func terminate(ctx context.Context, pid int, running func() bool) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil //nolint:nilerr // it is gone
	}
	for _, step := range []struct {
		signal os.Signal
		limit  time.Duration
	}{{syscall.SIGTERM, stopGrace}, {os.Kill, stopGrace}} {
		if err := process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
		if gone(ctx, running, step.limit) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("process %d does not end, not even by SIGKILL: its disk may hang", pid)
}

// gone waits until running says no.
func gone(ctx context.Context, running func() bool, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for running() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
