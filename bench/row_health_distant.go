package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest/network"
)

// roundTrip is the time that a request and its answer are on the way in health-distant.
const roundTrip = 50 * time.Millisecond

func healthDistant() experiment {
	return experiment{
		name: "health-distant", title: "health of three members 50 ms away",
		about: "One `etcdops health`, and the four calls of etcdctl that tell about as much, as in health. Every client URL, advertised ones\n" +
			"too, leads through a proxy that holds all bytes for 25 ms in each direction. Opening a connection to it costs no round trip.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}},
		bounds: []bound{atMost(wallTime, sideOps, 600)},
		rounds: 5, warmups: 1,
		prepare: prepareDistant,
	}
}

func prepareDistant(ctx context.Context, l *lab) (measureFunc, error) {
	c, err := l.newCluster(ctx, sideEtcd, 3)
	if err != nil {
		return nil, err
	}
	l.defers(c.stop)
	net50 := network.New()
	var endpoints []string
	for i, m := range c.members {
		party := fmt.Sprintf("m%d", i+1)
		proxy := net50.Proxy(party, strings.TrimPrefix(m.client, "http://"), func(net.Conn) string { return "client" })
		address, err := proxy.Open("127.0.0.1:0") //nolint:contextcheck // it lives until the lab is taken down
		if err != nil {
			return nil, err
		}
		l.defers(func() error { proxy.Close(); return nil })
		net50.Delay("client", party, roundTrip/2)
		net50.Delay(party, "client", roundTrip/2)
		endpoints = append(endpoints, "http://"+address)
		err = m.start(ctx, "--advertise-client-urls", "http://"+address)
		if err != nil {
			return nil, err
		}
	}
	for _, m := range c.members {
		err = errors.Join(err, m.waitReady(ctx))
	}
	if err != nil {
		return nil, err
	}
	calls := map[string][]string{
		sideEtcdctl: {"endpoint health --cluster", "endpoint status --cluster", "endpoint hashkv --cluster", "alarm list"}, sideOps: {"health"},
	}
	return func(ctx context.Context, side string) (sample, error) {
		var sum time.Duration
		for _, call := range calls[side] {
			used, err := l.command(ctx, nil, l.client(side), append([]string{"--endpoints", strings.Join(endpoints, ",")}, strings.Fields(call)...)...)
			if err != nil {
				return nil, err
			}
			sum += used.Wall
		}
		return sample{wallTime: milliseconds(sum)}, nil
	}, nil
}
