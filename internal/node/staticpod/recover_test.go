package staticpod_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/node/nodetest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestRecoverMember: one of three members is a static pod whose database is broken: its container ends again and again,
// and the kubelet starts it again and again. It is recovered, and the kubelet runs it as a voter.
func TestRecoverMember(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	m := c.Members[2]
	m.Stop(t)
	if err := os.WriteFile(filepath.Join(m.DataDir, "member/snap/db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "manifests")
	path := filepath.Join(dir, "etcd.yaml")
	command, env := m.Spec()
	original := manifest(t, command, env, map[string]string{m.DataDir: m.DataDir})
	write(t, path, original)
	k := &kubelet{dir: dir, log: m.LogFile}
	k.start(t)

	n := node(path)
	journal := recoverMember(t, c, m.Name, n)
	if journal.Plan.Member.Targets[0].Driver != "static pod" {
		t.Errorf("the plan: %+v", journal.Plan.Member.Targets[0])
	}
	m.WaitServing(t)
	list, err := c.Members[0].Client(t).MemberList(t.Context())
	if err != nil || len(list.Members) != 3 {
		t.Fatalf("members %v %v", list, err)
	}
	for _, member := range list.Members {
		if member.IsLearner {
			t.Errorf("%s is a learner", member.Name)
		}
	}
	fixture.Equal(t, c.Members...)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "--initial-cluster-state=existing") || !strings.Contains(string(text), "an operator added a comment") {
		t.Errorf("the manifest that the kubelet has: %s %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the manifest's mode: %v %v", info, err)
	}
	old := names(t, filepath.Join(filepath.Dir(dir), "manifests.etcdops"), "*.old-*")
	if len(old) != 1 {
		t.Fatalf("kept manifests: %q", old)
	}
	if kept, err := os.ReadFile(old[0]); err != nil || string(kept) != original {
		t.Errorf("the old manifest is not as it was: %s %v", kept, err)
	}
	broken := names(t, filepath.Dir(m.DataDir), filepath.Base(m.DataDir)+".etcdops-*")
	if len(broken) != 1 {
		t.Errorf("directories set aside: %q", broken)
	}
}

// recoverMember does what the command does.
func recoverMember(t *testing.T, c *clustertest.Cluster, name string, n recovery.Node) *recovery.Journal {
	t.Helper()
	ctx := clustertest.Context(t, 2*time.Minute)
	cluster, err := ops.Dial(ctx, ops.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	requests := []recovery.Request{{Ref: name, Node: n}}
	state := recovery.StateDir{Path: t.TempDir()}
	journal, held, err := begin(ctx, cluster, state, requests)
	if err != nil {
		t.Fatal(err)
	}
	run := &recovery.MemberRun{
		Cluster: cluster, Journal: journal, Nodes: map[string]recovery.Node{name: n},
		Me:     recovery.Holder{Operation: journal.Operation(), Host: "test", PID: os.Getpid()},
		Backup: recovery.Spool{Path: journal.Plan.Member.BackupTo},
	}
	if err := run.Execute(ctx); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func() error{journal.Close, held.Close} {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
	return journal
}

// begin makes the plan and its journal. Members that were just stopped are elected around: it tries again meanwhile.
func begin(ctx context.Context, cluster *ops.Cluster, state recovery.StateDir, requests []recovery.Request) (*recovery.Journal, *recovery.Held, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		facts, err := recovery.CollectMember(ctx, cluster, requests)
		if err == nil {
			now := time.Now()
			operation := recovery.NewOperation(now)
			var plan *recovery.Plan
			plan, err = recovery.PlanMember(facts, recovery.Options{
				Now: now, Operation: operation, BackupTo: filepath.Join(state.Path, operation+".db"), Via: []string{"static-pod"},
			})
			if err == nil {
				var journal *recovery.Journal
				var held *recovery.Held
				if journal, held, err = state.BeginMember(ctx, cluster, plan, requests); err == nil {
					return journal, held, nil
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil, err
		}
	}
}

// TestContainer: the member sees its data directory under another name than the machine, as in a container.
func TestContainer(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("mounts of one's own are not allowed here: %v %s", err, out)
	}
	m, wal := nodetest.StoppedMember(t)
	inside := t.TempDir()
	insideWAL := t.TempDir()
	command, env := m.Spec()
	for i, arg := range command {
		switch arg {
		case "--data-dir=" + m.DataDir:
			command[i] = "--data-dir=" + inside
		case "--wal-dir=" + wal:
			command[i] = "--wal-dir=" + insideWAL
		}
	}
	dir := filepath.Join(t.TempDir(), "manifests")
	path := filepath.Join(dir, "etcd.yaml")
	write(t, path, manifest(t, command, env, map[string]string{inside: m.DataDir, insideWAL: wal}))
	n := node(path)
	k := &kubelet{dir: dir, log: m.LogFile, run: func(command []string) []string {
		script := "mount --bind " + m.DataDir + " " + inside + " && mount --bind " + wal + " " + insideWAL + ` && exec "$@"`
		return append([]string{"unshare", "--mount", "sh", "-c", script, "sh"}, command...)
	}}
	k.start(t)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.WaitServing(t)
	st, err := n.Status(t.Context())
	if err != nil || st.PID == 0 || !st.Running || st.Empty {
		t.Errorf("a member in a container: %+v %v", st, err)
	}
	// The directory is replaced under it: it runs on, on files that are not there any more.
	if err := errors.Join(os.Rename(m.DataDir, m.DataDir+".moved"), os.Mkdir(m.DataDir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if st, err := n.Status(t.Context()); err != nil || st.PID == 0 || !st.Running || !st.Detached {
		t.Errorf("on a directory that was replaced: %+v %v", st, err)
	}
	if err := errors.Join(os.Remove(m.DataDir), os.Rename(m.DataDir+".moved", m.DataDir)); err != nil {
		t.Fatal(err)
	}
	if err := n.Mask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, err := n.Status(t.Context()); err != nil || st.Running || !st.Masked {
		t.Errorf("after Mask: %+v %v", st, err)
	}
	asides, err := n.SetAside(t.Context(), "label")
	if err != nil || len(asides) != 2 || asides[0].Path != m.DataDir+".etcdops-label" || asides[1].Path != wal+".etcdops-label" {
		t.Errorf("set aside: %+v %v", asides, err)
	}
}
