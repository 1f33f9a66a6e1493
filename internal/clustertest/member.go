package clustertest

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopLimit is how long a member may take to end after SIGTERM: it hands leadership over and closes its streams.
const stopLimit = 30 * time.Second

// Member is one member: a process that a test can stop, kill, wipe and start again.
type Member struct {
	Name      string
	Kind      Kind
	Host      string // loopback address of its own
	ClientURL string // advertised to clients
	PeerURL   string // advertised to the other members
	DataDir   string
	LogFile   string // standard output and error of all its runs

	Args           []string // more arguments of the next start, after the cluster's
	InitialCluster string   // --initial-cluster of the next start
	InitialState   string   // --initial-cluster-state of the next start: new or existing

	program      program
	cluster      *Cluster
	files        *memberFiles
	process      *process // nil before the first start
	listenClient string   // host:port
	listenPeer   string   // host:port; PeerURL is the proxy before it
}

// Launch starts the member's process without waiting until it serves.
func (m *Member) Launch(tb testing.TB) {
	tb.Helper()
	if m.Running() {
		tb.Fatalf("%s is running already", m.Name)
	}
	prog := m.program
	prog.env = append([]string{envSkew + "=" + m.skewFile()}, prog.env...)
	p, err := startProcess(m.cluster.run, prog, m.CommandLine(), m.LogFile)
	if err != nil {
		tb.Fatalf("start %s: %v", m.Name, err)
	}
	m.process = p
	m.cluster.callers.add(p, m.Name)
}

// Start starts the member and waits until it serves.
func (m *Member) Start(tb testing.TB) {
	tb.Helper()
	m.Launch(tb)
	m.WaitReady(tb)
}

// Restart ends the member in order if it runs, starts it and waits until it serves.
func (m *Member) Restart(tb testing.TB) {
	tb.Helper()
	m.Stop(tb)
	m.Start(tb)
}

// Running reports whether the member's process exists (a paused one does).
func (m *Member) Running() bool { return m.process != nil && m.process.running() }

// PID is the id of the member's process, 0 when it does not run.
func (m *Member) PID() int {
	if !m.Running() {
		return 0
	}
	return m.process.pid()
}

// Stop ends the member with SIGTERM and waits for its end; a paused one is resumed for that. It does nothing to a member
// that does not run.
func (m *Member) Stop(tb testing.TB) {
	tb.Helper()
	if !m.Running() {
		return
	}
	m.signal(tb, syscall.SIGTERM)
	m.signal(tb, sigCont)
	if !m.process.wait(stopLimit) {
		tb.Errorf("%s did not end within %v of SIGTERM:\n%s", m.Name, stopLimit, m.logTail())
		m.Kill(tb)
	}
}

// Kill ends the member with SIGKILL and waits for its end. It does nothing to a member that does not run.
func (m *Member) Kill(tb testing.TB) {
	tb.Helper()
	if !m.Running() {
		return
	}
	m.signal(tb, syscall.SIGKILL)
	if !m.process.wait(stopLimit) {
		tb.Errorf("%s did not end within %v of SIGKILL", m.Name, stopLimit)
	}
}

// Pause stops the member's process where it is, as a machine that hangs; its connections stay open.
func (m *Member) Pause(tb testing.TB) {
	tb.Helper()
	m.mustRun(tb, "pause")
	m.signal(tb, sigStop)
	// The signal reaches one thread first: on a busy machine the others go on for a while, and may answer.
	err := repeat(Context(tb, stopLimit), func() error {
		if !stopped(m.PID()) {
			return errors.New("some of its threads run")
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("pause %s: %v", m.Name, err)
	}
}

// Resume lets a paused member go on.
func (m *Member) Resume(tb testing.TB) {
	tb.Helper()
	m.mustRun(tb, "resume")
	m.signal(tb, sigCont)
}

// Wipe removes the data directory of a member that does not run.
func (m *Member) Wipe(tb testing.TB) {
	tb.Helper()
	if m.Running() {
		tb.Fatalf("wipe %s: it is running", m.Name)
	}
	if err := os.RemoveAll(m.DataDir); err != nil {
		tb.Fatalf("wipe %s: %v", m.Name, err)
	}
}

// Log is everything that the member wrote in all its runs.
func (m *Member) Log(tb testing.TB) string {
	tb.Helper()
	log, err := os.ReadFile(m.LogFile)
	if err != nil {
		tb.Fatalf("read log of %s: %v", m.Name, err)
	}
	return string(log)
}

// CommandLine is the arguments of the next start, without the program's name: the harness's own, those of the cluster's
// options, those of Args. The last one of a name counts.
func (m *Member) CommandLine() []string {
	args := []string{
		"--name=" + m.Name,
		"--data-dir=" + m.DataDir,
		"--listen-client-urls=" + m.cluster.scheme() + "://" + m.listenClient,
		"--advertise-client-urls=" + m.ClientURL,
		"--listen-peer-urls=" + m.cluster.scheme() + "://" + m.listenPeer,
		"--initial-advertise-peer-urls=" + m.PeerURL,
		"--initial-cluster=" + m.InitialCluster,
		"--initial-cluster-state=" + m.InitialState,
		"--initial-cluster-token=" + m.cluster.token,
	}
	if m.files != nil {
		args = append(args,
			"--client-cert-auth", "--trusted-ca-file="+m.cluster.TLS.CACert,
			"--cert-file="+m.files.serverCert, "--key-file="+m.files.serverKey,
			"--peer-client-cert-auth", "--peer-trusted-ca-file="+m.cluster.TLS.CACert,
			"--peer-cert-file="+m.files.peerCert, "--peer-key-file="+m.files.peerKey,
		)
	}
	if m.cluster.opts.Auth != nil {
		args = append(args, "--bcrypt-cost=4") // the cheapest: tests log in often
	}
	args = append(args, m.cluster.opts.Args...)
	return append(args, m.Args...)
}

// signal sends sig to a member that was started; it may be ending.
func (m *Member) signal(tb testing.TB, sig os.Signal) {
	tb.Helper()
	if err := m.process.signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Fatalf("send %v to %s: %v", sig, m.Name, err)
	}
}

// mustRun fails the test over a member that does not run.
func (m *Member) mustRun(tb testing.TB, what string) {
	tb.Helper()
	if !m.Running() {
		tb.Fatalf("%s %s: it is not running", what, m.Name)
	}
}

// logTail is the last lines of the member's log, cut to a width that people read.
func (m *Member) logTail() string {
	const lines, width = 12, 220
	log, err := os.ReadFile(m.LogFile)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(log)), "\n")
	tail := all[max(0, len(all)-lines):]
	for i, line := range tail {
		tail[i] = line[:min(len(line), width)]
	}
	return strings.Join(tail, "\n")
}

// Cluster is the cluster that the member belongs to.
func (m *Member) Cluster() *Cluster { return m.cluster }

// Spec is how to start the member outside of this package: its command line and the environment that it needs, by which
// the run's reaper knows it too.
func (m *Member) Spec() (command, env []string) {
	command = append([]string{m.program.path}, m.program.args...)
	env = append([]string{envRun + "=" + m.cluster.run, envSkew + "=" + m.skewFile()}, m.program.env...)
	return append(command, m.CommandLine()...), env
}
