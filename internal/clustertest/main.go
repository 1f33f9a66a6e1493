package clustertest

import (
	"crypto/rand"
	"errors"
	"log"
	"os"
	"path/filepath"
	"strings"
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
	run, err := Wrap(m)
	if err != nil {
		log.Fatalf("clustertest: start the run: %v", err)
	}
	run.Run()
}

// Child plays the part that this process was started for and reports whether there was one: if so, TestMain must return.
// Only a TestMain that cannot use Main calls it, first of all, and then Wrap.
func Child() bool {
	switch os.Getenv(envRole) {
	case roleMember:
		etcdmain.Main(os.Args)
	case roleReaper:
		reap(os.Stdin, os.Args[1], os.Args[2])
	default:
		return false
	}
	return true
}

// Wrap starts a run of tests and returns m with its end: when the test process ends, in whatever way, the run's reaper
// kills its processes and removes its temporary directory, which is that of every test (TMPDIR).
func Wrap(m TestRun) (TestRun, error) {
	run := "ct-" + strings.ToLower(rand.Text()[:12])
	dir := filepath.Join(os.TempDir(), run)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	end, err := startReaper(run, dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return wrapped{m, end}, errors.Join(os.Setenv(envRun, run), os.Setenv("TMPDIR", dir))
}

// wrapped runs tests and then ends their run.
type wrapped struct {
	TestRun
	end func()
}

// Run implements TestRun.
func (w wrapped) Run() int {
	defer w.end()
	return w.TestRun.Run()
}

// RunEnv is the environment by which the reaper knows the processes of this run: whoever starts a process with another
// environment than the test's own adds it.
func RunEnv() []string { return []string{envRun + "=" + os.Getenv(envRun)} }

// runName is the name of the run that this process belongs to.
func runName(tb testing.TB) string {
	tb.Helper()
	run := os.Getenv(envRun)
	if run == "" {
		tb.Fatal("clustertest: this package's TestMain does not call clustertest.Main")
	}
	return run
}
