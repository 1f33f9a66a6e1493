package rebuildtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestNoRoomToCarry: the data are on another machine than the one on which the new cluster is to begin, and its disk is too small
// for them. That is refused before anything is stopped or written; on a disk that is large enough it is planned.
func TestNoRoomToCarry(t *testing.T) {
	t.Parallel()
	mayMount(t)
	l, _ := crashed(t, clustertest.Options{Size: 1}, 50)
	sources := l.sources(t, "m1")
	for i := range sources {
		sources[i].Via = "ssh:elsewhere"
	}
	before := checksums(t, l.Members[0].DataDir)
	for size, want := range map[string]ops.Code{"size=150m": recovery.CodeDiskSmall, "size=1g": ""} {
		dir := t.TempDir()
		if err := unix.Mount("none", dir, "tmpfs", 0, size); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
		old := l.Members[0].DataDir
		l.Members[0].DataDir = filepath.Join(dir, "m1")
		l.writeSpec(t, l.Members[0])
		l.Members[0].DataDir = old
		o := l.order(t)
		o.Sources = sources
		req, err := o.request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		req.Remote = map[string]recovery.Workshop{"ssh:elsewhere": recovery.Bench{Inspector: inspector{}}}
		facts, err := recovery.CollectRebuild(t.Context(), inspector{}, req)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		plan, err := recovery.PlanRebuild(facts, recovery.RebuildOptions{Now: now, Operation: recovery.NewOperation(now)})
		if ops.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", size, err, want)
		}
		if want == "" && err == nil && plan.Steps[1].Kind != recovery.StepCarry {
			t.Errorf("the plan carries nothing: %+v", plan.Steps)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left there: %v %v", size, left, err)
		}
	}
	same(t, "afterwards", map[string]map[string]string{"m1": before}, map[string]map[string]string{"m1": checksums(t, l.Members[0].DataDir)})
}
