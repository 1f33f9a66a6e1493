package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	pollEvery   = time.Millisecond // between two looks at whether a member is ready
	readyWithin = time.Minute
	stopWithin  = 20 * time.Second
)

// member is one datastore, upstream's or ours.
type member struct {
	client string   // URL for clients
	args   []string // program and flags
	env    []string
	log    string // file

	process   *os.Process
	done      chan struct{}    // closed when the process has ended
	ended     *os.ProcessState // after done: what the process used
	started   time.Time
	readyTook time.Duration // from the start of the program to its first 200 on /readyz
}

// start starts the member's process with flags besides its own. It lives until end is called, whatever becomes of ctx.
func (m *member) start(ctx context.Context, flags ...string) error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), m.args[0], slices.Concat(m.args[1:], flags)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = m.env, log, log
	ownGroup(cmd)
	m.started = time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	m.process, m.done = cmd.Process, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // who waits for the end reads the log, which tells more
		m.ended = cmd.ProcessState
	}()
	return nil
}

// startReady starts the member and waits until it is ready.
func (m *member) startReady(ctx context.Context, flags ...string) error {
	if err := m.start(ctx, flags...); err != nil {
		return err
	}
	return m.waitReady(ctx)
}

// waitReady polls until the member answers 200 on /readyz.
func (m *member) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready within %s", readyWithin))
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ready(ctx, client, m.client+"/readyz") {
			m.readyTook = time.Since(m.started)
			return nil
		}
		select {
		case <-tick.C:
		case <-m.done:
			return m.failed(errors.New("ended before it was ready"))
		case <-ctx.Done():
			return m.failed(context.Cause(ctx))
		}
	}
}

// ready reports whether url answers 200 now.
func ready(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(req)
	if err != nil {
		return false // not listening yet
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.StatusCode == http.StatusOK
}

// end ends the member's process in order, by force when that takes too long. Its data stay.
func (m *member) end() error {
	_ = m.process.Signal(syscall.SIGTERM) // fails when it has ended already
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case <-m.done:
		return nil
	case <-late.C:
	}
	err := m.process.Kill()
	<-m.done
	return m.failed(errors.Join(fmt.Errorf("did not stop within %s", stopWithin), err))
}

// failed explains why a member is of no use, with the end of its log.
func (m *member) failed(cause error) error {
	log, err := os.ReadFile(m.log)
	return fmt.Errorf("%s: %w\n%s", strings.Join(m.args, " "), errors.Join(cause, err), tail(log))
}
