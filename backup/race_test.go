package backup_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/powercut"
	"github.com/etcdops/etcdops/ops"
)

// meddling calls somebody else right before an object of a kind is deleted, once.
type meddling struct {
	backup.Store
	suffix string
	once   *sync.Once
	act    func()
}

// Delete implements backup.Store.
func (s meddling) Delete(ctx context.Context, name string) error {
	if strings.HasSuffix(name, s.suffix) {
		s.once.Do(s.act)
	}
	return s.Store.Delete(ctx, name)
}

// toPrune makes two backups and plans, at a time when that may be done, to remove the older one.
func (l *lab) toPrune(t *testing.T) (old, newest *backup.Manifest, plan []backup.PruneStep, later time.Time) {
	t.Helper()
	l.put(t, 3, 100)
	old, newest = l.create(t, backup.CreateOptions{}), l.create(t, backup.CreateOptions{})
	policy := backup.Policy{Last: 1, Force: true}
	l.prune(t, policy, time.Now())
	later = time.Now().Add(backup.Grace + time.Hour)
	plan, err := l.repo.PlanPrune(t.Context(), policy, later)
	if err != nil {
		t.Fatal(err)
	}
	return old, newest, plan, later
}

// TestHoldWinsAgainstPrune: somebody holds a backup in the very moment in which prune removes it. Who was told that it is
// held has it.
func TestHoldWinsAgainstPrune(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	old, newest, plan, later := l.toPrune(t)
	held := l.find(t, old.ID)
	repo, err := backup.OpenRepository(t.Context(), meddling{l.store, "/manifest.json", &sync.Once{}, func() {
		if err := l.repo.SetHold(t.Context(), held, true, "it is needed", time.Now()); err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.ApplyPrune(t.Context(), plan, later); err != nil {
		t.Fatal(err)
	}
	if got := l.ids(t); len(got) != 2 {
		t.Fatalf("left: %v of %s and %s", got, newest.ID, old.ID)
	}
	if _, err := l.repo.Verify(t.Context(), l.find(t, old.ID), backup.VerifyOptions{Level: backup.LevelData, SpoolDir: l.spool}); err != nil {
		t.Errorf("the backup that is held: %v", err)
	}
	// To hold it again, while the store fails in between, takes no hold away.
	if err := l.repo.SetHold(t.Context(), held, true, "again", time.Now()); err != nil {
		t.Error(err)
	}
	if e := l.find(t, old.ID); e.Hold == nil || e.Hold.Reason != "it is needed" {
		t.Errorf("held twice: %+v", e.Hold)
	}
}

// TestHoldIsNeverTakenAway: a hold is set once more, and the store fails half-way.
func TestHoldIsNeverTakenAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 1, 10)
	e := l.find(t, l.create(t, backup.CreateOptions{}).ID)
	if err := l.repo.SetHold(t.Context(), e, true, "first", time.Now()); err != nil {
		t.Fatal(err)
	}
	repo, err := backup.OpenRepository(t.Context(), readOnly{l.store})
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.SetHold(t.Context(), e, true, "second", time.Now()); err == nil {
		t.Log("it was held already: nothing is to be written")
	}
	if e := l.find(t, e.ID); e.Hold == nil {
		t.Error("the backup is not held any more")
	}
}

// TestPruneLooksAgain: between plan and confirmation the backup that was to stay is found damaged. The others, which were to
// go because of it, stay.
func TestPruneLooksAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	_, newest, plan, later := l.toPrune(t)
	if err := l.repo.AddRecord(t.Context(), newest.ID, backup.Record{At: time.Now(), Level: backup.LevelData, Problem: "damaged"}); err != nil {
		t.Fatal(err)
	}
	if err := l.repo.ApplyPrune(t.Context(), plan, later); ops.CodeOf(err) != backup.CodePruneRefused {
		t.Errorf("what was to stay is damaged: %v", err)
	}
	if got := l.ids(t); len(got) != 2 {
		t.Errorf("left: %v", got)
	}
}

// TestPowerCutAfterRestore cuts the power of both disks in the moment that a restore is reported: data and log are there.
func TestPowerCutAfterRestore(t *testing.T) {
	t.Parallel()
	data, wal := powercut.New(t, 256<<20), powercut.New(t, 256<<20)
	l := newLab(t, clustertest.Options{})
	l.put(t, 5, 1000)
	e := l.find(t, l.create(t, backup.CreateOptions{}).ID)
	to := target(filepath.Join(data.Dir, "data"))
	to.WALDir = filepath.Join(wal.Dir, "wal")
	if _, err := l.repo.Restore(t.Context(), e, backup.RestoreOptions{Targets: []memberdir.Options{to}}); err != nil {
		t.Fatal(err)
	}
	data.Cut(t)
	wal.Cut(t)
	for _, pattern := range []string{filepath.Join(to.Dir, "member", "snap", "db"), filepath.Join(to.WALDir, "*.wal")} {
		if found, err := filepath.Glob(pattern); err != nil || len(found) == 0 {
			t.Errorf("%s is gone after a power cut", pattern)
		}
	}
}

// sweeping lets somebody sweep right before a manifest is put.
type sweeping struct {
	backup.Store
	act func()
}

// Put implements backup.Store.
func (s sweeping) Put(ctx context.Context, name string, body backup.Body) error {
	if strings.HasSuffix(name, "/manifest.json") {
		s.act()
	}
	return s.Store.Put(ctx, name, body)
}

// TestSweepByAClockAhead: another machine, whose clock is days ahead, takes the parts of a backup under way for debris. No backup
// is reported then, and none is left that is not whole.
func TestSweepByAClockAhead(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 3, 100)
	repo, err := backup.OpenRepository(t.Context(), sweeping{l.store, func() {
		if err := l.repo.SweepDebris(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := repo.Create(t.Context(), l.conn, backup.CreateOptions{SpoolDir: l.spool})
	if err == nil {
		t.Errorf("%+v is reported, and its parts are gone", m.ID)
	}
	if got := l.ids(t); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
}
