package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// heldStore is a store whose puts of manifests wait, as those of a process that was stopped in that moment.
type heldStore struct {
	backup.Store
	reached chan struct{} // closed when a manifest is about to be put
	release chan struct{} // closed when it may go on
}

func (s *heldStore) Put(ctx context.Context, name string, body backup.Body) error {
	if strings.HasSuffix(name, "/manifest.json") {
		close(s.reached)
		select {
		case <-s.release:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.Store.Put(ctx, name, body)
}

// slots counts the backups of each slot.
func slots(t *testing.T, repo *backup.Repository) map[time.Time]int {
	t.Helper()
	list, err := repo.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[time.Time]int{}
	for _, e := range list {
		switch {
		case e.Manifest == nil || e.Problem != "":
			t.Errorf("listed, and no backup: %+v", e)
		case e.Manifest.Slot != nil:
			out[*e.Manifest.Slot]++
		}
	}
	return out
}

// TestSlotIsTakenFromAStoppedScheduler stops one in the last moment before its backup is one. Another takes the slot, and the
// first cannot, whenever it goes on.
func TestSlotIsTakenFromAStoppedScheduler(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 3, 10)
	slot := time.Date(2026, time.November, 1, 6, 0, 0, 0, time.UTC)
	held := &heldStore{Store: l.store, reached: make(chan struct{}), release: make(chan struct{})}
	stopped, err := backup.OpenRepository(t.Context(), held)
	if err != nil {
		t.Fatal(err)
	}
	ctx := clustertest.Context(t, 2*time.Minute)
	first := make(chan error, 1)
	go func() {
		_, err := stopped.Create(ctx, l.conn, backup.CreateOptions{SpoolDir: l.spool, Slot: slot, Fence: 1})
		first <- err
	}()
	select {
	case <-held.reached:
	case err := <-first:
		t.Fatalf("the first ended: %v", err)
	}
	create := func(now func() time.Time) error {
		_, err := l.repo.Create(ctx, l.conn, backup.CreateOptions{SpoolDir: l.spool, Slot: slot, Fence: 2, Now: now})
		return err
	}
	if err := create(time.Now); ops.CodeOf(err) != backup.CodeSlotTaken {
		t.Errorf("while the first may be about to write: %v", err)
	}
	later := func() time.Time { return time.Now().Add(3 * time.Minute) }
	if err := create(later); err != nil {
		t.Fatalf("once the first is silent for long: %v", err)
	}
	if err := create(later); ops.CodeOf(err) != backup.CodeSlotTaken {
		t.Errorf("a second time: %v", err)
	}
	close(held.release)
	if err := <-first; ops.CodeOf(err) != backup.CodeSlotTaken {
		t.Errorf("the first, when it goes on: %v", err)
	}
	if got := slots(t, l.repo); got[slot] != 1 || len(got) != 1 {
		t.Errorf("backups by slot: %v", got)
	}
	// What the first had uploaded goes; its place stays taken.
	if err := l.repo.SweepDebris(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	objects, err := l.store.List(ctx, "c/")
	if err != nil || len(objects) != 3 { // a backup's part and manifest, and the void
		t.Errorf("after the sweep: %v, %v", objects, err)
	}
}

// jitterStore waits a little before each put, so that writers meet in every order.
type jitterStore struct{ backup.Store }

func (s jitterStore) Put(ctx context.Context, name string, body backup.Body) error {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(4 * time.Millisecond))))
	defer timer.Stop()
	<-timer.C
	return s.Store.Put(ctx, name, body)
}

// TestOneBackupASlot has three schedulers take each slot at once, as when a partition keeps no election from being won twice.
func TestOneBackupASlot(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 3, 10)
	repo, err := backup.OpenRepository(t.Context(), jitterStore{l.store})
	if err != nil {
		t.Fatal(err)
	}
	ctx := clustertest.Context(t, 2*time.Minute)
	begin := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	const rounds, schedulers = 8, 3
	for n := range rounds {
		slot := begin.Add(time.Duration(n) * time.Hour)
		errs := make([]error, schedulers)
		var group sync.WaitGroup
		for i := range schedulers {
			group.Go(func() {
				_, errs[i] = repo.Create(ctx, l.conn, backup.CreateOptions{SpoolDir: l.spool, Slot: slot, Fence: int64(i), LiveHash: backup.LiveHashNever})
			})
		}
		group.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if ops.CodeOf(err) != backup.CodeSlotTaken {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("slot %d: %d have taken it: %v", n, won, errors.Join(errs...))
		}
	}
	got := slots(t, l.repo)
	for slot, n := range got {
		if n != 1 {
			t.Errorf("%d backups of slot %s", n, slot)
		}
	}
	if len(got) != rounds {
		t.Errorf("%d slots have a backup, want %d", len(got), rounds)
	}
}

// TestSlotOfABackupThatIsNoneAnyMore: the backup of a slot is found damaged, was taken by a clock of next year, or the claim to it cannot be
// read. Then the slot is there for another backup. Of a cluster's first slot, which is the same until there is a good backup, none was
// ever taken again.
func TestSlotOfABackupThatIsNoneAnyMore(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 3, 10)
	ctx := clustertest.Context(t, 2*time.Minute)
	first, next, last := time.Unix(0, 0), time.Unix(3600, 0), time.Unix(7200, 0)
	take := func(slot, now time.Time) (*backup.Manifest, error) {
		return l.repo.Create(ctx, l.conn, backup.CreateOptions{SpoolDir: l.spool, Slot: slot, LiveHash: backup.LiveHashNever, Now: func() time.Time { return now }})
	}
	taken := func(slot time.Time) {
		t.Helper()
		if _, err := take(slot, time.Now()); ops.CodeOf(err) != backup.CodeSlotTaken {
			t.Errorf("slot %s, which has a good backup: %v", slot.UTC(), err)
		} else if slot.Equal(first) && strings.Contains(err.Error(), "1970") {
			t.Errorf("it speaks of a time that nobody means: %v", err)
		}
	}
	free := func(slot time.Time) {
		t.Helper()
		if _, err := take(slot, time.Now()); err != nil {
			t.Errorf("slot %s, whose backup is none any more: %v", slot.UTC(), err)
		}
		taken(slot)
	}
	m, err := take(first, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	taken(first)
	if err := l.repo.AddRecord(ctx, m.ID, backup.Record{At: time.Now(), Level: backup.LevelStored, Problem: "damaged"}); err != nil {
		t.Fatal(err)
	}
	free(first)
	if _, err := take(next, time.Now().AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	free(next)
	name := fmt.Sprintf("claim/%016x/%s/0000", uint64(m.ClusterID), last.UTC().Format("20060102T150405Z"))
	if err := l.store.Put(ctx, name, strings.NewReader("not a claim")); err != nil {
		t.Fatal(err)
	}
	free(last)
}
