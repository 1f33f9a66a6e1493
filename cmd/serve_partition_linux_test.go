package cmd_test

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/elect"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestLongSchedulersPartitioned has three members take backups, each in its turn, and cuts whichever is elected off the others, then
// stops it, and has it come back while another one is elected: each slot has exactly one backup, and none is damaged.
func TestLongSchedulersPartitioned(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "repo")
	c := clustertest.NewUnstarted(t, clustertest.Options{Kind: clustertest.KindServe, Size: 3})
	for i, m := range c.Members {
		// Each names the place otherwise: members of one machine would lock each other out by its name.
		place := []string{dir, "file://" + dir, dir + "/."}[i]
		m.Args = []string{"--backup-schedule", "@every 2s", "--backup-repo", place, "--backup-spool", t.TempDir()}
	}
	c.Start(t)
	ctx := clustertest.Context(t, 8*time.Minute)
	putMany(t, c.Client(t), 500)
	waitForBackups(ctx, t, dir, "", 2)
	for _, fault := range []struct {
		cut, mend func(*clustertest.Member)
	}{
		{func(m *clustertest.Member) { c.Isolate(t, m.Name) }, func(*clustertest.Member) { c.Heal() }},
		{func(m *clustertest.Member) { m.Pause(t) }, func(m *clustertest.Member) { m.Resume(t) }},
	} {
		m := scheduling(ctx, t, c)
		fault.cut(m)
		waitForBackups(ctx, t, dir, m.Name, 2)
		fault.mend(m)
		waitForBackups(ctx, t, dir, "", 2)
	}
	slots := map[time.Time]backup.ID{}
	for _, e := range backupsIn(ctx, dir) {
		if e.Manifest.Slot == nil || e.Level() < backup.LevelData {
			t.Errorf("%s has no slot, or is at level %v: %s", e.ID, e.Level(), e.Problem)
			continue
		}
		if other, taken := slots[*e.Manifest.Slot]; taken {
			t.Errorf("slot %s has %s and %s", e.Manifest.Slot, other, e.ID)
		}
		slots[*e.Manifest.Slot] = e.ID
	}
	t.Logf("%d slots", len(slots))
}

// scheduling finds the member that is elected to take backups.
func scheduling(ctx context.Context, t *testing.T, c *clustertest.Cluster) *clustertest.Member {
	t.Helper()
	got, err := c.Client(t).Get(ctx, elect.Prefix+"schedule/", clientv3.WithFirstCreate()...)
	if err != nil || len(got.Kvs) == 0 {
		t.Fatalf("nobody is elected: %v", err)
	}
	for _, m := range c.Members {
		if strings.HasSuffix(string(got.Kvs[0].Value), "/"+strconv.Itoa(m.PID())) {
			return m
		}
	}
	t.Fatalf("%s is elected, which is no member", got.Kvs[0].Value)
	return nil
}

// waitForBackups waits for more backups than there are now, of members of another name.
func waitForBackups(ctx context.Context, t *testing.T, dir, except string, more int) {
	t.Helper()
	count := func() (n int) {
		for _, e := range backupsIn(ctx, dir) {
			if e.Manifest.Member.Name != except {
				n++
			}
		}
		return n
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for want := count() + more; count() < want; {
		select {
		case <-ctx.Done():
			t.Fatalf("no more backups are taken; %d of others than %q", count(), except)
		case <-tick.C:
		}
	}
}
