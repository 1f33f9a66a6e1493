package rebuildtest

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/ledger"
)

// TestLoadKill and TestLongLoadKill kill all members under load at a random moment, and look at what every directory
// alone and every pair would become: with two of three nothing that was acknowledged is lost, ever; with one nothing up to
// the floor that the plan tells.
func TestLoadKill(t *testing.T) {
	t.Parallel()
	loadKill(t, 1, false)
}

func TestLongLoadKill(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	loadKill(t, 20, true)
}

func loadKill(t *testing.T, rounds int, long bool) {
	t.Helper()
	seedOf := rand.Uint64()
	t.Logf("seed %d", seedOf)
	random := rand.New(rand.NewPCG(seedOf, 1))
	lostByCopy, lostByForce := 0, 0
	for range rounds {
		l := newLab(t, clustertest.Options{Size: 3})
		stop := l.load(t, random.Uint64())
		l.acknowledgedAtLeast(t, 50+random.Int64N(400))
		l.killAll(t)
		entries := stop()
		for i, names := range [][]string{{"m1", "m2"}, {"m1", "m3"}, {"m2", "m3"}, {"m1", "m2", "m3"}} {
			if !long && i == 3 {
				break
			}
			judgeComplete(t, l, entries, names...)
		}
		for _, name := range []string{"m1", "m2", "m3"} {
			judgeLossy(t, l, entries, name)
			dir := l.Member(t, name).DataDir
			lostByCopy += len(ledger.Judge(entries, keysOf(t, filepath.Join(dir, "member", "snap", "db"))).Lost)
		}
		if long {
			lostByForce += forced(t, l, entries)
		}
	}
	if long && lostByForce == 0 {
		t.Error("force-new-cluster lost nothing either")
	}
	t.Logf("in %d rounds: copies of the database lost %d acknowledged writes, force-new-cluster lost %d, rebuilds of two or three directories lost 0", rounds, lostByCopy, lostByForce)
	if lostByCopy == 0 {
		t.Error("copies of the database lost nothing either: this test sees no loss")
	}
}

// judgeComplete holds a rebuild of these directories against the ledger: nothing may be missing.
func judgeComplete(t *testing.T, l *lab, entries []ledger.Entry, names ...string) {
	t.Helper()
	plan, _, err := l.order(t, names...).plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v := plan.Rebuild.Verdict; !v.Complete || plan.Rebuild.Bump != 0 {
		t.Fatalf("%s: %s", strings.Join(names, " "), v.Text)
	}
	if err := ledger.Judge(entries, keysOf(t, replica(t, plan, true))).Err(); err != nil {
		t.Errorf("%s: %v", strings.Join(names, " "), err)
	}
}

// judgeLossy does so for one directory: nothing up to the floor may be missing.
func judgeLossy(t *testing.T, l *lab, entries []ledger.Entry, name string) {
	t.Helper()
	plan, _, err := l.order(t, name).plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := plan.Rebuild.Verdict
	if v.Complete || plan.Rebuild.Bump == 0 {
		t.Fatalf("%s alone: %s", name, v.Text)
	}
	report := ledger.Judge(entries, keysOf(t, replica(t, plan, true)))
	if len(report.Phantoms)+len(report.Undead) > 0 {
		t.Errorf("%s alone: %s", name, report)
	}
	for _, e := range report.Lost {
		if e.Revision <= v.FloorRevision {
			t.Errorf("%s alone lost a write of revision %d, and the plan promised all up to %d", name, e.Revision, v.FloorRevision)
		}
	}
}

// forced counts what force-new-cluster loses of the best directory.
func forced(t *testing.T, l *lab, entries []ledger.Entry) int {
	t.Helper()
	lost := 0
	for _, name := range []string{"m1", "m2", "m3"} {
		plan, _, err := l.order(t, name).plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lost += len(ledger.Judge(entries, keysOf(t, replica(t, plan, false))).Lost)
	}
	return lost
}
