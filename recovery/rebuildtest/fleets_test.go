package rebuildtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/clustertest/ledger"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// rebuilt kills a cluster under load and rebuilds it of the directories named.
func rebuilt(t *testing.T, l *lab, writes int64, names ...string) []ledger.Entry {
	t.Helper()
	stop := l.load(t, 1)
	l.acknowledgedAtLeast(t, writes)
	l.killAll(t)
	entries := stop()
	o := l.order(t, names...)
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	return entries
}

// TestRebuildOldVersion rebuilds a fleet of Debian's 3.4.23 with its own program.
func TestRebuildOldVersion(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("/usr/bin/etcd"); err != nil {
		t.Skip("no etcd 3.4 is installed: apt-get install etcd-server")
	}
	l := newLab(t, clustertest.Options{Size: 3, Kind: clustertest.KindEtcd34})
	fixture.Prove(t, l.Cluster, rebuilt(t, l, 150, "m1", "m3"))
	status, err := l.Members[0].Client(t).Status(clustertest.Context(t, time.Minute), l.Members[0].ClientURL)
	if err != nil || !strings.HasPrefix(status.Version, "3.4.") {
		t.Errorf("the new cluster runs %v, %v", status, err)
	}
}

// TestLongRebuildVersions rebuilds fleets of 3.5 and 3.6 with their own programs: of two directories, and of one, where
// the raised revision's hash must be what these versions compute.
func TestLongRebuildVersions(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd34, clustertest.KindEtcd35, clustertest.KindEtcd36} {
		for _, names := range [][]string{{"m1", "m3"}, {"m2"}} {
			t.Run(kind.String()+" of "+strings.Join(names, " "), func(t *testing.T) {
				t.Parallel()
				versionRebuilt(t, kind, names)
			})
		}
	}
}

func versionRebuilt(t *testing.T, kind clustertest.Kind, names []string) {
	t.Helper()
	l := newLab(t, clustertest.Options{Size: 3, Kind: kind})
	before, err := l.Members[0].Client(t).Status(clustertest.Context(t, time.Minute), l.Members[0].ClientURL)
	if err != nil {
		t.Fatal(err)
	}
	l.churn(t)
	entries := rebuilt(t, l, 100, names...)
	if len(names) > 1 {
		fixture.Prove(t, l.Cluster, entries)
	}
	after, err := l.Members[0].Client(t).Status(clustertest.Context(t, time.Minute), l.Members[0].ClientURL)
	if err != nil || after.Version != before.Version {
		t.Errorf("the new cluster runs %v, %v; the old one was of %s", after, err, before.Version)
	}
}

