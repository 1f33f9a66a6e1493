package rebuildtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/node/process"
)

// checksums are those of all files below a directory.
func checksums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// originals follows the members' directories, also once they are set aside.
func (l *lab) originals(t *testing.T) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	for _, m := range l.Members {
		dir := m.DataDir
		asides, err := filepath.Glob(dir + ".etcdops-*")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range asides {
			if !strings.HasSuffix(a, ".work") {
				dir = a
			}
		}
		out[m.Name] = checksums(t, dir)
	}
	return out
}

func same(t *testing.T, when string, before, after map[string]map[string]string) {
	t.Helper()
	for name, files := range before {
		for file, sum := range files {
			if after[name][file] != sum {
				t.Errorf("%s: %s of %s is not as it was", when, file, name)
			}
		}
	}
}

// stopNew ends the members that the operator started.
func (l *lab) stopNew(t *testing.T) {
	t.Helper()
	for _, spec := range l.specs {
		if err := process.New(spec).Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// TestRebuild rebuilds a cluster of three of two of its directories: all acknowledged writes are there, a watcher goes on
// from its revision, and the third member's old directory cannot join.
func TestRebuild(t *testing.T) {
	t.Parallel()
	l, entries := crashed(t, clustertest.Options{Size: 3}, 200)
	before := l.originals(t)
	o := l.order(t, "m1", "m2")
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	fixture.Prove(t, l.Cluster, entries)
	same(t, "after the rebuild", before, l.originals(t))
	var last int64
	for _, e := range entries {
		last = max(last, e.Revision)
	}
	watchFrom(t, l, last-5)
	oldDirectory(t, l)
}

// watchFrom watches from a revision of the old cluster: every event comes, in order.
func watchFrom(t *testing.T, l *lab, revision int64) {
	t.Helper()
	ctx := clustertest.Context(t, 20*time.Second)
	w := l.Client(t).Watch(ctx, "ledger/", clientv3.WithPrefix(), clientv3.WithRev(revision))
	for r := range w {
		if r.Err() != nil {
			t.Fatalf("a watch from revision %d of the old cluster: %v", revision, r.Err())
		}
		if len(r.Events) > 0 {
			if at := r.Events[0].Kv.ModRevision; at < revision {
				t.Errorf("the watch begins at %d, not at %d", at, revision)
			}
			return
		}
	}
	t.Error("the watch gave nothing")
}

// oldDirectory starts the old directory of m3 at its place again: it must not join, and nothing may change.
func oldDirectory(t *testing.T, l *lab) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	before, err := l.Members[0].Client(t).HashKV(ctx, l.Members[0].ClientURL, 0)
	if err != nil {
		t.Fatal(err)
	}
	node := process.New(l.specs["m3"])
	if err := node.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	m := l.Member(t, "m3")
	asides, err := filepath.Glob(m.DataDir + ".etcdops-*")
	if err != nil || len(asides) != 1 {
		t.Fatalf("%v, %v", asides, err)
	}
	if err := os.Rename(m.DataDir, m.DataDir+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(m.DataDir, os.DirFS(asides[0])); err != nil {
		t.Fatal(err)
	}
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(m.Log(t), "cluster ID mismatch") && !strings.Contains(m.Log(t), "request cluster ID mismatch") {
		if ctx.Err() != nil {
			t.Fatal("the old directory's member was not refused within a minute")
		}
	}
	after, err := l.Members[0].Client(t).HashKV(ctx, l.Members[0].ClientURL, before.Header.Revision)
	if err != nil || after.Hash != before.Hash {
		t.Errorf("the new cluster's data changed: %v, %v, %v", before, after, err)
	}
}

// TestRebuildKilled kills the operator at boundaries of the journal, one after another, and resumes: the originals are
// what they were all the way, and the end is the same. The long suite takes every boundary.
func TestRebuildKilled(t *testing.T) {
	t.Parallel()
	killedAt(t, 8)
}

func TestLongRebuildKilled(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	killedAt(t, 1000)
}

func killedAt(t *testing.T, most int) {
	t.Helper()
	seedOf := rand.Uint64()
	t.Logf("seed %d", seedOf)
	l := newLab(t, clustertest.Options{Size: 2})
	stop := l.load(t, seedOf)
	l.acknowledgedAtLeast(t, 100)
	l.killAll(t)
	entries := stop()
	before := l.originals(t)
	t.Cleanup(func() { l.stopNew(t) })
	o := l.order(t, "m1", "m2")
	plan, _, err := o.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for _, s := range plan.Steps {
		for _, at := range []string{"before-intent:", "before-act:", "after-act:", "before-done:", "after-done:"} {
			points = append(points, at+s.ID)
		}
	}
	random := rand.New(rand.NewPCG(seedOf, 2))
	for len(points) > most {
		i := random.IntN(len(points))
		points = append(points[:i], points[i+1:]...)
	}
	for _, point := range points {
		o.KillAt = point
		killed, err := o.operator(t)
		if err != nil {
			t.Fatalf("seed %d, to be killed at %s: %v", seedOf, point, err)
		}
		same(t, "killed at "+point, before, l.originals(t))
		if killed {
			o.Resume = true
		}
	}
	o.KillAt = ""
	if _, err := o.operator(t); err != nil && !strings.Contains(err.Error(), "no rebuild is unfinished") {
		t.Fatalf("seed %d: %v", seedOf, err)
	}
	fixture.Prove(t, l.Cluster, entries)
	same(t, "at the end", before, l.originals(t))
}
