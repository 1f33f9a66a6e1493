package pitr_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// prune is a run of it at a time, on the whole repository.
func (s *site) prune(t *testing.T, p backup.Policy, now time.Time) []archive.Retention {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	plan, err := s.repo.PlanPrune(ctx, p, now)
	if err != nil {
		t.Fatal(err)
	}
	cluster := plan[0].Entry.Manifest.ClusterID
	timelines, err := archive.Load(ctx, s.repo.Store(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	needs := p.ArchiveFrom(plan)[cluster]
	segments := archive.PlanRetention(timelines, needs, now)
	if err := s.repo.ApplyPrune(ctx, plan, now); err != nil {
		t.Fatal(err)
	}
	if err := archive.ApplyRetention(ctx, s.repo.Store(), cluster, segments, needs, now); err != nil {
		t.Fatal(err)
	}
	return segments
}

// TestPruneOfAnArchive prunes backups and the changes that lead from them alone: marked first, gone a day later, what a backup
// left leads to is restored with the member's hash, and an archiver goes on where the archive ends.
func TestPruneOfAnArchive(t *testing.T) {
	t.Parallel()
	s := newSite(t, clustertest.Options{})
	r := rand.New(rand.NewPCG(7, 8))
	first := load(t, s.client, r, 20)
	a := s.archive(t)
	var want []point
	for range 3 {
		last := load(t, s.client, r, 30)
		a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= last })
		want = append(want, s.hashAt(t, last))
	}
	base, err := s.create(clustertest.Context(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	last := load(t, s.client, r, 30)
	want = append(want, s.hashAt(t, last))
	a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= last })
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	s.flipEveryObject(t)

	policy := backup.Policy{Last: 1, Force: true}
	now := time.Now()
	for day, check := range []func(got archive.Retention) bool{
		func(got archive.Retention) bool { return got.Mark == nil && len(got.Wait)+len(got.Remove) == 0 }, // the first base is marked
		func(got archive.Retention) bool { return got.Mark != nil && len(got.Wait) > 0 && len(got.Remove) == 0 },
		func(got archive.Retention) bool { return got.Mark == nil && len(got.Wait) == 0 && len(got.Remove) > 0 },
	} {
		if got := s.prune(t, policy, now.Add(time.Duration(day)*25*time.Hour)); len(got) != 1 || !check(got[0]) {
			t.Fatalf("day %d: %+v", day, got)
		}
	}
	f := s.facts(t)
	if len(f.Bases) != 1 || f.Timelines[0].Trimmed == nil || f.Timelines[0].After >= base.Revision || f.Timelines[0].After < first {
		t.Fatalf("%d bases, the archive begins after %d: the base left is at %d", len(f.Bases), f.Timelines[0].After, base.Revision)
	}
	s.flipEveryObject(t) // the mark of what has gone, too
	// What is left says nothing of a time whose changes are gone: no revision is made up for it.
	if m, err := pitr.At(t.Context(), s.repo.Store(), f, f.Timelines[0].Trimmed.Received.Add(-time.Millisecond), "", backup.Identities{}); err == nil {
		t.Errorf("a time before what is left is revision %d", m.Revision)
	}
	a = s.archive(t)
	end := load(t, s.client, r, 20)
	want = append(want, s.hashAt(t, end))
	a.until(t, "it goes on", func(p archive.Progress) bool { return p.Stored >= end })
	if p := a.Progress(); p.Timelines != 0 || p.Gaps != 0 {
		t.Errorf("the archive was begun anew: %+v", p)
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range want {
		file, _ := s.restore(t, p.revision) // those before the base: back within it
		if sum := hashOf(t, file, p); sum != p.hash {
			t.Errorf("revision %d: hash %08x, the member had %08x", p.revision, sum, p.hash)
		}
	}
}

// directory is the repository's store.
func (s *site) directory(t *testing.T) *dirstore.Store {
	t.Helper()
	store, ok := s.repo.Store().(*dirstore.Store)
	if !ok {
		t.Fatal("not a directory")
	}
	return store
}

// flipEveryObject flips a bit of each object of the archive, in several places, and has each found without a key, and named.
func (s *site) flipEveryObject(t *testing.T) {
	t.Helper()
	store := s.directory(t)
	clusters, err := archive.Clusters(t.Context(), store)
	if err != nil || len(clusters) != 1 {
		t.Fatal(clusters, err)
	}
	check := func() archive.Checked {
		t.Helper()
		got, err := archive.Check(t.Context(), store, clusters[0], archive.CheckOptions{Level: backup.LevelStored})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := check(); len(got.Problems) > 0 || got.Segments == 0 {
		t.Fatalf("nothing is damaged yet: %+v", got)
	}
	objects, err := store.List(t.Context(), backup.SegmentPrefix(clusters[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		path := filepath.Join(store.Path(), o.Name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(good) / 3, len(good) / 2, len(good) - 1} {
			bad := append([]byte{}, good...)
			bad[at] ^= 1 << rand.IntN(8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := check(); len(got.Problems) != 1 || got.Problems[0].Object != o.Name {
				t.Errorf("a bit of %s at %d is flipped, and the check says %+v", o.Name, at, got.Problems)
			}
		}
		if err := os.WriteFile(path, good[:len(good)-1], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := check(); len(got.Problems) != 1 || got.Problems[0].Object != o.Name {
			t.Errorf("%s is cut short, and the check says %+v", o.Name, got.Problems)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
