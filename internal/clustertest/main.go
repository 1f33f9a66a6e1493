package clustertest

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// The environment of a test run's processes. The names avoid the prefixes that etcd and etcdops read.
const (
	// envRun holds the name of the test run: all its processes carry it, and so the reaper knows them.
	envRun = "CLUSTERTEST_RUN"
	// envRole tells a re-executed test binary what to be instead of a test.
	envRole = "CLUSTERTEST_ROLE"

	roleMember = "member"
	roleReaper = "reaper"
)

// TestRun is what Wrap needs of *testing.M.
type TestRun interface{ Run() int }

// Main runs a package's tests; its TestMain must call it and do nothing after:
//
//	func TestMain(m *testing.M) { clustertest.Main(m) }
//
// In a re-executed test binary it is the member or the reaper instead.
func Main(m *testing.M) {
	if Child() {
		return
	}
	Wrap(m).Run()
}

// Child plays the part that this process was started for and reports whether there was one: if so, TestMain must return.
// Only a TestMain that cannot use Main calls it, first of all, and then Wrap.
func Child() bool {
	switch os.Getenv(envRole) {
	case roleMember:
		etcdmain.Main(os.Args)
	case roleReaper:
		reap(os.Stdin, os.Args[1])
	default:
		return false
	}
	return true
}

// Wrap returns m with a reaper beside it: when the test process ends, in whatever way, all processes and directories of
// the run are removed.
func Wrap(m TestRun) TestRun { return reaped{m} }

type reaped struct{ TestRun }

// Run runs the tests under a new run's name.
func (r reaped) Run() int {
	run := "run-" + rand.Text()
	stop, err := startReaper(run)
	if err == nil {
		err = os.Setenv(envRun, run) // tests and their children find it there
	}
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "clustertest: start reaper: %v\n", err) //nolint:forbidigo // no test to report to yet
		return 1
	}
	defer stop()
	return r.TestRun.Run()
}

// runDir is the directory that everything of a run is in; the first cluster makes it.
func runDir(run string) string { return filepath.Join(os.TempDir(), "clustertest-"+run) }

// Dir makes a directory that is removed at the end of the test, and also when the test process is killed.
func Dir(tb testing.TB) string {
	tb.Helper()
	run := os.Getenv(envRun)
	if run == "" {
		tb.Fatal("clustertest: this package's TestMain does not call clustertest.Main")
	}
	if err := os.MkdirAll(runDir(run), 0o700); err != nil {
		tb.Fatalf("make directory: %v", err)
	}
	dir, err := os.MkdirTemp(runDir(run), "")
	if err != nil {
		tb.Fatalf("make directory: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove directory: %v", err)
		}
	})
	return dir
}
