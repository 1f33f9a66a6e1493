package main

import (
	"context"
	"errors"
	"time"
)

// meanWait is how long a single member waits before its first election with ticks of 100 ms, on average: one to ten ticks,
// drawn anew at each start (raft's randomized election timeout, of which the server skips all but the last tick of the
// certain part).
const meanWait = 5.5 * 100

func startToReady() experiment {
	const drawn, own, expected = "wall time as drawn", "without the wait", "wall time with the mean wait"
	return experiment{
		name: "start", title: "start to ready",
		about: "From the start of the program on an empty data directory, one member, to its first answer 200 on /readyz. Before its\n" +
			"first election a member waits 100 to 1,000 ms, drawn by lot at each start (*as drawn*). To compare programs and not lots,\n" +
			"they are started with a heartbeat of 1 ms too, which leaves hardly a wait (*without the wait*), and the mean wait of the\n" +
			"default is added to that: of this sum, a start on average, the bound must hold.",
		sides:   []string{sideEtcd, sideOps},
		metrics: []metric{{expected, "ms"}, {own, "ms"}, {drawn, "ms"}},
		bounds:  []bound{atMost(expected, sideOps, 1.1).times()},
		rounds:  31, warmups: 1,
		prepare: func(_ context.Context, l *lab) (measureFunc, error) {
			return func(ctx context.Context, side string) (sample, error) {
				short, err := l.startOnce(ctx, side, "--heartbeat-interval", "1", "--election-timeout", "10")
				if err != nil {
					return nil, err
				}
				long, err := l.startOnce(ctx, side)
				return sample{own: short, expected: short + meanWait, drawn: long}, err
			}, nil
		},
	}
}

// startOnce returns how many milliseconds one member took to be ready.
func (l *lab) startOnce(ctx context.Context, side string, flags ...string) (float64, error) {
	c, err := l.startCluster(ctx, side, 1, flags...)
	if err != nil {
		return 0, err
	}
	return milliseconds(c.members[0].readyTook), c.stop()
}

func idleMemory() experiment {
	const idle, name = 3 * time.Second, "resident memory"
	return experiment{
		name: "idle-memory", title: "memory at idle",
		about: "What one member holds resident three seconds after it is ready on an empty data directory, nobody connected.",
		sides: []string{sideEtcd, sideOps}, metrics: []metric{{name, "MB"}},
		bounds: []bound{atMost(name, sideOps, 1.2).times()},
		rounds: 7,
		prepare: func(_ context.Context, l *lab) (measureFunc, error) {
			return func(ctx context.Context, side string) (sample, error) {
				c, err := l.startCluster(ctx, side, 1)
				if err != nil {
					return nil, err
				}
				pause, cancel := context.WithTimeout(ctx, idle)
				defer cancel()
				<-pause.Done() // what is measured is the state after this time
				resident, err := residentMemory(c.members[0].process.Pid)
				return sample{name: megabytes(resident)}, errors.Join(ctx.Err(), err, c.stop())
			}, nil
		},
	}
}
