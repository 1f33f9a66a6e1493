package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// launchArg makes this program run another one and report what it used. Linux starts the peak memory of a new process at
// its parent's, and this program has driven load: only a small, fresh parent measures a small child.
const launchArg = "launch"

// usage is what a finished command took.
type usage struct {
	Wall time.Duration `json:"wall"`
	CPU  time.Duration `json:"cpu"`
	Peak int64         `json:"peak"` // bytes of resident memory at most; 0 where the system does not tell
	Exit int           `json:"exit"`
}

// command measures one run of a program. Its output goes to out; nil throws it away in the kernel.
func (l *lab) command(ctx context.Context, out io.Writer, program string, args ...string) (usage, error) {
	report, child, err := os.Pipe()
	if err != nil {
		return usage{}, err
	}
	defer func() { _ = report.Close() }()
	cmd := exec.CommandContext(ctx, l.self, append([]string{launchArg, program}, args...)...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = l.env, out, &stderr, []*os.File{child}
	ownGroup(cmd)
	err = cmd.Start()
	_ = child.Close() // the launcher has its own
	if err != nil {
		return usage{}, err
	}
	var u usage
	decodeErr := json.NewDecoder(report).Decode(&u)
	if err := errors.Join(cmd.Wait(), decodeErr); err != nil {
		return usage{}, fmt.Errorf("%s %q: %w: %s", program, args, errors.Join(context.Cause(ctx), err), tail(stderr.Bytes()))
	}
	if u.Exit != 0 {
		return u, fmt.Errorf("%s %q: exit code %d: %s", program, args, u.Exit, tail(stderr.Bytes()))
	}
	return u, nil
}

// launch is the other side of command: it runs args and writes their usage to report.
func launch(ctx context.Context, args []string, stdout, stderr io.Writer, report io.WriteCloser) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	dieWithParent(cmd)
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return err
	}
	state := cmd.ProcessState
	u := usage{Wall: wall, CPU: state.UserTime() + state.SystemTime(), Peak: peakOf(state), Exit: state.ExitCode()}
	return errors.Join(json.NewEncoder(report).Encode(u), report.Close())
}

// tail returns the end of a program's output, enough to see why it failed.
func tail(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return out[max(0, len(out)-1000):]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func megabytes(n int64) float64 { return float64(n) / 1e6 }
