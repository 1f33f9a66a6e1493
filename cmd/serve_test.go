package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// serveLimit is how long a test waits for a member.
const serveLimit = 90 * time.Second

// served is an `etcdops serve` in a process of its own, under a manager that it notifies as it would systemd.
type served struct {
	cmd    *exec.Cmd
	log    *bytes.Buffer // standard error; read it after exit
	states chan string   // each line that the manager was told
	done   chan struct{}
}

// serve starts `etcdops serve`.
func serve(t *testing.T, args ...string) *served {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := new(net.ListenConfig).ListenPacket(t.Context(), "unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{log: &bytes.Buffer{}, states: make(chan string, 100), done: make(chan struct{})}
	go func() {
		defer close(s.states)
		buf := make([]byte, 4096)
		for {
			n, _, err := manager.ReadFrom(buf)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buf[:n])) {
				s.states <- strings.TrimSpace(line)
			}
		}
	}()
	s.cmd = exec.Command("etcdops", append([]string{"serve"}, args...)...) //nolint:noctx // ended by signals
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // the exit code is read from the process's state
		close(s.done)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		_ = manager.Close()
		if t.Failed() {
			t.Log(s.log)
		}
	})
	return s
}

// waitState waits until the manager is told a line that begins with prefix, and returns it.
func (s *served) waitState(t *testing.T, prefix string) string {
	t.Helper()
	timeout := time.After(serveLimit)
	for {
		select {
		case state := <-s.states:
			if strings.HasPrefix(state, prefix) {
				return state
			}
		case <-s.done:
			t.Fatalf("ended before %q", prefix)
		case <-timeout:
			t.Fatalf("no %q", prefix)
		}
	}
}

func (s *served) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// exitCode waits for the end of the process.
func (s *served) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(serveLimit):
		t.Fatal("the process goes on")
	}
	return s.cmd.ProcessState.ExitCode()
}

func TestServeUnderManager(t *testing.T) {
	t.Parallel()
	m := clustertest.NewUnstarted(t, clustertest.Options{}).Members[0]
	s := serve(t, m.CommandLine()...)
	s.waitState(t, "READY=1")
	if state := s.waitState(t, "STATUS="); !strings.Contains(state, m.ClientURL) {
		t.Errorf("state %q does not say where clients connect", state)
	}
	s.signal(t, syscall.SIGTERM)
	s.waitState(t, "STOPPING=1")
	if code := s.exitCode(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	for lines := bufio.NewScanner(s.log); lines.Scan(); {
		var entry map[string]any
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil || entry["level"] == nil || entry["ts"] == nil || entry["msg"] == nil {
			t.Errorf("no line of etcd's JSON log: %s", lines.Text())
		}
	}
}

// TestServeStoppedTwice: a watch keeps an orderly stop waiting; the signal again ends it.
func TestServeStoppedTwice(t *testing.T) {
	t.Parallel()
	m := clustertest.NewUnstarted(t, clustertest.Options{}).Members[0]
	s := serve(t, m.CommandLine()...)
	s.waitState(t, "READY=1")
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{m.ClientURL}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), serveLimit)
	defer cancel()
	if created := <-client.Watch(ctx, "key", clientv3.WithCreatedNotify()); created.Err() != nil {
		t.Fatal(created.Err())
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for running := true; running; {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // it may have ended just now
		select {
		case <-again.C:
		case <-s.done:
			running = false
		}
	}
	if code := s.exitCode(t); code != 130 {
		t.Errorf("exit code %d", code)
	}
}

func TestServeInterruptedBeforeReady(t *testing.T) {
	t.Parallel()
	m := clustertest.NewUnstarted(t, clustertest.Options{Size: 3}).Members[0]
	s := serve(t, m.CommandLine()...)
	s.waitState(t, "STATUS=listening")
	s.signal(t, syscall.SIGTERM)
	if code := s.exitCode(t); code != 130 || !strings.Contains(s.log.String(), "before the member was ready") {
		t.Errorf("exit code %d", code)
	}
}
