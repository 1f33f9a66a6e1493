package health_test

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestSlowDisk delays each fsync of one follower by 700 ms and wants that member's latency named; where the machine's
// own disk stalls too, that member's is the longest still.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace, to delay system calls: ", err)
	}
	c := clustertest.New(t, clustertest.Options{Size: 3})
	m := following(t, c, look(t, at(c.Endpoints()...)))[0]
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=700000",
		"-p", strconv.Itoa(m.PID()))
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "attached") {
		t.Skip("strace may not attach to processes here: ", lines.Text())
	}
	go func() {
		for lines.Scan() { // it must not wait for its reader
		}
	}()
	stop := write(t, c, 2)
	defer stop()
	opts := patient(health.DepthNormal)
	opts.Window = 3 * time.Second
	r := judge(t, collect(t, at(c.Endpoints()...), opts), map[string]health.Limits{"disk.fsync": {Warn: 450, Crit: 60000}})
	slowest, name := 0.0, ""
	for _, f := range found(r, "disk.fsync") {
		ms, err := strconv.ParseFloat(strings.TrimSuffix(f.Value, " ms"), 64)
		if err != nil || f.Severity != health.SeverityWarning || !strings.Contains(f.Message, "p99") {
			t.Errorf("%s %s: %q: %s", f.Severity, f.Member, f.Value, f.Message)
		}
		if ms > slowest {
			slowest, name = ms, f.Member
		}
	}
	if name != m.Name {
		t.Errorf("findings: %+v", found(r, "disk.fsync"))
	}
}
