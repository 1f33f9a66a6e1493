package rebuildtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestFaultAbandonRebuild gives a rebuild up, killed at boundaries before the new cluster ran: the old directories are there again, and
// the old cluster with every acknowledged write works on. Once the first member may have served, the rebuild
// can only be gone on with.
func TestFaultAbandonRebuild(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	l, entries := crashed(t, clustertest.Options{Size: 3}, 50)
	host := l.host(t)
	for _, at := range []string{"after-act:fence:m1", "after-act:copy", "before-act:switch:" + host, "after-act:switch:" + host, "before-look:seed:" + host} {
		o := l.order(t, "m1", "m2", "m3")
		o.KillAt = at
		if killed, err := o.operator(t); !killed {
			t.Fatalf("killed at %s: %v", at, err)
		}
		up := l.order(t)
		up.Abandon, up.KillAt = true, "after-act:put-back:"+host
		killed, err := up.operator(t)
		if err != nil {
			t.Fatalf("given up after %s: %v", at, err)
		}
		if killed { // while it gave up: only that can be gone on with
			resume := l.order(t)
			resume.Resume = true
			if err := resume.run(t.Context()); ops.CodeOf(err) != recovery.CodeStopped {
				t.Fatalf("resumed while it is given up: %v", err)
			}
			up.KillAt = ""
			if _, err := up.operator(t); err != nil {
				t.Fatalf("given up again after %s: %v", at, err)
			}
		}
		if left, err := filepath.Glob(l.Member(t, host).DataDir + ".etcdops-*.work"); err != nil || len(left) > 0 {
			t.Errorf("after %s: copies are left: %v %v", at, left, err)
		}
		for _, name := range []string{"m1", "m2", "m3"} {
			if _, err := os.Stat(l.specs[name] + ".masked"); err == nil {
				t.Errorf("after %s: %s is masked", at, name)
			}
		}
	}
	o := l.order(t, "m1", "m2", "m3")
	o.KillAt = "after-act:seed:" + host
	if killed, err := o.operator(t); !killed {
		t.Fatal(err)
	}
	up := l.order(t)
	up.Abandon = true
	if err := up.run(t.Context()); ops.CodeOf(err) != recovery.CodeNoWayBack {
		t.Errorf("given up after the new cluster ran: %v", err)
	}
	o.KillAt, o.Resume = "", true
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	fixture.Prove(t, l.Cluster, entries)
}

// TestAbandonRebuild: a majority comes back in the middle of a rebuild, after the switch; the rebuild is given up, and the old
// cluster works with all its members.
func TestAbandonRebuild(t *testing.T) {
	t.Parallel()
	l, entries := crashed(t, clustertest.Options{Size: 3}, 50)
	o := l.order(t, "m1", "m2", "m3")
	o.KillAt = "after-act:switch:" + l.host(t)
	if killed, err := o.operator(t); !killed {
		t.Fatal(err)
	}
	up := l.order(t)
	up.Abandon = true
	if err := up.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range l.Members {
		m.Launch(t)
	}
	l.WaitLeader(t, l.Members...)
	fixture.Prove(t, l.Cluster, entries)
}

// host is the member that a rebuild begins with: the one whose log is the longest.
func (l *lab) host(t *testing.T) string {
	t.Helper()
	plan, _, err := l.order(t, "m1", "m2", "m3").plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return plan.Rebuild.Members[0].Name
}
