package backup_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// prune is a run of it at a time.
func (l *lab) prune(t *testing.T, p backup.Policy, now time.Time) {
	t.Helper()
	plan, err := l.repo.PlanPrune(t.Context(), p, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.repo.ApplyPrune(t.Context(), plan, now); err != nil {
		t.Fatal(err)
	}
}

// ids lists the backups that are there.
func (l *lab) ids(t *testing.T) (out []backup.ID) {
	t.Helper()
	list, err := l.repo.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

// target is where a member of a cluster of one is restored to.
func target(dir string) memberdir.Options {
	return memberdir.Options{Dir: dir, Name: "m", PeerURLs: []string{"http://127.0.0.1:1"}, InitialCluster: "m=http://127.0.0.1:1", Token: "t"}
}

// TestPruneDuringARestore prunes while a backup that is due to go is being restored: that one stays until the restore is done.
func TestPruneDuringARestore(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 10, 1000)
	var all []backup.ID
	for range 3 {
		all = append(all, l.create(t, backup.CreateOptions{}).ID)
	}
	policy, now := backup.Policy{Last: 1, Force: true}, time.Now()
	l.prune(t, policy, now) // marks the first two
	var once sync.Once
	_, err := l.repo.Restore(clustertest.Context(t, time.Minute), l.find(t, all[0]), backup.RestoreOptions{
		Targets: []memberdir.Options{target(filepath.Join(t.TempDir(), "m"))},
		Progress: func(backup.Progress) {
			once.Do(func() {
				l.prune(t, policy, now.Add(25*time.Hour))
				if left := l.ids(t); !slices.Contains(left, all[0]) || slices.Contains(left, all[1]) {
					t.Errorf("during the restore of %s there are %s left of %s", all[0], left, all)
				}
			})
		},
	})
	if err != nil {
		t.Error(err)
	}
	l.prune(t, policy, now.Add(50*time.Hour))
	l.prune(t, policy, now.Add(75*time.Hour))
	if left := l.ids(t); !slices.Equal(left, all[2:]) {
		t.Errorf("after it there are %s left of %s", left, all)
	}
}

// TestAWeekOfFailingUploads prunes every day of a week in which no backup could be stored: what is there in its beginning is
// there at its end, under every rule.
func TestAWeekOfFailingUploads(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 10, 1000)
	begin := time.Now()
	for i := range 4 {
		at := begin.Add(time.Duration(i-4) * time.Hour)
		l.create(t, backup.CreateOptions{Now: func() time.Time { return at }})
	}
	policy := backup.Policy{Hourly: 4, Daily: 2, Window: 2 * time.Hour}
	want := l.ids(t)
	broken, err := backup.OpenRepository(t.Context(), failing{l.store, "part.000"})
	if err != nil {
		t.Fatal(err)
	}
	for day := range 8 {
		at := begin.Add(time.Duration(day) * 24 * time.Hour)
		if _, err := broken.Create(clustertest.Context(t, time.Minute), l.conn, backup.CreateOptions{SpoolDir: l.spool, Now: func() time.Time { return at }}); ops.CodeOf(err) != backup.CodeStore {
			t.Fatalf("day %d: %v", day, err)
		}
		l.prune(t, policy, at)
	}
	if got := l.ids(t); !slices.Equal(got, want) {
		t.Errorf("left %s of %s", got, want)
	}
}

// TestFullClusterIsWritableAfterARestore backs up a cluster that has raised NOSPACE. The alarm does not come back with the
// data. The directory of a running member is refused, and so is a link to a directory.
func TestFullClusterIsWritableAfterARestore(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Args: []string{"--quota-backend-bytes", "4194304"}})
	client := l.Client(t)
	for i := 0; ; i++ {
		_, err := client.Put(clustertest.Context(t, 20*time.Second), fmt.Sprintf("/fill/%d", i), strings.Repeat("x", 200_000))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			break
		}
		if err != nil || i > 1000 {
			t.Fatal(i, err)
		}
	}
	e := l.find(t, l.create(t, backup.CreateOptions{}).ID)
	for name, dir := range map[string]string{"a running member's": l.Members[0].DataDir, "a link's": filepath.Join(t.TempDir(), "link")} {
		if name == "a link's" {
			if err := os.Symlink(t.TempDir(), dir); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.repo.Restore(t.Context(), e, backup.RestoreOptions{Targets: []memberdir.Options{target(dir)}}); ops.CodeOf(err) != backup.CodeTargetExists {
			t.Errorf("%s directory: %v", name, err)
		}
	}
	if _, err := client.Get(clustertest.Context(t, 20*time.Second), "/fill/0"); err != nil {
		t.Errorf("the running member: %v", err)
	}
	next := clustertest.NewUnstarted(t, clustertest.Options{})
	m := next.Members[0]
	restored := memberdir.Options{Dir: m.DataDir, Name: m.Name, PeerURLs: []string{m.PeerURL}, InitialCluster: m.InitialCluster, Token: "restored"}
	if _, err := l.repo.Restore(t.Context(), e, backup.RestoreOptions{Targets: []memberdir.Options{restored}}); err != nil {
		t.Fatal(err)
	}
	next.Start(t)
	client = next.Client(t)
	if _, err := client.Put(clustertest.Context(t, 20*time.Second), "/new", "x"); err != nil {
		t.Errorf("write after the restore: %v", err)
	}
	if alarms, err := client.AlarmList(clustertest.Context(t, 20*time.Second)); err != nil || len(alarms.Alarms) > 0 {
		t.Errorf("alarms %v, %v", alarms, err)
	}
}
