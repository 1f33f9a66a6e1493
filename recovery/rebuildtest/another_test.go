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

// TestFaultOldClusterTakesThePlace: while a rebuild is stopped half-way, somebody puts the first member's old directory back and
// starts a majority of the old cluster. The run that resumes meets that at the new member's address: it must neither take it for
// its own nor set a directory aside whose member is registered there.
func TestFaultOldClusterTakesThePlace(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	l, entries := crashed(t, clustertest.Options{Size: 3}, 50)
	o := l.order(t, "m1", "m2", "m3")
	plan, _, err := o.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host := l.Member(t, plan.Rebuild.Members[0].Name)
	second, third := l.Member(t, plan.Rebuild.Members[1].Name), l.Member(t, plan.Rebuild.Members[2].Name)
	o.KillAt = "before-look:set-aside:" + second.Name
	if killed, err := o.operator(t); !killed {
		t.Fatalf("not killed: %v", err)
	}
	t.Cleanup(func() { l.stopNew(t) })
	l.stopNew(t)
	asides, err := filepath.Glob(host.DataDir + ".etcdops-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, aside := range asides {
		if filepath.Ext(aside) == ".work" {
			continue
		}
		if err := os.Rename(host.DataDir, host.DataDir+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(aside, host.DataDir); err != nil {
			t.Fatal(err)
		}
	}
	host.Launch(t)
	third.Launch(t)
	l.WaitLeader(t, host, third)
	before := checksums(t, second.DataDir)
	o.KillAt, o.Resume = "", true
	if err := o.run(t.Context()); ops.CodeOf(err) != recovery.CodeStopped {
		t.Errorf("resumed: %v", err)
	}
	same(t, "after it", map[string]map[string]string{"m": before}, map[string]map[string]string{"m": checksums(t, second.DataDir)})
	second.Launch(t)
	l.WaitLeader(t, l.Members...)
	fixture.Prove(t, l.Cluster, entries)
}
