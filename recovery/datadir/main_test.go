package datadir_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// TestMain makes the test binary the sandbox's child process when it is started as such.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "inspect-worker" {
		if err := datadir.Work(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	clustertest.Main(m)
}

// sandbox is the test binary as the child process.
func sandbox(t *testing.T) datadir.Sandbox {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return datadir.Sandbox{Path: self, Args: []string{self, "inspect-worker"}}
}
