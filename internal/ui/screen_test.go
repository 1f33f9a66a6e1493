package ui_test

import (
	"testing"

	"github.com/etcdops/etcdops/internal/ui"
)

func TestSparkline(t *testing.T) {
	t.Parallel()
	v := func(f float64) *float64 { return &f }
	for _, tt := range []struct {
		values []*float64
		lo, hi float64
		want   string
	}{
		{nil, 0, 1, ""},
		{[]*float64{v(0), v(0.5), nil, v(1)}, 0, 1, "▁▅ █"},
		{[]*float64{v(-7), v(7)}, 0, 1, "▁█"},
		{[]*float64{v(3), v(3)}, 3, 3, "▁▁"},
	} {
		if got := ui.Sparkline(tt.values, tt.lo, tt.hi); got != tt.want {
			t.Errorf("%q, wanted %q", got, tt.want)
		}
	}
}

func TestRedraw(t *testing.T) {
	t.Parallel()
	if got, want := ui.Redraw("a\nb\n"), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"; got != want {
		t.Errorf("%q, wanted %q", got, want)
	}
}
