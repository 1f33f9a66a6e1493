package health_test

import (
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestLongFragmentation writes 240 MB to a member, deletes most of it and compacts: the file keeps its size, half of it
// and more is free, and that is told with the command that gives it back. After that command nothing is told.
func TestLongFragmentation(t *testing.T) {
	t.Parallel()
	clustertest.Long(t)
	c := clustertest.New(t, clustertest.Options{})
	m := c.Members[0]
	ctx, client := clustertest.Context(t, 4*limit), c.Client(t)
	value := strings.Repeat("x", 1<<20)
	for i := range 240 {
		if _, err := client.Put(ctx, fmt.Sprintf("k%03d", i), value); err != nil {
			t.Fatal(err)
		}
	}
	if r := look(t, at(m.ClientURL)); len(found(r, "backend.fragmentation")) > 0 {
		t.Errorf("full: %+v", found(r, "backend.fragmentation"))
	}
	resp, err := client.Delete(ctx, "k04", clientv3.WithRange("k9"))
	if err != nil || resp.Deleted != 200 {
		t.Fatalf("deleted %v, %v", resp, err)
	}
	if _, err := client.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	r := look(t, at(m.ClientURL))
	f := found(r, "backend.fragmentation")
	if len(f) != 1 || f[0].Severity != health.SeverityWarning || f[0].Member != m.Name || !strings.HasPrefix(f[0].Next, "etcdops defrag") {
		t.Fatalf("half empty: %+v", f)
	}
	if line := member(t, r, m.Name); line.Fragmented == nil || *line.Fragmented < 50 || *line.DBSize < 100<<20 {
		t.Errorf("%+v", line)
	}
	if _, err := client.Defragment(ctx, m.ClientURL); err != nil {
		t.Fatal(err)
	}
	if r := look(t, at(m.ClientURL)); len(found(r, "backend.fragmentation")) > 0 {
		t.Errorf("defragmented: %+v", found(r, "backend.fragmentation"))
	}
}
