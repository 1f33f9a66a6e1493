package health_test

import (
	"testing"
	"time"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/network"
	"github.com/etcdops/etcdops/ops"
)

// TestBlackHole asks an address that swallows every packet, as behind a firewall that drops: it is told as that, with a
// code of its own, apart from what is hung or refused.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	url := "http://" + network.FullBacklog(t)
	r := lookFor(clustertest.Context(t, limit), t, at(url), 500*time.Millisecond)
	if len(r.Strays) != 1 || r.Strays[0].State != health.StateUnreachable || r.Strays[0].Code != ops.CodeNoAnswer {
		t.Errorf("%+v", r.Strays)
	}
	if class, _ := r.Class(false); class != ops.ClassUnreachable {
		t.Errorf("class %v", class)
	}
	if f := found(r, "reachability"); len(f) != 1 || f[0].Next == "" {
		t.Errorf("%+v", f)
	}
}
