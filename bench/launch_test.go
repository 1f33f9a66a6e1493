package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCommandMeasuresTheChildAlone: the memory of a process that starts another one must not be taken for the child's.
func TestCommandMeasuresTheChildAlone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("peak memory is measured on Linux only")
	}
	l := testLab(t)
	ballast := bytes.Repeat([]byte{1}, 300<<20)
	var out bytes.Buffer
	used, err := l.command(t.Context(), &out, "sh", "-c", "echo hello; echo $HOME")
	runtime.KeepAlive(ballast)
	if err != nil {
		t.Fatal(err)
	}
	if want := "hello\n" + l.dir + "\n"; out.String() != want {
		t.Errorf("output is %q, want %q", out.String(), want)
	}
	if used.Peak < 500<<10 || used.Peak > 150<<20 {
		t.Errorf("a shell took %d bytes", used.Peak)
	}
	if used.Wall <= 0 || used.CPU < 0 {
		t.Errorf("got %+v", used)
	}
}

func TestCommandFails(t *testing.T) {
	l := testLab(t)
	for _, tc := range []struct{ script, want string }{
		{"echo what went wrong >&2; exit 3", "exit code 3: what went wrong"},
		{"kill -9 $$", "exit code -1"},
	} {
		if _, err := l.command(t.Context(), nil, "sh", "-c", tc.script); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v", tc.script, err)
		}
	}
	if _, err := l.command(t.Context(), nil, "/no/such/program"); err == nil {
		t.Error("a program that does not exist was measured")
	}
}

// TestCommandLeavesNothingBehind: when the context ends, the launcher and its child end too.
func TestCommandLeavesNothingBehind(t *testing.T) {
	l := testLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	failed := make(chan error)
	go func() {
		_, err := l.command(ctx, in, "sh", "-c", "echo $$; exec sleep 600")
		failed <- err
	}()
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	tick, deadline := time.NewTicker(5*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d still runs", pid)
		}
	}
}
