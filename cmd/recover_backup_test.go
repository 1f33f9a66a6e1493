package cmd

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/stores"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestRecoverBackupInRepository: a recovery's backup is one of the repository, verified before it counts, and is not taken
// twice.
func TestRecoverBackupInRepository(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	if _, err := c.Client(t).Put(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	cluster, err := ops.Dial(t.Context(), ops.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()

	place := "file://" + filepath.Join(t.TempDir(), "repo")
	run := recoverRun{app: &app{}, cmd: &cobra.Command{}, opts: &memberOptions{backupTo: place}}
	now := time.Now()
	plan := &recovery.Plan{Schema: recovery.PlanSchema, Kind: recovery.KindMember, Operation: recovery.NewOperation(now), Member: &recovery.MemberPlan{}}
	if plan.Member.BackupTo, err = run.backupPlace(plan.Operation); err != nil || plan.Member.BackupTo != place {
		t.Fatalf("the place of a repository that is not there yet: %q %v", plan.Member.BackupTo, err)
	}
	if err := plan.Seal(); err != nil {
		t.Fatal(err)
	}
	journal, err := recovery.CreateJournal(t.TempDir(), plan)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()

	b := run.backupOf(journal)
	if done, err := b.Done(t.Context()); done || err != nil {
		t.Errorf("before: %v %v", done, err)
	}
	text, err := b.Take(t.Context(), cluster, c.Endpoints()[0], 0, func(string, *recovery.Transfer) {})
	if err != nil || !strings.Contains(text, "verified") {
		t.Fatalf("%q %v", text, err)
	}
	if err := journal.Put("backup", text); err != nil {
		t.Fatal(err)
	}
	if done, err := b.Done(t.Context()); !done || err != nil {
		t.Errorf("after: %v %v", done, err)
	}

	store, closeStore, err := stores.Open(place, false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore()
	repo, err := backup.OpenRepository(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := repo.List(t.Context())
	if err != nil || len(entries) != 1 || entries[0].Manifest == nil || entries[0].Manifest.Revision != 2 || !strings.Contains(text, string(entries[0].ID)) {
		t.Errorf("in the repository: %+v %v", entries, err)
	}

	for to, suffix := range map[string]string{"": spoolSuffix, t.TempDir(): spoolSuffix} {
		run.opts.backupTo = to
		if file, err := run.backupPlace("op"); err != nil || !filepath.IsAbs(file) || !strings.HasSuffix(file, "op"+suffix) {
			t.Errorf("a directory %q: %q %v", to, file, err)
		}
	}
	run.opts.backupTo = "s4://bucket"
	if _, err := run.backupPlace("op"); ops.CodeOf(err) != backup.CodeBadPlace {
		t.Errorf("an unknown kind of repository: %v", err)
	}
}
