package main

import (
	"context"
	"errors"
	"time"
)

func startToReady() experiment {
	return experiment{
		name: "start", title: "start to ready",
		about: "From the start of the program on an empty data directory, one member, to its first answer 200 on /readyz.",
		sides: []string{sideEtcd, sideOps}, metrics: []metric{{wallTime, "ms"}},
		bounds: []bound{atMost(wallTime, sideOps, 1.1).times()},
		rounds: 21, warmups: 1,
		prepare: func(_ context.Context, l *lab) (measureFunc, error) {
			return func(ctx context.Context, side string) (sample, error) {
				c, err := l.startCluster(ctx, side, 1)
				if err != nil {
					return nil, err
				}
				took := c.members[0].readyTook
				return sample{wallTime: milliseconds(took)}, c.stop()
			}, nil
		},
	}
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
