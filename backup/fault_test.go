package backup_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestLongCreateSurvivesKills kills `backup create` at moments drawn by lot: what is listed is whole, the next run goes
// well, and the debris is swept.
func TestLongCreateSurvivesKills(t *testing.T) {
	clustertest.Long(t)
	program := buildProgram(t)
	l := newLab(t, clustertest.Options{})
	l.put(t, 300, 100_000)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 5))
	home := t.TempDir()
	run := func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, program, "backup", "create", "--quiet", "--endpoints", l.Endpoints()[0], "--repo", l.store.Path(), "--spool", l.spool)
		cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}, clustertest.RunEnv()...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	begin := time.Now()
	if err := run(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(begin)
	killed, finished := 0, 1
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(whole)+int64(whole)/4)))
		if err := run(ctx); err != nil {
			killed++
		} else {
			finished++
		}
		cancel()
		list, err := l.repo.List(t.Context())
		if err != nil || len(list) < finished || len(list) > finished+killed {
			t.Fatalf("seed %d: %d backups are listed of %d, %v", seed, len(list), finished, err)
		}
		finished = len(list) // a run that was killed after its manifest was written has made one
		for _, e := range list {
			if _, err := l.repo.Verify(t.Context(), e, backup.VerifyOptions{Level: backup.LevelStored}); err != nil {
				t.Fatalf("seed %d: a backup that is listed: %v", seed, err)
			}
		}
	}
	if killed < 10 {
		t.Errorf("only %d runs of 50 were killed in time", killed)
	}
	if err := run(t.Context()); err != nil {
		t.Errorf("the run after all kills: %v", err)
	}
	if left, err := os.ReadDir(l.spool); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
	if err := l.repo.SweepDebris(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	list, err := l.repo.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parts := 0
	for _, e := range list {
		parts += len(e.Manifest.Parts) + 1
	}
	objects, err := l.store.List(t.Context(), "c/")
	if err != nil || len(objects) != parts {
		t.Errorf("%d objects for %d backups of %d, %v", len(objects), len(list), parts, err)
	}
	if temp, err := os.ReadDir(filepath.Join(l.store.Path(), ".tmp")); err != nil || len(temp) > 0 {
		t.Errorf("left in the store: %v, %v", temp, err)
	}
	t.Logf("%d killed, %d backups", killed, len(list))
}

// buildProgram builds etcdops.
func buildProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "etcdops")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../cmd/etcdops")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// TestSlowStoreDoesNotSlowTheStream has the store take its time: the member is done with its snapshot long before.
func TestSlowStoreDoesNotSlowTheStream(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 20, 100_000)
	log := func() bool { return strings.Contains(l.Members[0].Log(t), "successfully sent database snapshot") }
	seen := make(chan bool, 1)
	slow := stalling{l.store, func() {
		select {
		case seen <- log():
		default:
		}
	}}
	repo, err := backup.OpenRepository(t.Context(), slow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Create(clustertest.Context(t, time.Minute), l.conn, backup.CreateOptions{SpoolDir: l.spool}); err != nil {
		t.Fatal(err)
	}
	if !<-seen {
		t.Error("the first part was put before the member had sent its snapshot")
	}
}

// stalling tells of each part before it is put.
type stalling struct {
	backup.Store
	before func()
}

// Put implements backup.Store.
func (s stalling) Put(ctx context.Context, name string, body backup.Body) error {
	s.before()
	return s.Store.Put(ctx, name, body)
}

// TestReadOnlyRepositoryCanBeReadFrom lists, verifies and restores where nothing can be written.
func TestReadOnlyRepositoryCanBeReadFrom(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 5, 10)
	m := l.create(t, backup.CreateOptions{})
	repo, err := backup.OpenRepository(t.Context(), readOnly{l.store})
	if err != nil {
		t.Fatal(err)
	}
	e, err := repo.Find(t.Context(), "latest")
	if err != nil || e.ID != m.ID {
		t.Fatal(e.ID, err)
	}
	if level, err := repo.Verify(t.Context(), e, backup.VerifyOptions{Level: backup.LevelData, SpoolDir: l.spool}); level != backup.LevelData || err != nil {
		t.Errorf("level %v, %v", level, err)
	}
	if _, err := repo.Create(t.Context(), l.conn, backup.CreateOptions{SpoolDir: l.spool}); err == nil {
		t.Error("a backup was written")
	}
}

type readOnly struct{ *dirstore.Store }

// Put implements backup.Store.
func (readOnly) Put(context.Context, string, backup.Body) error { return os.ErrPermission }
