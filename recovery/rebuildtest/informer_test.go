package rebuildtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/recovery"
)

// informer is what Kubernetes' clients do: list, then watch from that revision, and list again only when told that the
// history is gone. It notes each time that a revision comes that is not above all those before.
type informer struct {
	client    *clientv3.Client
	seen      atomic.Int64 // revision, for those who wait for one
	cache     map[string]string
	revision  int64
	lists     int
	backwards []string
}

// run goes on until ctx ends.
func (i *informer) run(ctx context.Context) {
	for ctx.Err() == nil {
		if i.revision == 0 {
			if i.list(ctx) != nil {
				i.pause(ctx)
				continue
			}
		}
		if err := i.watch(ctx); errors.Is(err, rpctypes.ErrCompacted) {
			for i.list(ctx) != nil && ctx.Err() == nil {
				i.pause(ctx)
			}
		}
	}
}

// pause spares a cluster that does not answer.
func (i *informer) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

func (i *informer) list(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	got, err := i.client.Get(limited, "ledger/", clientv3.WithPrefix())
	if err != nil {
		return err
	}
	i.saw(got.Header.Revision, got.Header.Revision < i.revision, "list")
	i.lists++
	i.cache = map[string]string{}
	for _, kv := range got.Kvs {
		i.cache[string(kv.Key)] = string(kv.Value)
	}
	i.seen.Store(i.revision)
	return nil
}

// watch takes events until the stream ends.
func (i *informer) watch(ctx context.Context) error {
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for r := range i.client.Watch(watching, "ledger/", clientv3.WithPrefix(), clientv3.WithRev(i.revision+1)) {
		if err := r.Err(); err != nil {
			return err
		}
		last := i.revision
		for _, e := range r.Events {
			i.saw(e.Kv.ModRevision, e.Kv.ModRevision <= last, "event")
			i.cache[string(e.Kv.Key)] = string(e.Kv.Value)
		}
		i.seen.Store(i.revision)
	}
	return nil
}

// saw takes in a revision.
func (i *informer) saw(revision int64, back bool, what string) {
	if back {
		i.backwards = append(i.backwards, fmt.Sprintf("%s at %d after %d", what, revision, i.revision))
	}
	i.revision = max(i.revision, revision)
}

// TestFaultInformer keeps an informer going across a complete and a lossy rebuild: time never runs backwards for it, it
// lists again after the lossy one only, and in the end it knows what is there.
func TestFaultInformer(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	for what, names := range map[string][]string{"complete": {"m1", "m2"}, "lossy": {"m1"}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, clustertest.Options{Size: 3})
			stop := l.load(t, 1)
			l.acknowledgedAtLeast(t, 50)
			ctx, cancel := context.WithCancel(t.Context())
			watcher := &informer{client: l.Client(t), cache: map[string]string{}}
			done := make(chan struct{})
			go func() { watcher.run(ctx); close(done) }()
			t.Cleanup(func() { cancel(); <-done })
			l.acknowledgedAtLeast(t, 300)
			l.killAll(t)
			stop()
			o := l.order(t, names...)
			o.Members = []recovery.NewMember{{Name: "m1"}}
			if err := o.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.stopNew(t) })
			client, within := l.Members[0].Client(t), clustertest.Context(t, time.Minute)
			last, err := client.Put(within, "ledger/last", "x")
			if err != nil {
				t.Fatal(err)
			}
			for watcher.seen.Load() < last.Header.Revision {
				watcher.pause(within)
				if within.Err() != nil {
					t.Fatalf("it has seen revision %d, not %d", watcher.seen.Load(), last.Header.Revision)
				}
			}
			cancel()
			<-done
			want := map[string]string{}
			got, err := client.Get(within, "ledger/", clientv3.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			for _, kv := range got.Kvs {
				want[string(kv.Key)] = string(kv.Value)
			}
			if !maps.Equal(watcher.cache, want) {
				t.Errorf("it knows %d keys, not these %d", len(watcher.cache), len(want))
			}
			if len(watcher.backwards) > 0 {
				t.Errorf("time ran backwards: %v", watcher.backwards)
			}
			if lists := map[string]int{"complete": 1, "lossy": 2}[what]; watcher.lists != lists {
				t.Errorf("it listed %d times, not %d", watcher.lists, lists)
			}
		})
	}
}
