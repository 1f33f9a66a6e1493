package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

func healthMany() experiment {
	return experiment{
		name: "health-many", title: "health of 100 clusters at once",
		about: "`etcdctl endpoint health` of 100 clusters of three members, one after the other, and one `etcdops health --all-contexts`,\n" +
			"which tells much more. The 300 endpoints, each with TLS, are simulated by this\n" +
			"program, which takes its part of the machine; they answer as healthy members, with a real member's page of metrics.",
		sides: []string{sideEtcdctl, sideOps}, metrics: []metric{{wallTime, "ms"}, {cpuTime, "ms"}, {peakMemory, "MB"}},
		bounds: []bound{atMost(wallTime, sideOps, 3000), atMost(peakMemory, sideOps, 150)},
		rounds: 7, warmups: 1,
		prepare: func(ctx context.Context, l *lab) (measureFunc, error) {
			metrics, err := l.metricsOfOne(ctx)
			if err != nil {
				return nil, err
			}
			clusters, ca, err := l.simulate(ctx, l.scaled(100), metrics)
			if err != nil {
				return nil, err
			}
			for i, endpoints := range clusters {
				name := fmt.Sprintf("cluster-%d", i+1)
				_, err := l.command(ctx, nil, l.bin.etcdops, "context", "add", name, "--endpoints", strings.Join(endpoints, ","), "--cacert", ca)
				if err != nil {
					return nil, err
				}
			}
			return func(ctx context.Context, side string) (sample, error) {
				if side == sideEtcdctl {
					return l.healthEach(ctx, clusters, ca)
				}
				used, err := l.command(ctx, nil, l.bin.etcdops, "health", "--all-contexts")
				return sampleOf(used), err
			}, nil
		},
	}
}

// healthEach asks one cluster after the other by etcdctl.
func (l *lab) healthEach(ctx context.Context, clusters [][]string, ca string) (sample, error) {
	var sum usage
	for _, endpoints := range clusters {
		used, err := l.command(ctx, nil, l.bin.etcdctl, "--endpoints", strings.Join(endpoints, ","), "--cacert", ca, "endpoint", "health")
		if err != nil {
			return nil, err
		}
		sum.Wall, sum.CPU, sum.Peak = sum.Wall+used.Wall, sum.CPU+used.CPU, max(sum.Peak, used.Peak)
	}
	return sampleOf(sum), nil
}

// metricsOfOne reads the page of a real member.
func (l *lab) metricsOfOne(ctx context.Context) (string, error) {
	c, err := l.startCluster(ctx, sideEtcd, 1)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.stop() }() // its answer is all that counts
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.members[0].client+"/metrics", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}
