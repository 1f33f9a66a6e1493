package cmd_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/stores"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/monitoring"
)

// TestServeTakesBackups has a member back itself up: once at its start, verified, with the member's own hash, and told by metrics,
// all of which the alert rules know.
func TestServeTakesBackups(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "repo")
	spool := t.TempDir()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{
		"--backup-schedule", "0 0 1 1 *", "--backup-repo", dir, "--backup-spool", spool, "--clock-audit-interval", "1s",
	}})
	ctx := clustertest.Context(t, 2*time.Minute)
	text := waitForMetric(ctx, t, c.Members[0].ClientURL, `(?m)^etcdops_backup_taken_total 1$`)
	store, closeStore, err := stores.Open(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore()
	repo, err := backup.OpenRepository(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	list, err := repo.List(ctx)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d backups, %v", len(list), err)
	}
	m := list[0].Manifest
	if list[0].Level() != backup.LevelData || m.Hash.Live != "equal" || m.Member.Name != c.Members[0].Name || m.Fence == 0 || m.Slot == nil {
		t.Errorf("level %v, manifest %+v", list[0].Level(), m)
	}
	if _, err := repo.Verify(ctx, list[0], backup.VerifyOptions{Level: backup.LevelData, SpoolDir: spool}); err != nil {
		t.Error(err)
	}
	for _, name := range monitoring.AlertMetrics(monitoring.DefaultAlertOptions()) {
		own := strings.HasPrefix(name, "etcdops_backup_") && name != "etcdops_backup_damaged" && name != "etcdops_backup_status_timestamp_seconds"
		if (own || strings.HasPrefix(name, "process_")) && !regexp.MustCompile(`(?m)^`+name+`[ {]`).MatchString(text) {
			t.Errorf("the member tells no %s", name)
		}
	}
	c.Members[0].Stop(t) // in order, also with backups
	if left, err := os.ReadDir(spool); err != nil || len(left) != 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
}

// TestServeLeavesBackupsToAFollower has three members elect who takes the backup: never the leader of raft, whoever is elected first.
func TestServeLeavesBackupsToAFollower(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "repo")
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Size: 3, Args: []string{
		"--backup-schedule", "0 0 1 1 *", "--backup-repo", dir, "--backup-spool", t.TempDir(), "--clock-audit-interval", "1s",
	}})
	ctx := clustertest.Context(t, 2*time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		list := backupsIn(ctx, dir)
		if len(list) > 0 {
			if m := list[0].Manifest; m.Member.Role != "follower" || len(list) != 1 {
				t.Errorf("%d backups, of %+v", len(list), m.Member)
			}
			alertMetricsExist(t, c, dir)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no backup was taken: %s", c.Members[0].Log(t))
		case <-tick.C:
		}
	}
}

// alertMetricsExist holds that each metric which an alert rule reads is told by what the group of the rule says: served by a member
// of a cluster that takes backups and audits its clocks, or left in a file by a command.
func alertMetricsExist(t *testing.T, c *clustertest.Cluster, repo string) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	told := map[string]string{}
	for _, m := range c.Members {
		text := waitForMetric(ctx, t, m.ClientURL, `(?m)^etcdops_clock_peer_offset_lower_seconds`)
		for _, group := range []string{"etcd", "etcd-clocks", "etcd-backups"} {
			told[group] += text
		}
	}
	dir := t.TempDir()
	program := etcdopsProgram(t, "etcdops", "HOME="+dir, "ETCDCTL_ENDPOINTS="+c.Endpoints()[0], "ETCDOPS_BACKUP_REPO="+repo)
	file := filepath.Join(dir, "metrics.prom")
	read := func() string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	program.run(t, "", "backup", "status", "--metrics-file", file)
	told["etcd-backups"] += read()
	archiver := program.command(ctx, "backup", "archive", "--elect=false", "--metrics-file", file)
	out, err := archiver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := archiver.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it tells something: the file is there
		t.Error(err)
	}
	told["etcd-archive"] = read()
	_ = archiver.Process.Kill()
	_ = archiver.Wait()
	tls := clustertest.New(t, clustertest.Options{TLS: true})
	got := etcdopsProgram(t, "etcdops", "HOME="+dir).run(t, "", "health", "-w", "prom", "--endpoints", tls.Endpoints()[0],
		"--cacert", tls.TLS.CACert, "--cert", tls.TLS.ClientCert, "--key", tls.TLS.ClientKey)
	told["etcd-health"] = got.out
	groups := monitoring.Alerts(monitoring.DefaultAlertOptions())
	for _, group := range groups {
		for _, name := range group.Metrics() {
			if name == "up" || name == "etcd_network_peer_round_trip_time_seconds_bucket" {
				continue // Prometheus' own; and etcd begins to measure it half a minute after its start
			}
			if !regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(told[group.Name]) {
				t.Errorf("group %s: %s is told by nothing", group.Name, name)
			}
		}
	}
	if len(groups) != len(told) {
		t.Errorf("%d groups of rules, %d of exporters", len(groups), len(told))
	}
}

// backupsIn lists a repository that may not be there yet.
func backupsIn(ctx context.Context, dir string) []backup.Entry {
	store, closeStore, err := stores.Open(dir, false)
	if err != nil {
		return nil
	}
	defer closeStore()
	repo, err := backup.OpenRepository(ctx, store)
	if err != nil {
		return nil
	}
	list, err := repo.List(ctx)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(list, func(e backup.Entry) bool { return e.Manifest == nil })
}

// waitForMetric reads a member's metrics until they match.
func waitForMetric(ctx context.Context, t *testing.T, url, pattern string) string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		text := fetch(ctx, url+"/metrics")
		if want.MatchString(text) {
			return text
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the metrics never match %s", pattern)
		case <-tick.C:
		}
	}
}
