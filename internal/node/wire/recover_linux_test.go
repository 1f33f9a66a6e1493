package wire_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/recovery"
)

// TestLongRecoverOverSSH: a member on another machine is recovered by the command, which is killed half-way.
// The run that resumes, and the removal of what was set aside, are not told ssh's configuration again.
func TestLongRecoverOverSSH(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	h := newHost(t)
	c := clustertest.New(t, clustertest.Options{Size: 3})
	m := c.Members[2]
	spec := specOf(t, m)
	m.Stop(t)
	t.Cleanup(func() { _ = process.New(spec).Stop(context.WithoutCancel(t.Context())) })
	settle(t, c.Members[0])
	state := t.TempDir()
	common := []string{"--endpoints=" + strings.Join(c.Endpoints(), ","), "--state-dir=" + state, "-w", "json"}
	first := append([]string{"recover", "member", m.Name, "--yes", "--via=ssh:cp-3/process:" + spec, "--ssh-config=" + h.file("ssh_config")}, common...)
	if !h.killAt(t, "stop:"+m.Name, first) {
		t.Fatal("it was not killed at the step")
	}
	h.etcdops(t, append([]string{"recover", "member", "--resume"}, common...))
	m.WaitServing(t)
	list, err := c.Members[0].Client(t).MemberList(t.Context())
	if err != nil || len(list.Members) != 3 || slices.ContainsFunc(list.Members, func(m *etcdserverpb.Member) bool { return m.IsLearner }) {
		t.Errorf("members: %v %v", list, err)
	}
	found, _, err := recovery.StateDir{Path: state}.Operations()
	if err != nil || len(found) != 1 || len(found[0].Asides) != 1 {
		t.Fatalf("operations: %+v %v", found, err)
	}
	h.etcdops(t, []string{"recover", "clean", found[0].Name, "--yes", common[0], common[1]})
	if left, err := filepath.Glob(m.DataDir + ".etcdops-*"); err != nil || len(left) > 0 {
		t.Errorf("left: %q %v", left, err)
	}
}

// settle waits until the others have a leader.
func settle(t *testing.T, m *clustertest.Member) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := m.Client(t).Get(ctx, "any"); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no leader")
		}
	}
}

func (h *host) command(t *testing.T, args []string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(clustertest.Context(t, 4*time.Minute), h.file("etcdops"), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ETCD") })
	return cmd
}

// etcdops runs a command that must succeed.
func (h *host) etcdops(t *testing.T, args []string) {
	t.Helper()
	if out, err := h.command(t, args).CombinedOutput(); err != nil {
		t.Fatalf("etcdops %q: %v\n%s\n%s", args, err, out, h.log())
	}
}

// killAt kills a command when it tells that a step begins.
func (h *host) killAt(t *testing.T, step string, args []string) (killed bool) {
	t.Helper()
	cmd := h.command(t, args)
	out, err := cmd.StdoutPipe()
	var said strings.Builder
	cmd.Stderr = &said
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e recovery.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Step == step && !killed {
			killed = cmd.Process.Kill() == nil
		}
	}
	if err := cmd.Wait(); err == nil || !killed {
		t.Errorf("etcdops %q: killed %v, %v\n%s\n%s", args, killed, err, said.String(), h.log())
	}
	return killed
}
