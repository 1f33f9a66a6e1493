package ops_test

import (
	"testing"

	"github.com/etcdops/etcdops/ops"
)

func TestVotes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		total, healthy, quorum, tolerance, design int
	}{
		{0, 0, 1, -1, -1},
		{1, 1, 1, 0, 0},
		{2, 2, 2, 0, 0},
		{2, 1, 2, -1, 0},
		{3, 3, 2, 1, 1},
		{3, 1, 2, -1, 1},
		{4, 3, 3, 0, 1},
		{5, 5, 3, 2, 2},
		{6, 6, 4, 2, 2},
		{7, 4, 4, 0, 3},
		{9, 9, 5, 4, 4},
	} {
		v := ops.Votes{Total: tc.total, Healthy: tc.healthy}
		if v.Quorum() != tc.quorum || v.Tolerance() != tc.tolerance || v.Design() != tc.design {
			t.Errorf("%+v: quorum %d, tolerance %d, design %d, want %+v", v, v.Quorum(), v.Tolerance(), v.Design(), tc)
		}
		if v.HasQuorum() != (tc.tolerance >= 0) {
			t.Errorf("%+v: has quorum %v", v, v.HasQuorum())
		}
	}
}
