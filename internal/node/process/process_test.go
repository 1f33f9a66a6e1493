package process_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/node/nodetest"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/recovery"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

func TestContract(t *testing.T) {
	nodetest.Run(t, func(t *testing.T) nodetest.Fixture {
		m, wal := nodetest.StoppedMember(t)
		path := filepath.Join(t.TempDir(), "m1.yaml")
		fixture.WriteSpec(t, path, m)
		n := process.New(path)
		t.Cleanup(func() { _ = n.Stop(context.WithoutCancel(t.Context())) })
		return nodetest.Fixture{Node: n, Member: m, WAL: wal, Files: []string{path}}
	})
}

// TestStrayArgument finds the list that was not quoted before anything is stopped.
func TestStrayArgument(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "m1.yaml")
	text := "command: [etcd, --name=m1, --data-dir=d, --initial-cluster=m1=http://127.0.0.1:1,m2=http://127.0.0.1:2]\n"
	if err := recovery.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := process.New(path).Survey(t.Context()); err == nil || !strings.Contains(err.Error(), `"m2=http://127.0.0.1:2"`) {
		t.Errorf("a stray argument: %v", err)
	}
}
