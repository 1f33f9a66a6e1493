package pitr_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// hintOf is what an error tells to do next.
func hintOf(err error) string {
	if hint, ok := errors.AsType[*ops.HintError](err); ok {
		return hint.Hint
	}
	return ""
}

// TestDownPastACompaction stops the archiver, compacts what it has not read, and starts it: the gap is told, a new timeline
// begins, and the gap alone cannot be restored.
func TestDownPastACompaction(t *testing.T) {
	t.Parallel()
	s := newSite(t, clustertest.Options{})
	r := rand.New(rand.NewPCG(1, 2))
	a := s.archive(t)
	first := load(t, s.client, r, 30)
	a.until(t, "it is archived", func(p archive.Progress) bool { return p.Archived >= first })
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	last := load(t, s.client, r, 60)
	if _, err := s.client.Compact(clustertest.Context(t, time.Minute), last, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	a = s.archive(t)
	a.until(t, "a new timeline begins", func(p archive.Progress) bool { return p.Gaps == 1 && p.Timelines == 1 })
	if !a.saw(archive.EventGap) {
		t.Error("the gap was not told")
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	f := s.facts(t)
	_, err := pitr.Plans(f, (first+last)/2, "")
	if near := fmt.Sprintf("before it %d, after it %d", first, last); ops.CodeOf(err) != pitr.CodeNoPoint || !strings.Contains(hintOf(err), near) {
		t.Errorf("revision %d, in the gap from %d to %d: %v (%s), want %q", (first+last)/2, first, last, err, hintOf(err), near)
	}
	for _, revision := range []int64{first, last} {
		if _, err := pitr.Plans(f, revision, ""); err != nil {
			t.Errorf("revision %d: %v", revision, err)
		}
	}
}

// TestTwoArchivers lets two work at once, stops and starts them: one history, and every point right.
func TestTwoArchivers(t *testing.T) {
	t.Parallel()
	s := newSite(t, clustertest.Options{Size: 3})
	r := rand.New(rand.NewPCG(3, 4))
	a := s.archive(t)
	last := load(t, s.client, r, 20)
	a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= last })
	b := s.archive(t)
	var want []point
	for i := range 4 {
		if i == 2 {
			s.WaitLeader(t, s.Members...).Restart(t)
		}
		last = load(t, s.client, r, 30)
		want = append(want, s.hashAt(t, last))
		if i%2 == 0 {
			if err := a.stop(); err != nil {
				t.Fatal(err)
			}
			a, b = b, s.archive(t)
		}
	}
	for _, x := range []*running{a, b} {
		x.until(t, "all is archived", func(p archive.Progress) bool { return p.Archived >= last })
		if err := x.stop(); err != nil {
			t.Fatal(err)
		}
	}
	f := s.facts(t)
	if len(f.Timelines) != 1 || f.Timelines[0].Fork != 0 || f.Timelines[0].Last < last {
		t.Fatalf("%d timelines, %+v", len(f.Timelines), f.Timelines[0])
	}
	for _, p := range want {
		file, _ := s.restore(t, p.revision)
		if sum := hashOf(t, file, p); sum != p.hash {
			t.Errorf("revision %d: hash %08x, the member had %08x", p.revision, sum, p.hash)
		}
	}
}

// TestLongArchiverSurvivesKills kills `backup archive` twenty times at moments drawn by lot while the cluster is written to: in
// the end there is one dense chain, and what is restored from it has the member's hash.
func TestLongArchiverSurvivesKills(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	s := newSite(t, clustertest.Options{})
	program := filepath.Join(t.TempDir(), "etcdops")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/etcdops")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	home := t.TempDir()
	start := func() (kill func()) {
		cmd := exec.CommandContext(t.Context(), program, "backup", "archive", "--elect=false", "--seal-after", "20ms",
			"--endpoints", s.Endpoints()[0], "--repo", s.directory(t).Path(), "--spool", s.spool)
		cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, clustertest.RunEnv()...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	var last int64
	var want []point
	reached := func() bool {
		f := s.facts(t)
		n := len(f.Timelines)
		return n > 0 && f.Timelines[n-1].Last >= last
	}
	ctx := clustertest.Context(t, 4*time.Minute)
	await := func() {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for !reached() {
			select {
			case <-ctx.Done():
				t.Fatalf("seed %d: the archive never reached revision %d", seed, last)
			case <-tick.C:
			}
		}
	}
	// How long a run takes here until it archives: kills come before and after that.
	begun := time.Now()
	kill := start()
	last = load(t, s.client, r, 3)
	await()
	begins := s.facts(t).Timelines[0].After
	last = load(t, s.client, r, 3)
	await()
	whole := time.Since(begun)
	kill()
	for range 20 {
		kill := start()
		timer := time.NewTimer(time.Duration(r.Int64N(int64(2 * whole))))
		for running := true; running; {
			last = load(t, s.client, r, 3)
			select {
			case <-timer.C:
				running = false
			default:
			}
		}
		kill()
		if len(want) < 5 || r.IntN(4) == 0 {
			want = append(want, s.hashAt(t, last))
		}
	}
	defer start()()
	await()
	f := s.facts(t)
	if len(f.Timelines) != 1 || f.Timelines[0].Fork != 0 {
		t.Fatalf("seed %d: %d timelines, %+v", seed, len(f.Timelines), f.Timelines[0])
	}
	got, err := archive.Check(ctx, s.repo.Store(), f.Cluster, archive.CheckOptions{Level: backup.LevelData})
	if err != nil || len(got.Problems) > 0 || got.Segments == 0 {
		t.Fatalf("seed %d: %+v, %v", seed, got, err)
	}
	for _, p := range want {
		if p.revision < begins {
			t.Fatalf("seed %d: revision %d was made before the archive began at %d", seed, p.revision, begins)
		}
		file, _ := s.restore(t, p.revision)
		if sum := hashOf(t, file, p); sum != p.hash {
			t.Errorf("seed %d: revision %d: hash %08x, the member had %08x", seed, p.revision, sum, p.hash)
		}
	}
}