// churn writes, deletes and compacts, so that the history has holes.
func (l *lab) churn(t *testing.T) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	client := l.Client(t)
	for i := range 30 {
		key := fmt.Sprintf("churn/%d", i%7)
		put, err := client.Put(ctx, key, strconv.Itoa(i))
		if err == nil && i%3 == 0 {
			_, err = client.Delete(ctx, key)
		}
		if err == nil && i == 15 {
			_, err = client.Compact(ctx, put.Header.Revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestRebuildSecure rebuilds a cluster with mutual TLS and users: they and their rights survive, leases too.
func TestRebuildSecure(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3, TLS: true, Auth: &clustertest.Auth{}})
	ctx := clustertest.Context(t, 2*time.Minute)
	lease, err := l.Client(t).Grant(ctx, 3000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Client(t).Put(ctx, "leased", "v", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	fixture.Prove(t, l.Cluster, rebuilt(t, l, 100, "m2", "m3"))
	left, err := l.Client(t).TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	if err != nil || left.TTL < 2000 || len(left.Keys) != 1 {
		t.Errorf("the lease: %+v, %v", left, err)
	}
	users, err := l.Client(t).UserList(ctx)
	if err != nil || len(users.Users) < 2 {
		t.Errorf("the users: %v, %v", users, err)
	}
}

// TestRebuildNoSpace rebuilds a cluster that took no writes for lack of space: the new one takes them, also where only the
// log has the alarm, so that the plan does not know of it.
func TestRebuildNoSpace(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("known=%t", known), func(t *testing.T) {
			t.Parallel()
			noSpace(t, known)
		})
	}
}

func noSpace(t *testing.T, known bool) {
	t.Helper()
	l := newLab(t, clustertest.Options{Size: 1, Args: []string{"--quota-backend-bytes=2000000"}})
	ctx := clustertest.Context(t, time.Minute)
	client := l.Client(t)
	var err error
	for err == nil {
		_, err = client.Put(ctx, "big", strings.Repeat("x", 100_000))
	}
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatal(err)
	}
	got, err := client.Get(ctx, "big")
	if err == nil {
		_, err = client.Compact(ctx, got.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		t.Fatal(err)
	}
	l.killAll(t)
	o := l.order(t, "m1")
	if !known {
		o.change = func(p *recovery.Plan) error { p.Rebuild.Shrink = false; return p.Seal() }
	}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	if _, err := l.Client(t).Put(ctx, "small", "y"); err != nil {
		t.Errorf("a write after the rebuild: %v", err)
	}
}

// TestRebuildLossy rebuilds of one directory of three: the revision goes up, and a watcher is told to list again.
func TestRebuildLossy(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	l.churn(t)
	entries := rebuilt(t, l, 100, "m2")
	ctx := clustertest.Context(t, time.Minute)
	client := l.Client(t)
	got, err := client.Get(ctx, "ledger/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || got.Header.Revision < 1_000_000_000 || got.Count == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	var last int64
	for _, e := range entries {
		last = max(last, e.Revision)
	}
	r := <-client.Watch(ctx, "ledger/", clientv3.WithPrefix(), clientv3.WithRev(last))
	if !errors.Is(r.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from revision %d: %v, want that it is compacted", last, r.Err())
	}
}

// TestRebuildOfSnapshot rebuilds where no directory survived: everything up to the snapshot is there, nothing is told to be
// complete, and watchers list again.
func TestRebuildOfSnapshot(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	l.churn(t)
	stop := l.load(t, 1)
	l.acknowledgedAtLeast(t, 100)
	file := filepath.Join(t.TempDir(), "snapshot.db")
	saved, err := l.Members[1].Client(t).SnapshotWithVersion(clustertest.Context(t, time.Minute))
	if err == nil {
		err = save(saved.Snapshot, file)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.acknowledgedAtLeast(t, 200)
	l.killAll(t)
	entries := stop()
	for _, m := range l.Members {
		if err := os.Rename(m.DataDir, m.DataDir+".gone"); err != nil {
			t.Fatal(err)
		}
	}
	o := l.order(t)
	o.Sources = []recovery.Source{{Name: "snapshot.db", Path: file}}
	o.Members = []recovery.NewMember{{Name: "m1"}, {Name: "m2"}}
	delete(o.Specs, "m3")
	plan, _, err := o.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := plan.Rebuild.Verdict
	if v.Complete || v.FloorRevision < 100 || plan.Rebuild.Bump == 0 {
		t.Errorf("%+v", v)
	}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	l.keptUpTo(t, entries, v.FloorRevision)
}

func save(from io.ReadCloser, file string) error {
	f, err := os.Create(file)
	if err == nil {
		_, err = io.Copy(f, from)
	}
	return errors.Join(err, from.Close(), f.Close())
}

// keptUpTo holds a lossy rebuild against the ledger: all up to a revision is there, and watchers list again.
func (l *lab) keptUpTo(t *testing.T, entries []ledger.Entry, floor int64) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	client := l.Members[0].Client(t)
	report, err := ledger.Check(ctx, client, "ledger/", entries)
	if err != nil || len(report.Phantoms)+len(report.Undead) > 0 {
		t.Errorf("%s, %v", report, err)
	}
	for _, e := range report.Lost {
		if e.Revision <= floor {
			t.Errorf("a write of revision %d is lost, and the plan promised all up to %d", e.Revision, floor)
		}
	}
	if r := <-client.Watch(ctx, "ledger/", clientv3.WithPrefix(), clientv3.WithRev(floor)); !errors.Is(r.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from revision %d: %v, want that it is compacted", floor, r.Err())
	}
}

// TestRebuildElsewhere makes a smaller cluster, and refuses a machine that holds another cluster's data.
func TestRebuildElsewhere(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	if _, err := l.Client(t).Put(clustertest.Context(t, time.Minute), "k", "v"); err != nil {
		t.Fatal(err)
	}
	l.killAll(t)
	other := newLab(t, clustertest.Options{Size: 1})
	other.killAll(t)
	o := l.order(t, "m1", "m2", "m3")
	o.Members = []recovery.NewMember{{Name: "m1"}, {Name: "m2"}}
	o.Specs = map[string]string{"m1": l.specs["m1"], "m2": other.specs["m1"]}
	if err := o.run(t.Context()); ops.CodeOf(err) != recovery.CodeForeign {
		t.Errorf("a machine of another cluster: %v", err)
	}
	o.Specs["m2"] = l.specs["m2"]
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	list, err := l.Members[0].Client(t).MemberList(clustertest.Context(t, time.Minute))
	if err != nil || len(list.Members) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}
