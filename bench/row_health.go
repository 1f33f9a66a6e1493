package main

import (
	"context"
	"strings"
)

func healthCheck() experiment {
	return experiment{
		name: "health", title: "health of three members",
		about: "One `etcdops health`, and the four calls of etcdctl that tell about as much, one after the other: `endpoint health`,\n" +
			"`endpoint status`, `endpoint hashkv`, each with --cluster, and `alarm list`. Three members of upstream's, idle.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}, {cpuTime, "ms"}},
		rounds: 41, warmups: 2,
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			c, err := l.startCluster(ctx, sideEtcd, 3)
			if err != nil {
				return nil, err
			}
			l.defers(c.stop)
			calls := map[string][]string{
				sideEtcdctl: {"endpoint health --cluster", "endpoint status --cluster", "endpoint hashkv --cluster", "alarm list"},
				sideOps:     {"health"},
			}
			endpoints := strings.Join(c.endpoints(), ",")
			return func(ctx context.Context, side string) (sample, error) {
				var sum usage
				for _, call := range calls[side] {
					used, err := l.command(ctx, nil, l.client(side), append([]string{"--endpoints", endpoints}, strings.Fields(call)...)...)
					if err != nil {
						return nil, err
					}
					sum.Wall += used.Wall
					sum.CPU += used.CPU
				}
				return sample{wallTime: milliseconds(sum.Wall), cpuTime: milliseconds(sum.CPU)}, nil
			}, nil
		},
	}
}
