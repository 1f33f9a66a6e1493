package seed

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of a replay.
const (
	replayPoll  = 50 * time.Millisecond
	replayStop  = 2 * time.Minute
	replayQuota = "1099511627776" // bytes: no entry may be refused, or raise an alarm, for lack of space
)

// Replay runs a server on the sealed replica until it has applied entry last, and ends it. program is its path and args its
// first arguments, its own name before them. It listens for clients on a Unix socket that only this user can open, and for
// peers on a port of the loopback address; its cluster ID is the replica's own. limit is how long it may take.
func (w Work) Replay(ctx context.Context, program string, args []string, name string, last uint64, limit time.Duration, tell func(string)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the log was not applied within %v", limit))
	defer cancel()
	sockets, err := os.MkdirTemp("", "eo") // a socket's path must be short
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(sockets) }() // it holds a socket at most
	const name34 = "localhost:1"                 // until 3.4 a socket is named like this, in the working directory
	socket := filepath.Join(sockets, name34)
	log, err := os.OpenFile(filepath.Join(w.Dir, "replay.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args = append(slices.Clip(args),
		"--name="+name, "--data-dir="+w.Replica(), "--force-new-cluster",
		"--listen-client-urls=unix://"+name34, "--advertise-client-urls=http://127.0.0.1:1",
		"--listen-peer-urls=http://127.0.0.1:0", "--initial-advertise-peer-urls=http://127.0.0.1:2", "--initial-cluster="+name+"=http://127.0.0.1:2",
		"--quota-backend-bytes="+replayQuota, "--log-outputs=stderr")
	cmd := &exec.Cmd{Path: program, Args: args} // ended below, in its own way
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = sockets, environment(os.Environ()), log, log
	cmd.SysProcAttr = diesWithUs()
	ended := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the kernel ends the child with the thread that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	err = appliedAll(ctx, socket, last, ended, tell)
	return errors.Join(err, w.end(cmd, ended, err == nil))
}

// appliedAll waits until the server has applied entry last, as its metrics tell; they need neither a user nor a leader.
func appliedAll(ctx context.Context, socket string, last uint64, ended chan error, tell func(string)) error {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(replayPoll)
	defer tick.Stop()
	for {
		at := applied(ctx, &client)
		if at >= last {
			return nil
		}
		tell(fmt.Sprintf("the server has applied entry %d of %d", at, last))
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("the server ended before it had applied the log: %w", cmp.Or(err, errors.New("exit code 0")))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// applied reads the index of the last entry that was applied; 0 while it is not known.
func applied(ctx context.Context, client *http.Client) uint64 {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://replica/metrics", nil)
	if err != nil {
		return 0
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }() // only read
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "etcd_server_proposals_applied_total "); ok {
			index, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || index < 0 {
				return 0
			}
			return uint64(index)
		}
	}
	return 0
}

// end ends the server, gently: it commits its database when it ends.
func (w Work) end(cmd *exec.Cmd, ended chan error, applied bool) error {
	_ = cmd.Process.Signal(syscall.SIGTERM) // one that has ended already is seen below
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !applied || err == nil || errors.As(err, &exit) && exit.Sys() != nil && signaled(exit) {
			return w.said(!applied)
		}
		return errors.Join(fmt.Errorf("the server did not end well: %w", err), w.said(true))
	case <-time.After(replayStop):
		_ = cmd.Process.Kill() // it is waited for below
		<-ended                //nolint:errcheck // killed is how it ended
		return errors.New("the server did not end: its database may not be complete")
	}
}

// said is the end of the server's log, as an error, when it is wanted.
func (w Work) said(wanted bool) error {
	if !wanted {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(w.Dir, "replay.log"))
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("its last words: %s", strings.Join(lines[max(0, len(lines)-3):], " | "))
}

// environment is ours without what etcd or we read settings from.
func environment(all []string) []string {
	var out []string
	for _, e := range all {
		if !strings.HasPrefix(e, "ETCD") {
			out = append(out, e)
		}
	}
	return out
}
