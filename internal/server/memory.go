package server

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Bounds of what the collector is allowed without being told.
const (
	largestPercent  = 400         // 1.15 x the writes per second of Go's default of 100, for 95 MiB on a small store
	smallestPercent = 100         // Go's default: a big store is never collected more often than upstream's
	budgetShare     = 8           // at most an eighth of the memory may wait for collection beyond that
	limitShare      = 0.75        // of the memory, where collecting more often is better than being killed
	tunePeriod      = time.Second // between looks at the size of the heap
)

// TuneMemory sets the garbage collector of this process for a member: rarer collections while the heap is small next to
// the memory, Go's default as it grows, and a limit that keeps the process from being killed. GOGC and GOMEMLIMIT, where
// they are set, stay in force unless the additions name a value. It adapts until ctx ends.
func TuneMemory(ctx context.Context, a Additions, environ []string) {
	env := newEnvironment(environ)
	memory := availableMemory()
	switch {
	case a.MemoryLimit == Off:
		debug.SetMemoryLimit(math.MaxInt64)
	case a.MemoryLimit != Auto:
		debug.SetMemoryLimit(a.MemoryLimit)
	case env["GOMEMLIMIT"] == "" && memory > 0:
		debug.SetMemoryLimit(int64(float64(memory) * limitShare))
	}
	switch {
	case a.GCPercent == Off:
		debug.SetGCPercent(-1)
	case a.GCPercent != Auto:
		debug.SetGCPercent(int(a.GCPercent))
	case env["GOGC"] == "" && memory > 0:
		go adapt(ctx, memory/budgetShare)
	}
}

// adapt follows the size of the live heap.
func adapt(ctx context.Context, budget uint64) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticker := time.NewTicker(tunePeriod)
	defer ticker.Stop()
	for current := 0; ; {
		metrics.Read(live)
		if wanted := gcPercent(live[0].Value.Uint64(), budget); wanted != current {
			debug.SetGCPercent(wanted)
			current = wanted
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// gcPercent is the growth, in percent of the live bytes, that stays within the budget; in steps of 25, so that it changes
// seldom.
func gcPercent(live, budget uint64) int {
	if live == 0 || budget/live >= largestPercent/100 {
		return largestPercent
	}
	const step = 25
	return max(smallestPercent, int(budget*100/live)/step*step)
}
