package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
)

func healthCheck() experiment {
	return experiment{
		name: "health", title: "health of three members",
		about: "One `etcdops health`, and the four calls of etcdctl that tell about as much, one after the other: `endpoint health`,\n" +
			"`endpoint status`, `endpoint hashkv`, each with --cluster, and `alarm list`. Three members of upstream's, idle.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}, {cpuTime, "ms"}},
		bounds: []bound{atMost(wallTime, sideOps, 0.8).times()},
		rounds: 41, warmups: 2,
		prepare: healthOf(nil, map[string][]string{
			sideEtcdctl: {"endpoint health --cluster", "endpoint status --cluster", "endpoint hashkv --cluster", "alarm list"},
			sideOps:     {"health"},
		}),
	}
}

func healthAlone() experiment {
	return experiment{
		name: "health-alone", title: "health of three members, beside endpoint health alone",
		about: "One `etcdops health --fast`, and one `etcdctl endpoint health --cluster`. Three members of upstream's, idle.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}, {cpuTime, "ms"}},
		bounds: []bound{atMost(wallTime, sideOps, 0.8).times()},
		rounds: 41, warmups: 2,
		prepare: healthOf(nil, map[string][]string{sideEtcdctl: {"endpoint health --cluster"}, sideOps: {"health --fast"}}),
	}
}

func healthHung() experiment {
	return experiment{
		name: "health-hung", title: "health while a member hangs",
		about: "As health-alone, while one of the three members is stopped by SIGSTOP.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}},
		bounds: []bound{atMost(wallTime, sideOps, 1300)},
		rounds: 3, warmups: 0,
		prepare: healthOf(func(m *member) error { return m.process.Signal(syscall.SIGSTOP) },
			map[string][]string{sideEtcdctl: {"endpoint health --cluster"}, sideOps: {"health"}}),
	}
}

func healthRefused() experiment {
	return experiment{
		name: "health-refused", title: "health while a member is down",
		about: "One `etcdctl endpoint health --cluster`, and one `etcdops health`, while one of the three members does not run; and how much\n" +
			"longer that takes than right before with three members that do.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}, {longer, "ms"}},
		bounds: []bound{atMost(wallTime, sideOps, 1000), atMost(longer, sideOps, 25)},
		rounds: 7, warmups: 1,
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			calls := map[string][]string{sideEtcdctl: {"endpoint health --cluster"}, sideOps: {"health"}}
			whole, err := healthOf(nil, calls)(ctx, l)
			if err != nil {
				return nil, err
			}
			sick, err := healthOf(func(m *member) error {
				err := m.process.Kill()
				<-m.done
				return err
			}, calls)(ctx, l)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, side string) (sample, error) {
				before, err := whole(ctx, side)
				if err != nil {
					return nil, err
				}
				s, err := sick(ctx, side)
				if err == nil {
					s[longer] = s[wallTime] - before[wallTime]
				}
				return s, err
			}, nil
		},
	}
}

// longer is the time that a fault adds.
const longer = "longer than healthy"

// healthOf measures calls about three members, with a follower harmed beforehand unless harm is nil.
func healthOf(harm func(*member) error, calls map[string][]string) func(context.Context, *lab) (measureFunc, error) {
	return func(ctx context.Context, l *lab) (measureFunc, error) {
		c, err := l.startCluster(ctx, sideEtcd, 3)
		if err != nil {
			return nil, err
		}
		l.defers(c.stop)
		if harm != nil {
			m, err := c.follower(ctx)
			if err == nil {
				err = harm(m)
			}
			if err != nil {
				return nil, err
			}
		}
		endpoints := strings.Join(c.endpoints(), ",")
		return func(ctx context.Context, side string) (sample, error) {
			var sum usage
			for _, call := range calls[side] {
				used, err := l.command(ctx, nil, l.client(side), append([]string{"--endpoints", endpoints}, strings.Fields(call)...)...)
				if err != nil && (harm == nil || used.Exit == 0) { // etcdctl fails when one member does
					return nil, err
				}
				sum.Wall += used.Wall
				sum.CPU += used.CPU
			}
			s := sample{wallTime: milliseconds(sum.Wall)}
			if harm == nil {
				s[cpuTime] = milliseconds(sum.CPU)
			}
			return s, nil
		}, nil
	}
}

// follower returns a member that does not lead.
func (c *cluster) follower(ctx context.Context) (*member, error) {
	leader, err := c.leader(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range c.members {
		if m.client != leader {
			return m, nil
		}
	}
	return nil, errors.New("every member leads")
}
