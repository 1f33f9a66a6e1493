package clustertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// process is one run of a member's program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed at its end
	err  error         // how it ended; read after done
}

// startProcess starts a program of a test run that appends its output to logFile.
func startProcess(run string, prog program, args []string, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(prog.path, append(prog.args, args...)...) //nolint:noctx // a test ends it by signals
	cmd.Env = append(append(environ(), envRun+"="+run), prog.env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// alive returns a context that ends with the process.
func (p *process) alive(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// wait waits for the end of the process and reports whether it came within limit.
func (p *process) wait(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// exit says how an ended process ended.
func (p *process) exit() string {
	if p.err != nil {
		return p.err.Error()
	}
	return fmt.Sprint(p.cmd.ProcessState)
}
