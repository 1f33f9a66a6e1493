//go:build unix

package cmd_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestBackupTellsHowFarItIs has a backup that takes long asked how far it is, by a signal, and taken to its end: to people it says
// nothing else, to programs each stage.
func TestBackupTellsHowFarItIs(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	putMany(t, c.Client(t), 1000)
	for _, tc := range []struct {
		format string
		want   string
	}{
		{"table", "etcdops backup create: "},
		{"json", `"operation":"etcdops backup create"`},
	} {
		home := t.TempDir()
		program := etcdopsProgram(t, "etcdops", "HOME="+home, "ETCDCTL_ENDPOINTS="+c.Endpoints()[0])
		cmd := program.command(clustertest.Context(t, time.Minute), "backup", "create", "--rate", "2MB", "-w", tc.format)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ask(t, cmd.Process.Pid, filepath.Join(home, ".local", "state", "etcdops", "backups", "repo.json"))
		stages := map[string]bool{}
		lines := bufio.NewScanner(stderr)
		for n := 0; lines.Scan(); n++ {
			if !strings.Contains(lines.Text(), tc.want) {
				t.Errorf("-w %s: %q", tc.format, lines.Text())
			}
			var event struct {
				Schema, Stage string
				Bytes, Total  int64
			}
			if tc.format == "json" {
				if err := json.Unmarshal(lines.Bytes(), &event); err != nil || event.Schema != "etcdops.backup_event/v1" {
					t.Errorf("%v: %s", err, lines.Text())
				}
				stages[event.Stage] = event.Bytes > 0
			} else {
				stages["asked"] = true
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("-w %s: %v", tc.format, err)
		}
		for _, stage := range map[string][]string{"table": {"asked"}, "json": {"snapshot", "verify", "upload"}}[tc.format] {
			if !stages[stage] {
				t.Errorf("-w %s: it told nothing of %q: %v", tc.format, stage, stages)
			}
		}
	}
}

// ask sends a program the signal that has it tell how far it is, once it has made a file: from then on it listens.
func ask(t *testing.T, pid int, made string) {
	t.Helper()
	ctx := clustertest.Context(t, 20*time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(made); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is never there", made)
		case <-tick.C:
		}
	}
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

// TestDaemonsTellHowFarTheyAre asks an archiver and a scheduler, which go on.
func TestDaemonsTellHowFarTheyAre(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	putMany(t, c.Client(t), 100)
	for _, tc := range []struct {
		args  []string
		ready string // in a line, when it listens
		want  string // in one of the lines that follow
	}{
		{[]string{"archive", "-w", "json"}, `"kind":"follow"`, `"kind":"status"`},
		{[]string{"schedule", "--cron", "0 0 1 1 *"}, "  saved  ", "  status  elected; the newest verified backup was taken at "},
	} {
		program := etcdopsProgram(t, "etcdops", "HOME="+t.TempDir(), "ETCDCTL_ENDPOINTS="+c.Endpoints()[0])
		cmd := program.command(clustertest.Context(t, time.Minute), append([]string{"backup"}, tc.args...)...)
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = in, in
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = in.Close()
		asked, told := false, false
		var said []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said = append(said, lines.Text())
			switch {
			case !asked && strings.Contains(lines.Text(), tc.ready):
				asked = true
				_ = cmd.Process.Signal(syscall.SIGUSR1)
			case asked && strings.Contains(lines.Text(), tc.want):
				told = true
				_ = cmd.Process.Signal(syscall.SIGINT)
			}
		}
		if err := cmd.Wait(); err != nil || !told {
			t.Errorf("%q: asked %v, told %v, %v:\n%s", tc.args, asked, told, err, strings.Join(said, "\n"))
		}
		_ = out.Close()
	}
}
