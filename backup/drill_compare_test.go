package backup

import (
	"testing"
	"time"
)

// TestDrillMissesLeases: a server that lost a lease does not pass, one whose lease may have run out meanwhile does.
func TestDrillMissesLeases(t *testing.T) {
	t.Parallel()
	m := &Manifest{Leases: []Lease{{ID: 1, TTL: 5}, {ID: 2, TTL: 3600}}, LeaseCount: 2}
	w := expected(m, Restored{Leases: []int64{3}})
	for name, tc := range map[string]struct {
		have []int64
		good bool
	}{
		"all":                             {[]int64{1, 2, 3}, true},
		"a short one ran out":             {[]int64{2, 3}, true},
		"a long one is gone":              {[]int64{1, 3}, false},
		"one that was made again is gone": {[]int64{1, 2}, false},
		"one too many":                    {[]int64{1, 2, 3, 4}, false},
	} {
		have := map[int64]bool{}
		for _, id := range tc.have {
			have[id] = true
		}
		if err := w.leasesMissing(have, time.Second); (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
