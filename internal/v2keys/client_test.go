package v2keys_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv2 "go.etcd.io/etcd/client/v2"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/ledger"
)

// TestClientFault lets upstream's own client of the old API set and swap values while members of a cluster of three are
// killed and started again: what it was told must have happened, in an order that fits.
func TestClientFault(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := clustertest.New(t, clustertest.Options{Size: 3, Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	ctx, stop := context.WithCancel(clustertest.Context(t, 2*time.Minute))
	h := &history{began: time.Now()}
	var all sync.WaitGroup
	for worker := range 6 {
		keys := newClient(t, c.Members[worker%3].ClientURL)
		random := rand.New(rand.NewPCG(seed, uint64(worker)))
		all.Go(func() { h.work(ctx, worker, keys, random) })
	}
	random := rand.New(rand.NewPCG(seed, 99))
	for range 3 {
		h.grow(ctx, 150)
		victim := c.Members[random.IntN(3)]
		victim.Kill(t)
		h.grow(ctx, 150)
		victim.Start(t)
	}
	h.grow(ctx, 150)
	stop()
	all.Wait()
	sure := 0
	for _, o := range h.operations {
		if o.Return != ledger.Pending {
			sure++
		}
	}
	t.Logf("%d operations, %d with a known outcome", len(h.operations), sure)
	if sure < 600 {
		t.Fatalf("only %d operations have an outcome: nothing is proven", sure)
	}
	if err := ledger.Linearizable(h.operations); err != nil {
		t.Fatal(err)
	}
}

func newClient(t *testing.T, urls ...string) clientv2.KeysAPI {
	t.Helper()
	transport := &http.Transport{Proxy: nil}
	client, err := clientv2.New(clientv2.Config{Endpoints: urls, Transport: transport, HeaderTimeoutPerRequest: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return clientv2.NewKeysAPI(client)
}

// neverSent reports whether no connection was made at all.
func neverSent(err error) bool {
	var all *clientv2.ClusterError
	if !errors.As(err, &all) {
		return false
	}
	for _, err := range all.Errors {
		if !errors.Is(err, syscall.ECONNREFUSED) && !strings.Contains(err.Error(), "connection refused") {
			return false
		}
	}
	return len(all.Errors) > 0
}

// history is what all workers did.
type history struct {
	began time.Time

	mu         sync.Mutex
	operations []ledger.Operation
	done       int
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

// grow waits until n more operations have been answered.
func (h *history) grow(ctx context.Context, n int) {
	h.mu.Lock()
	want := h.done + n
	h.mu.Unlock()
	for ctx.Err() == nil {
		h.mu.Lock()
		done := h.done
		h.mu.Unlock()
		if done >= want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// work sets, swaps and reads three keys. Reads are with quorum.
func (h *history) work(ctx context.Context, worker int, keys clientv2.KeysAPI, random *rand.Rand) {
	last := map[string]string{}
	for n := 0; ctx.Err() == nil; n++ {
		o := ledger.Operation{
			Worker: worker, Key: fmt.Sprintf("/register/%d", random.IntN(3)), Value: fmt.Sprintf("w%d-%d", worker, n), Call: h.now(),
		}
		var known bool
		var err error
		switch random.IntN(3) {
		case 0:
			o.Kind, o.Value = ledger.Read, ""
			var resp *clientv2.Response
			resp, err = keys.Get(ctx, o.Key, &clientv2.GetOptions{Quorum: true})
			if known = err == nil || clientv2.IsKeyNotFound(err); err == nil {
				o.Found = resp.Node.Value
				last[o.Key] = o.Found
			}
		case 1:
			o.Kind = ledger.Store
			_, err = keys.Set(ctx, o.Key, o.Value, nil)
			known = err == nil
		default:
			if last[o.Key] == "" {
				continue
			}
			o.Kind, o.Old = ledger.Swap, last[o.Key]
			_, err = keys.Set(ctx, o.Key, o.Value, &clientv2.SetOptions{PrevValue: o.Old, PrevExist: clientv2.PrevExist})
			o.Swapped, known = err == nil, err == nil || isCode(err, clientv2.ErrorCodeTestFailed) || clientv2.IsKeyNotFound(err)
		}
		o.Return = h.now()
		if !known {
			time.Sleep(50 * time.Millisecond) // the member is down: do not fill the history with what nobody answers
		}
		if !known && (o.Kind == ledger.Read || neverSent(err)) {
			continue // it says nothing
		}
		if !known {
			o.Return = ledger.Pending
		}
		h.mu.Lock()
		h.operations = append(h.operations, o)
		if known {
			h.done++
		}
		h.mu.Unlock()
	}
}
