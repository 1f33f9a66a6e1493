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

// putSteadily puts values at a rate until something is done, whose error it returns. Each put is begun when it is due, whatever
// becomes of those before it, and its latency counts from then.
func putSteadily(ctx context.Context, endpoint string, perSecond int, done <-chan error) ([]float64, error) {
	client, err := connect(endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }() // every answer has been read
	value := strings.Repeat("v", 256)
	if _, err := client.Put(ctx, "bench/steady", value); err != nil { // connects
		return nil, err
	}
	var mu sync.Mutex
	var took []float64
	var failed error
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			all.Wait()
			return took, errors.Join(err, failed)
		case due := <-tick.C:
			all.Go(func() {
				_, err := client.Put(ctx, fmt.Sprintf("bench/steady/%06d", n%100_000), value)
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
				took = append(took, milliseconds(time.Since(due)))
			})
		}
	}
}
