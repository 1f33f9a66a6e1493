package main

import (
	"context"
	"errors"
	"time"
)

func writesOne() experiment {
	e := writes(1, 60_000, (*cluster).leader)
	e.name, e.title = "writes-1", "writes, one member"
	e.about = "1,000 clients on 100 connections put 60,000 values of 256 bytes under 100,000 keys, after 10,000 to warm up, each time\n" +
		"on a member just started. Client and server share the machine. `serve` has a default of its own for the garbage\n" +
		"collector; with GOGC=100 it has upstream's."
	e.bounds = append(e.bounds, atLeast(throughput, sideOpsSameGC, 10_000), atLeast(throughput, sideOps, 10_000))
	return e
}

func writesThree() experiment {
	e := writes(3, 40_000, (*cluster).leader)
	e.name, e.title = "writes-3", "writes, three members, through the leader"
	e.about = "The same on three members, 40,000 values; all clients speak to the leader."
	return e
}

func writesSpread() experiment {
	e := writes(3, 40_000, nil)
	e.name, e.title = "writes-3-spread", "writes, three members, through all of them"
	e.about = "The same on three members, 40,000 values; the connections are spread over the members."
	return e
}

// serverCPU is what all members used of the processors for one put, starts included: it tells programs apart that the
// noise of a shared machine does not.
const serverCPU = "server CPU per put"

// writes compares the throughput of puts to one endpoint of a cluster, or to all of them.
func writes(members, puts int, to func(*cluster, context.Context) (string, error)) experiment {
	e := experiment{
		sides:   []string{sideEtcd, sideOpsSameGC, sideOps},
		metrics: []metric{{throughput, "put/s"}, {p50, "ms"}, {p99, "ms"}, {serverCPU, "us"}},
		bounds: []bound{
			atLeast(throughput, sideOpsSameGC, 1).times(),
			atLeast(throughput, sideOps, 1.1).times(),
			atMost(p99, sideOpsSameGC, 1).times(),
			atMost(p99, sideOps, 1).times(),
		},
		rounds: 9,
	}
	e.prepare = func(_ context.Context, l *lab) (measureFunc, error) {
		ld := load{conns: 100, clients: 1000, puts: l.scaled(puts), warmup: l.scaled(10_000), keys: 100_000, size: 256}
		return func(ctx context.Context, side string) (sample, error) {
			c, err := l.startCluster(ctx, side, members)
			if err != nil {
				return nil, err
			}
			s, err := ld.onCluster(ctx, c, to)
			if err := errors.Join(err, c.stop()); err != nil {
				return nil, err
			}
			s[serverCPU] = float64(c.cpu()) / float64(time.Microsecond) / float64(ld.warmup+ld.puts)
			return s, nil
		}, nil
	}
	return e
}

// onCluster drives the load to the endpoint that to chooses, or to all.
func (ld load) onCluster(ctx context.Context, c *cluster, to func(*cluster, context.Context) (string, error)) (sample, error) {
	endpoints := c.endpoints()
	if to != nil {
		one, err := to(c, ctx)
		if err != nil {
			return nil, err
		}
		endpoints = []string{one}
	}
	return ld.run(ctx, endpoints)
}
