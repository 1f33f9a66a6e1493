package rebuildtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// TestFaultMajorityComesBack lets a majority of the old cluster start again in the middle of a rebuild: that is noticed
// before anything of the old cluster is changed, and the cluster that came back has all its data.
func TestFaultMajorityComesBack(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	l, entries := crashed(t, clustertest.Options{Size: 3}, 50)
	o := l.order(t, "m1", "m2", "m3")
	o.at = func(point string) {
		if point != "before-look:restore" {
			return
		}
		for _, name := range []string{"m1", "m2"} {
			l.Member(t, name).Launch(t)
		}
		l.WaitLeader(t, l.Members[:2]...)
	}
	err := o.run(t.Context())
	if err == nil || ops.CodeOf(err) != recovery.CodeStopped || !strings.Contains(err.Error(), "the old cluster works again") {
		t.Fatalf("a majority came back: %v", err)
	}
	l.Member(t, "m3").Launch(t)
	l.WaitLeader(t, l.Members...)
	fixture.Prove(t, l.Cluster, entries)
}

// TestFaultRebuildKilledInside kills the operator while it copies, seals, restores and renames, and resumes: the originals are
// what they were all the way.
func TestFaultRebuildKilledInside(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 2})
	ctx := clustertest.Context(t, 3*time.Minute)
	client := l.Client(t)
	for i := range 40 { // so that copying takes some time
		if _, err := client.Put(ctx, "big/"+string(rune('a'+i)), strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	stop := l.load(t, 1)
	l.acknowledgedAtLeast(t, 50)
	l.killAll(t)
	entries := stop()
	before := l.originals(t)
	t.Cleanup(func() { l.stopNew(t) })
	o := l.order(t, "m1", "m2")
	// Each is killed when the first of these is there; the second one stays, so that no look comes too late.
	for _, parts := range [][]string{
		{".work/replica.partial/member/snap/db", ".work/replica"},
		{".work/wal.partial", ".work/replica/member/wal"},
		{".work/staged.partial", ".work/staged"},
		{".work/staged", ""},
		{""},
	} {
		o.killedWhen(t, l, parts)
		same(t, "killed in "+parts[0], before, l.originals(t))
		o.Resume = true
	}
	if _, err := o.operator(t); err != nil {
		t.Fatal(err)
	}
	fixture.Prove(t, l.Cluster, entries)
	same(t, "at the end", before, l.originals(t))
}

// killedWhen runs the operator and kills it when one of these files appears beside a data directory; "" is a directory that
// is set aside.
func (o order) killedWhen(t *testing.T, l *lab, parts []string) {
	t.Helper()
	cmd := o.command(t)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for !slices.ContainsFunc(parts, func(part string) bool { return l.beside(t, part) }) {
		select {
		case err := <-ended:
			t.Fatalf("the operator ended before %q was there: %v: %s", parts, err, said.String())
		case <-tick.C:
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Fatal("it was killed, and ended well")
	}
}

// beside looks for what a rebuild leaves beside the data directories.
func (l *lab) beside(t *testing.T, part string) bool {
	t.Helper()
	for _, m := range l.Members {
		found, err := filepath.Glob(m.DataDir + ".etcdops-*" + part)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if part != "" || !strings.Contains(path, ".work") {
				return true
			}
		}
	}
	return false
}

// TestFaultRebuildLargeFleets rebuilds fleets of five and seven of as few directories as are enough.
func TestFaultRebuildLargeFleets(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	for size, names := range map[int][]string{5: {"m2", "m3", "m5"}, 7: {"m1", "m4", "m6", "m7"}} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			l, entries := crashed(t, clustertest.Options{Size: size}, 100)
			for _, m := range l.Members {
				if !strings.Contains(strings.Join(names, " "), m.Name) {
					m.Wipe(t)
				}
			}
			o := l.order(t, names...)
			plan, _, err := o.plan(t.Context())
			if err != nil || !plan.Rebuild.Verdict.Complete {
				t.Fatalf("%v: %v", names, err)
			}
			fewer, _, err := l.order(t, names[1:]...).plan(t.Context())
			if err != nil || fewer.Rebuild.Verdict.Complete {
				t.Fatalf("%v are called complete, or not planned: %v", names[1:], err)
			}
			if err := o.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.stopNew(t) })
			fixture.Prove(t, l.Cluster, entries)
			list, err := l.Members[0].Client(t).MemberList(clustertest.Context(t, time.Minute))
			if err != nil || len(list.Members) != size {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
}

// TestRebuildSeparateLog rebuilds a member whose log has a directory of its own: both are set aside, and the new log is in
// the log's place.
func TestRebuildSeparateLog(t *testing.T) {
	t.Parallel()
	wal := filepath.Join(t.TempDir(), "wal")
	l, entries := crashed(t, clustertest.Options{Size: 1, Args: []string{"--wal-dir=" + wal}}, 50)
	before := checksums(t, wal)
	o := l.order(t, "m1")
	o.Sources[0].WALDir = wal
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	fixture.Prove(t, l.Cluster, entries)
	asides, err := filepath.Glob(wal + ".etcdops-*")
	if err != nil || len(asides) != 1 {
		t.Fatalf("%v, %v", asides, err)
	}
	same(t, "set aside", map[string]map[string]string{"m1": before}, map[string]map[string]string{"m1": checksums(t, asides[0])})
	if now := checksums(t, wal); len(now) == 0 {
		t.Error("the new log is not in its directory")
	}
	if _, err := os.Stat(filepath.Join(l.Members[0].DataDir, "member", "wal")); err == nil {
		t.Error("there is a second log in the data directory")
	}
}

// TestFaultPendingSnapshot rebuilds of a member that ended between the arrival of a database from its leader and the moment
// that it took the old one's place: the new one counts.
func TestFaultPendingSnapshot(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	l, entries := crashed(t, clustertest.Options{Size: 1, Args: []string{"--snapshot-count=20"}}, 10)
	snap := filepath.Join(l.Members[0].DataDir, "member", "snap")
	old, err := os.ReadFile(filepath.Join(snap, "db"))
	if err != nil {
		t.Fatal(err)
	}
	l.Members[0].Start(t)
	const late = 200
	ctx := clustertest.Context(t, 2*time.Minute)
	for i := range late {
		if _, err := l.Client(t).Put(ctx, fmt.Sprintf("late/%d", i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	l.Members[0].Stop(t)
	newest := newestSnapshot(t, snap)
	err = os.Rename(filepath.Join(snap, "db"), filepath.Join(snap, newest+".snap.db"))
	if err == nil {
		err = os.WriteFile(filepath.Join(snap, "db"), old, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	info, err := inspector{}.Inspect(t.Context(), l.Members[0].DataDir, datadir.Options{})
	if err != nil || info.DB == nil || !strings.HasSuffix(info.DB.File, ".snap.db") {
		t.Fatalf("%+v, %v", info.DB, err)
	}
	if err := l.order(t, "m1").run(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	fixture.Prove(t, l.Cluster, entries)
	got, err := l.Client(t).Get(ctx, "late/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || got.Count != late {
		t.Errorf("%+v, %v", got, err)
	}
}

// newestSnapshot is the index of the newest raft snapshot, as file names have it.
func newestSnapshot(t *testing.T, snap string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(snap, "*.snap"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	_, index, _ := strings.Cut(strings.TrimSuffix(filepath.Base(files[len(files)-1]), ".snap"), "-")
	return index
}
