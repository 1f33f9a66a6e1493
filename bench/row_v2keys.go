package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The sides of the row of the old keys API: both write to a member of etcdops.
const (
	sideGateway = "PUT by v3's JSON gateway"
	sideV2Keys  = "PUT by /v2/keys"
)

func v2Keys() experiment {
	return experiment{
		name: "v2-keys", title: "writes by the old keys API",
		about: "100 clients on connections of their own put 20,000 values of 256 bytes under 10,000 keys, after 2,000 to warm up, each\n" +
			"time on one member just started with --enable-v2-keys: by `PUT /v2/keys/...` and by `POST /v3/kv/put`.",
		sides: []string{sideGateway, sideV2Keys}, metrics: []metric{{throughput, "put/s"}, {p50, "ms"}, {p99, "ms"}},
		bounds: []bound{atLeast(throughput, sideV2Keys, 0.5).times()},
		rounds: 7,
		prepare: func(_ context.Context, l *lab) (measureFunc, error) {
			ld := load{clients: 100, puts: l.scaled(20_000), warmup: l.scaled(2_000), keys: 10_000, size: 256}
			return func(ctx context.Context, side string) (sample, error) {
				c, err := l.startCluster(ctx, sideOps, 1, "--enable-v2-keys")
				if err != nil {
					return nil, err
				}
				s, err := ld.overHTTP(ctx, c.members[0].client, side == sideV2Keys)
				return s, errors.Join(err, c.stop())
			}, nil
		},
	}
}

// overHTTP drives the load by HTTP.
func (ld load) overHTTP(ctx context.Context, base string, v2 bool) (sample, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: ld.clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	value := strings.Repeat("v", ld.size)
	put := func(i int64) error {
		key := fmt.Sprintf("bench/%08d", i%int64(ld.keys))
		if v2 {
			return send(ctx, client, http.MethodPut, base+"/v2/keys/"+key, "application/x-www-form-urlencoded", url.Values{"value": {value}}.Encode())
		}
		body := fmt.Sprintf(`{"key":%q,"value":%q}`, base64.StdEncoding.EncodeToString([]byte(key)), base64.StdEncoding.EncodeToString([]byte(value)))
		return send(ctx, client, http.MethodPost, base+"/v3/kv/put", "application/json", body)
	}
	if _, err := together(ld.clients, ld.warmup, put); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	start := time.Now()
	latencies, err := together(ld.clients, ld.puts, put)
	if err != nil {
		return nil, err
	}
	wall := time.Since(start)
	slices.Sort(latencies)
	return sample{
		throughput: float64(len(latencies)) / wall.Seconds(), p50: percentile(latencies, 50), p99: percentile(latencies, 99),
	}, nil
}

// send sends one request and wants success.
func send(ctx context.Context, client *http.Client, method, target, kind, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, target, resp.Status, text)
	}
	return errors.Join(err, resp.Body.Close())
}

// together does something n times with some workers and returns how long each took, in milliseconds.
func together(workers, n int, do func(int64) error) ([]float64, error) {
	took, errs := make([][]float64, workers), make([]error, workers)
	var next atomic.Int64
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n) && errs[w] == nil; i = next.Add(1) {
				start := time.Now()
				errs[w] = do(i)
				took[w] = append(took[w], milliseconds(time.Since(start)))
			}
		})
	}
	all.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}
