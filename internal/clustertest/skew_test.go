package clustertest_test

import (
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestLongSkew gives members wrong clocks; the cluster works all the same, and each shows its own time.
func TestLongSkew(t *testing.T) {
	t.Parallel()
	clustertest.Long(t)
	offsets := []time.Duration{0, 2500 * time.Millisecond, -700 * time.Millisecond}
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true, Skew: offsets})
	ctx := clustertest.Context(t, time.Minute)
	see := func() {
		t.Helper()
		for i, m := range c.Members {
			seen, within, err := m.Skew(ctx, t)
			if err != nil || (seen-offsets[i]).Abs() > within {
				t.Errorf("the clock of %s is off by %v +-%v, %v; wanted %v", m.Name, seen, within, err, offsets[i])
			}
		}
	}
	see()
	if err := put(ctx, c.Client(t), 10*time.Second); err != nil {
		t.Error(err)
	}
	offsets[0], offsets[1] = -10*time.Minute, 0
	c.Members[0].SetSkew(t, offsets[0]) // steps while it runs
	c.Members[1].Stop(t)
	c.Members[1].SetSkew(t, offsets[1])
	c.Members[1].Start(t)
	see()
}
