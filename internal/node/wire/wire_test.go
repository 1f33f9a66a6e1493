package wire_test

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/etcdops/etcdops/cmd"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/node/nodetest"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/internal/node/wire"
	"github.com/etcdops/etcdops/recovery"
)

// envSpec makes the test binary the other end: it drives the member of that specification.
const envSpec = "WIRE_SPEC"

func TestMain(m *testing.M) {
	if spec := os.Getenv(envSpec); spec != "" {
		if err := wire.Serve(context.Background(), wire.Machine{
			Driver: func(context.Context) (recovery.Node, error) { return process.New(spec), nil },
		}, os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	if filepath.Base(os.Args[0]) == "etcdops" { // as sshd starts it
		os.Exit(cmd.Main(os.Args))
	}
	clustertest.Main(m)
}

func TestContract(t *testing.T) {
	nodetest.Run(t, func(t *testing.T) nodetest.Fixture {
		m, wal := nodetest.StoppedMember(t)
		dir := t.TempDir()
		spec, hook := filepath.Join(dir, "m1.yaml"), filepath.Join(dir, "hook")
		fixture.WriteSpec(t, spec, m)
		if err := recovery.WriteFile(hook, []byte("#!/bin/sh\n"+envSpec+"="+spec+" exec "+os.Args[0]+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		n := wire.Hooks(m.Name, hook)
		t.Cleanup(func() { _ = n.Stop(context.WithoutCancel(t.Context())) })
		return nodetest.Fixture{Node: n, Member: m, WAL: wal, Files: []string{spec}}
	})
}

// TestSSHTakesNoWordsForOptions: what a shell or ssh itself could take for its own is refused.
func TestSSHTakesNoWordsForOptions(t *testing.T) {
	for _, bad := range [][3]string{{"m1", "-oProxyCommand=x", ""}, {"m1", "", ""}, {"m1;reboot", "host", ""}, {"m1", "host", "systemd:$(x)"}} {
		if _, err := wire.SSH(bad[0], bad[1], bad[2], ""); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := wire.SSH("m1", "root@cp-3", "systemd:etcd", "/etc/ssh/x"); err != nil {
		t.Error(err)
	}
}

// TestNoAnswer: a program that says something else is an error, never a status.
func TestNoAnswer(t *testing.T) {
	hook := filepath.Join(t.TempDir(), "hook")
	if err := recovery.WriteFile(hook, []byte("#!/bin/sh\necho '{}'; echo broken >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	n := wire.Hooks("m1", hook)
	if _, err := n.Status(t.Context()); err == nil {
		t.Error("an answer without a schema was taken")
	}
	if err := n.Stop(t.Context()); err == nil {
		t.Error("an answer without a schema was taken")
	}
}
