package clustertest_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// envVictim makes TestVictim play its part.
const envVictim = "CLUSTERTEST_VICTIM"

// victim is what TestVictim tells of its cluster.
type victim struct {
	Dir  string
	PIDs []int
}

// TestVictim is no test: TestReaper runs it in a process of its own, which it kills.
func TestVictim(t *testing.T) {
	if os.Getenv(envVictim) == "" {
		t.Skip("a part of TestReaper")
	}
	c := clustertest.New(t, clustertest.Options{Size: 3})
	c.Members[0].Pause(t) // a stopped process must go too
	v := victim{Dir: c.Dir}
	for _, m := range c.Members {
		v.PIDs = append(v.PIDs, m.PID())
	}
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done() // until the kill
}

// TestReaper kills a test process with a running cluster: members and directories go with it.
func TestReaper(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestVictim$")
	cmd.Env = append(os.Environ(), envVictim+"=1")
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var v victim
	if err == nil {
		err = json.Unmarshal(line, &v)
	}
	if err != nil || len(v.PIDs) != 3 {
		t.Fatalf("the victim said %q: %v", line, err)
	}
	for _, pid := range v.PIDs {
		if !isMemberOf(pid, v.Dir) {
			t.Fatalf("process %d is no member of the victim's cluster", pid)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for _, pid := range v.PIDs {
		eventually(t, "the end of member "+strconv.Itoa(pid), func() bool { return !isMemberOf(pid, v.Dir) })
	}
	eventually(t, "the removal of "+filepath.Dir(v.Dir), func() bool {
		_, err := os.Stat(filepath.Dir(v.Dir))
		return os.IsNotExist(err)
	})
}

// TestForeignProcessesSurvive has the reaper's rule judge processes that are not its run's.
func TestForeignProcessesSurvive(t *testing.T) {
	t.Parallel()
	run := os.Getenv("CLUSTERTEST_RUN")
	for name, env := range map[string]string{
		"other run": "CLUSTERTEST_RUN=" + run + "x",
		"mentions":  "OTHER=CLUSTERTEST_RUN=" + run,
		"no run":    "A=b",
	} {
		cmd := exec.CommandContext(t.Context(), "sleep", "60")
		cmd.Env = []string{env}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if clustertest.KillIfOf(cmd.Process.Pid, run) {
			t.Errorf("%s: killed", name)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// isMemberOf reports whether process pid has its data below dir.
func isMemberOf(pid int, dir string) bool {
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && strings.Contains(string(line), "--data-dir="+dir)
}

// eventually waits for a condition that no event announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
