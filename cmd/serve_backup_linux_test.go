package cmd_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestServeBackupGivesWay defragments a member while it copies its database: the backup ends without waiting, is told as a
// failure of the member's, and leaves those of before as they were.
func TestServeBackupGivesWay(t *testing.T) {
	t.Parallel()
	dir, spool := filepath.Join(t.TempDir(), "repo"), t.TempDir()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe})
	ctx := clustertest.Context(t, 2*time.Minute)
	m := c.Members[0]
	putMany(t, c.Client(t), 10_000) // 10 MB: copying them takes longer than this test
	program := etcdopsProgram(t, "etcdops", "HOME="+t.TempDir(), "ETCDCTL_ENDPOINTS="+m.ClientURL)
	if got := program.run(t, "", "backup", "create", "--repo", dir); got.code != 0 {
		t.Fatal(got)
	}
	m.Args = []string{"--backup-schedule", "@every 1s", "--backup-repo", dir, "--backup-spool", spool, "--backup-rate", "100KB"}
	m.Restart(t)
	waitForSpool(ctx, t, m.PID(), spool, 1<<20)
	if _, err := c.Client(t).Defragment(ctx, m.ClientURL); err != nil {
		t.Fatal(err)
	}
	text := waitForMetric(ctx, t, m.ClientURL, `(?m)^etcdops_backup_failures_total 1$`)
	if !strings.Contains(text, "\netcdops_backup_leading 1\n") {
		t.Error("the member gave more up than the backup")
	}
	log := m.Log(t)
	for _, want := range []string{"no backup was taken", "the member is being defragmented", `"code":"ETO-6058"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if got := program.run(t, "", "backup", "verify", "--level", "1", "--repo", dir); !strings.HasPrefix(got.out, "1 of 1 backups reached level 1") {
		t.Errorf("the backups of before: %+v", got)
	}
	if left, err := os.ReadDir(spool); err != nil || len(left) != 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}

// waitForSpool waits until a process has an open file without a name below a directory, with so many bytes in it.
func waitForSpool(ctx context.Context, t *testing.T, pid int, dir string, bytes int64) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	fds := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	for {
		open, err := os.ReadDir(fds)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range open {
			path := filepath.Join(fds, fd.Name())
			target, err := os.Readlink(path)
			if info, statErr := os.Stat(path); err == nil && statErr == nil && strings.HasPrefix(target, dir) && info.Size() >= bytes {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatal("no backup is ever copied")
		case <-tick.C:
		}
	}
}
