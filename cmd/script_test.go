package cmd_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/etcdops/etcdops/cmd"
	"github.com/etcdops/etcdops/internal/clustertest/script"
)

func TestMain(m *testing.M) {
	program := func() { os.Exit(cmd.Main(os.Args)) }
	script.Main(m, map[string]func(){"etcdops": program, "etcd": program, "etcdctl": program, "etcdutl": program, "etcdctl.exe": program})
}

// TestScript runs testdata/script/*.txtar, one file a scenario: what a user types, what he sees, the exit code. To add
// one, add a file; `etcdops` is this test binary, and `cluster` starts real members (package clustertest/script says how).
// Run one alone with -run 'TestScript/^name$'; with -v it shows everything.
func TestScript(t *testing.T) {
	t.Parallel()
	script.Run(t, testscript.Params{Dir: "testdata/script"})
}
