package clock

import (
	"context"
	"sync"
	"time"
)

// patience is how long clocks that are ready wait for others: what is read at one time can be compared best, but a
// member that hangs must not hold the others up.
const patience = 50 * time.Millisecond

// gate lets all clocks be read at the same time.
type gate struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
}

func newGate(parties int) *gate {
	g := &gate{missing: parties, open: make(chan struct{})}
	if parties == 0 {
		close(g.open)
	}
	return g
}

// parties counts the sources that are read in step: not those that take seconds.
func (o Options) parties(targets []Target) int {
	n := 0
	for _, t := range targets {
		switch {
		case t.Absent != "":
		case o.Sources == nil && o.Quick:
			n++
		case o.Sources == nil:
			n += 2
		default:
			for _, kind := range o.Sources {
				if inStep(kind) {
					n++
				}
			}
		}
	}
	return n
}

func inStep(kind Kind) bool { return kind == KindServe || kind == KindProbing }

// party returns what a source calls once it is ready, or has failed; only the first call counts.
func (g *gate) party(kind Kind) (arrive func()) {
	if !inStep(kind) {
		return func() {}
	}
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.missing--; g.missing == 0 {
			close(g.open)
		}
	})
}

// wait returns when all are there, or patience is at its end.
func (g *gate) wait(ctx context.Context) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-g.open:
	case <-timer.C:
	case <-ctx.Done():
	}
}
