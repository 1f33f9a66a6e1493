package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// load puts values from many clients at once.
type load struct {
	conns   int // connections, spread over the endpoints in turn
	clients int // at work at once, spread over the connections
	puts    int // in all
	warmup  int // before them, not counted
	keys    int // different keys, written in turn
	size    int // of a value in bytes
}

// run drives the load and returns its throughput in puts a second and the latencies' percentiles in milliseconds.
func (ld load) run(ctx context.Context, endpoints []string) (sample, error) {
	conns := make([]*clientv3.Client, 0, ld.conns)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // the work is done, and its errors are told
		}
	}()
	for i := range ld.conns {
		c, err := connect(endpoints[i%len(endpoints)])
		if err != nil {
			return nil, err
		}
		conns = append(conns, c)
	}
	if _, err := ld.drive(ctx, conns, ld.warmup); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	start := time.Now()
	latencies, err := ld.drive(ctx, conns, ld.puts)
	if err != nil {
		return nil, err
	}
	wall := time.Since(start)
	slices.Sort(latencies)
	return sample{
		throughput: float64(len(latencies)) / wall.Seconds(),
		p50:        percentile(latencies, 50),
		p99:        percentile(latencies, 99),
	}, nil
}

// drive makes n puts and returns how long each took, in milliseconds. The first failure ends it.
func (ld load) drive(ctx context.Context, conns []*clientv3.Client, n int) ([]float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	value := strings.Repeat("v", ld.size)
	took := make([][]float64, ld.clients)
	var next atomic.Int64
	var all sync.WaitGroup
	for client := range ld.clients {
		conn := conns[client%len(conns)]
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				start := time.Now()
				if _, err := conn.Put(ctx, fmt.Sprintf("bench/%08d", i%int64(ld.keys)), value); err != nil {
					cancel(err)
					return
				}
				took[client] = append(took[client], milliseconds(time.Since(start)))
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, errors.Join(errors.New("put"), err)
	}
	return slices.Concat(took...), nil
}
