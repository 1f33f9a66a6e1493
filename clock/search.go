package clock

import (
	"context"
	"time"
)

// A coarse clock tells most at the instant at which it goes to its next value. The first round finds that instant with
// questions spread over a whole quantum, the second with questions around where it then comes next.
const (
	spread    = 20                    // questions a round, at most
	overshoot = 20 * time.Millisecond // a round goes on past the place where the instant is expected
)

// search samples a coarse clock around two of its steps; first has been taken already. It ends early when ctx does, with
// what there is.
func search(ctx context.Context, r reader, w stopwatch, first Sample, bound time.Duration) ([]Sample, error) {
	out := []Sample{first}
	quantum := first.QuantumNS
	window := Interval{LoNS: w.now(), HiNS: w.now() + quantum + int64(overshoot)}
	for range 2 {
		found, err := sweep(ctx, r, w, window, bound)
		out = append(out, found...)
		if err != nil {
			return out, err
		}
		edge, ok := boundary(out)
		if !ok {
			return out, nil
		}
		// The clock may be slewed meanwhile: the window is a little wider than the edge was.
		margin := max(edge.width()/8, int64(time.Millisecond))
		window = Interval{LoNS: edge.LoNS - margin, HiNS: edge.HiNS + margin}
		for window.LoNS <= w.now() {
			window.LoNS, window.HiNS = window.LoNS+quantum, window.HiNS+quantum
		}
	}
	return out, nil
}

// sweep asks at even distances from the window's beginning until the clock has stepped or the window is over.
func sweep(ctx context.Context, r reader, w stopwatch, window Interval, bound time.Duration) ([]Sample, error) {
	var out []Sample
	gap := max(window.width()/spread, 1)
	for next := window.LoNS; ; next += gap {
		if now := w.now(); next < now {
			next = now // an answer took longer than the gap
		}
		if err := sleepUntil(ctx, w, next); err != nil {
			return out, err
		}
		s, err := ask(ctx, r, bound)
		if err != nil {
			return out, err
		}
		out = append(out, s)
		if len(out) > 1 && s.FirstNS > out[0].FirstNS || w.now() > window.HiNS {
			return out, nil
		}
	}
}

func sleepUntil(ctx context.Context, w stopwatch, when int64) error {
	timer := time.NewTimer(time.Duration(when - w.now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask makes one request, and gives up after bound.
func ask(ctx context.Context, r reader, bound time.Duration) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return r.read(ctx)
}
