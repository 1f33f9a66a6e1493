package server

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, budget uint64
		want         int
	}{
		{0, 512 * mib, 400},
		{20 * mib, 512 * mib, 400},
		{128 * mib, 512 * mib, 400},
		{200 * mib, 512 * mib, 250},
		{300 * mib, 512 * mib, 150},
		{512 * mib, 512 * mib, 100},
		{4096 * mib, 512 * mib, 100}, // never more often than Go's default
	} {
		if got := gcPercent(c.live, c.budget); got != c.want {
			t.Errorf("gcPercent(%d MiB, %d MiB) = %d, want %d", c.live/mib, c.budget/mib, got, c.want)
		}
	}
}

// collector reads the process's settings of the collector, and restores them at the end of the test.
func collector(t *testing.T) (percent func() uint64, memoryLimit func() uint64) {
	t.Helper()
	read := func(name string) uint64 {
		sample := []metrics.Sample{{Name: name}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	percent = func() uint64 { return read("/gc/gogc:percent") }
	memoryLimit = func() uint64 { return read("/gc/gomemlimit:bytes") }
	oldPercent, oldLimit := percent(), memoryLimit()
	t.Cleanup(func() {
		debug.SetGCPercent(int(oldPercent))
		debug.SetMemoryLimit(int64(oldLimit))
	})
	return percent, memoryLimit
}

func TestTuneMemory(t *testing.T) {
	percent, memoryLimit := collector(t)
	const untouchedPercent, untouchedLimit = 77, 1 << 40
	for name, c := range map[string]struct {
		additions   Additions
		environ     []string
		wantPercent uint64
		wantLimit   uint64 // 0: derived from the machine
	}{
		"default":         {Additions{}, nil, 400, 0},
		"GOGC stays":      {Additions{}, []string{"GOGC=50"}, untouchedPercent, 0},
		"GOMEMLIMIT too":  {Additions{}, []string{"GOMEMLIMIT=1GiB"}, 400, untouchedLimit},
		"flags win":       {Additions{GCPercent: 150, MemoryLimit: 1 << 30}, []string{"GOGC=50", "GOMEMLIMIT=2GiB"}, 150, 1 << 30},
		"both off":        {Additions{GCPercent: Off, MemoryLimit: Off}, nil, math.MaxUint64, math.MaxInt64},
		"only one chosen": {Additions{GCPercent: 200}, nil, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if availableMemory() == 0 {
				t.Skip("the size of the memory is unknown here")
			}
			debug.SetGCPercent(untouchedPercent)
			debug.SetMemoryLimit(untouchedLimit)
			TuneMemory(t.Context(), c.additions, c.environ)
			wait := time.After(limit)
			for percent() != c.wantPercent { // adapting starts beside
				select {
				case <-wait:
					t.Fatalf("percent is %d, want %d", percent(), c.wantPercent)
				default:
				}
			}
			want := c.wantLimit
			if want == 0 {
				want = uint64(float64(availableMemory()) * limitShare)
			}
			if got := memoryLimit(); got != want {
				t.Errorf("limit is %d, want %d", got, want)
			}
		})
	}
}
