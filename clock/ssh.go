package clock

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SSH says how to log in to the members' hosts: by the system's ssh, with its configuration, agent and known hosts.
type SSH struct {
	User   string // empty: as ssh is configured
	Config string // file for ssh -F; empty: ssh's own
}

// remoteLoop answers each line of its input with the time, for as long as there is input.
const remoteLoop = `while read _; do date +%s.%N; done`

// hosts are those of a member's URLs.
func (s SSH) hosts(t Target) []string {
	var out []string
	for _, text := range slices.Concat(t.PeerURLs, t.ClientURLs) {
		if u, err := url.Parse(text); err == nil && u.Hostname() != "" && !slices.Contains(out, u.Hostname()) {
			out = append(out, u.Hostname())
		}
	}
	return out
}

// open logs in. Nothing is ever asked: a host that wants a password, or is not known, fails.
func (s SSH) open(ctx context.Context, w stopwatch, host string) (reader, error) {
	if strings.HasPrefix(host, "-") || strings.HasPrefix(s.User, "-") {
		return nil, errors.New("a host or user does not begin with a dash")
	}
	args := []string{"-T", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"}
	if s.Config != "" {
		args = append(args, "-F", s.Config)
	}
	if s.User != "" {
		args = append(args, "-l", s.User)
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &sshReader{watch: w, cancel: cancel, lines: make(chan line, 1)}
	r.cmd = exec.CommandContext(ctx, "ssh", append(args, "--", host, remoteLoop)...)
	r.cmd.Env = withoutSettings(os.Environ())
	r.cmd.Stderr = &r.complaints
	r.cmd.WaitDelay = time.Second
	in, err := r.cmd.StdinPipe()
	if err == nil {
		r.in = in
		var out io.ReadCloser
		if out, err = r.cmd.StdoutPipe(); err == nil {
			if err = r.cmd.Start(); err == nil {
				go r.follow(out)
				return r, nil
			}
		}
	}
	cancel()
	return nil, err
}

// withoutSettings leaves out of an environment what tells how to reach etcd: it may hold a password, which ssh has no use
// for.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		return strings.HasPrefix(v, "ETCDOPS_") || strings.HasPrefix(v, "ETCDCTL_") || strings.HasPrefix(v, "ETCD_")
	})
}

// sshReader asks a shell on the member's host, one line a time.
type sshReader struct {
	watch      stopwatch
	cmd        *exec.Cmd
	cancel     func()
	in         io.WriteCloser
	lines      chan line
	complaints limitedBuffer
}

// line is one line of output and when it came.
type line struct {
	text     string
	received int64
}

// follow reads the output until it ends.
func (r *sshReader) follow(out io.Reader) {
	defer close(r.lines)
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		r.lines <- line{scanner.Text(), r.watch.now()}
	}
}

// read implements reader.
func (r *sshReader) read(ctx context.Context) (Sample, error) {
	s := Sample{SentNS: r.watch.now()}
	if _, err := io.WriteString(r.in, "\n"); err != nil {
		return s, r.ended(ctx)
	}
	select {
	case <-ctx.Done():
		return s, context.Cause(ctx)
	case l, open := <-r.lines:
		if !open {
			return s, r.ended(ctx)
		}
		s.ReceivedNS = l.received
		shown, quantum, err := parseDate(l.text)
		if err != nil {
			return s, err
		}
		s.QuantumNS = quantum
		s.FirstNS, err = r.watch.stamp(shown)
		s.LastNS = s.FirstNS
		return s, err
	}
}

// ended says why ssh is gone.
func (r *sshReader) ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := r.cmd.Wait()
	if text := strings.TrimSpace(r.complaints.String()); text != "" {
		lines := strings.Split(text, "\n")
		return errors.New(strings.TrimSpace(lines[len(lines)-1]))
	}
	if err == nil {
		return errors.New("ssh ended without a word")
	}
	return fmt.Errorf("ssh ended: %w", err)
}

func (r *sshReader) close() {
	_ = r.in.Close() // the loop at the other end ends with its input
	r.cancel()
	go func() {
		for range r.lines { // nobody reads what still comes
		}
	}()
	_ = r.cmd.Wait()
}

// parseDate reads "seconds.nanoseconds"; where date knows no %N, only the seconds are digits, and count as whole.
func parseDate(text string) (shown time.Time, quantum int64, err error) {
	whole, fraction, _ := strings.Cut(strings.TrimSpace(text), ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return shown, 0, errors.New("date on the host answers with something else than the time")
	}
	if nsec, err := strconv.ParseUint(fraction, 10, 32); err == nil && len(fraction) == 9 {
		return time.Unix(sec, int64(nsec)), 0, nil
	}
	return time.Unix(sec, 0), int64(time.Second), nil
}

// limitedBuffer keeps the end of what is written to it.
type limitedBuffer struct{ bytes.Buffer }

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len() > maxBody {
		b.Reset()
	}
	return b.Buffer.Write(p)
}
