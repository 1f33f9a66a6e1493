package pitr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// site is a cluster with a repository beside it.
type site struct {
	*clustertest.Cluster
	ops    *ops.Cluster
	repo   *backup.Repository
	client *clientv3.Client
	spool  string
	sealed backup.Encryption // of bases
}

func newSite(t *testing.T, opts clustertest.Options) *site {
	t.Helper()
	s := &site{Cluster: clustertest.New(t, opts), spool: t.TempDir()}
	ctx := clustertest.Context(t, time.Minute)
	cluster, err := ops.Dial(ctx, ops.Config{Endpoints: s.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	store, err := dirstore.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.repo, err = backup.EnsureRepository(ctx, store, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.ops, s.client = cluster, s.Client(t)
	return s
}

func (s *site) create(ctx context.Context) (*backup.Manifest, error) {
	return s.repo.Create(ctx, s.ops, backup.CreateOptions{SpoolDir: s.spool, Program: "test", Encryption: s.sealed})
}

// running is an archiver at work.
type running struct {
	*archive.Archiver
	stop func() error

	mu     sync.Mutex
	events []archive.Event
}

// archive starts an archiver.
func (s *site) archive(t *testing.T, change ...func(*archive.Options)) *running {
	t.Helper()
	r := &running{}
	o := archive.Options{
		Cluster: s.ops, Store: s.repo.Store(), SpoolDir: t.TempDir(), Program: "test",
		SealAfter: 200 * time.Millisecond, SyncEvery: 50 * time.Millisecond, HashEvery: 300 * time.Millisecond,
		TakeBase: func(ctx context.Context, _ string) (*backup.Manifest, error) { return s.create(ctx) },
		Notify: func(e archive.Event) {
			t.Logf("%s %s", e.Kind, e.Text)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if r.Archiver, err = archive.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = r.stop() })
	r.until(t, "it follows", func(p archive.Progress) bool { return p.Following && p.Timeline != "" })
	return r
}

// until waits for a state of the archiver.
func (r *running) until(t *testing.T, what string, holds func(archive.Progress) bool) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if holds(r.Progress()) {
			tick.Stop()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s: %+v", what, r.Progress())
		case <-tick.C:
		}
	}
}

// saw says whether there was an event of a kind.
func (r *running) saw(kind archive.EventKind) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

// load makes a mixed history of n requests and returns the newest revision.
func load(t *testing.T, client *clientv3.Client, r *rand.Rand, n int) int64 {
	t.Helper()
	ctx := clustertest.Context(t, 2*time.Minute)
	var last int64
	did := func(h *pb.ResponseHeader, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		last = h.GetRevision()
	}
	long, err := client.Grant(ctx, 3600)
	if err != nil {
		t.Fatal(err)
	}
	key := func() string { return fmt.Sprintf("/registry/kind%d/key%03d", r.IntN(4), r.IntN(80)) }
	for i := range n {
		switch r.IntN(12) {
		case 0:
			resp, err := client.Txn(ctx).Then(clientv3.OpPut(key()+"a", "t"), clientv3.OpPut(key()+"b", "t"), clientv3.OpDelete(key())).Commit()
			did(resp.Header, err)
		case 1:
			resp, err := client.Delete(ctx, fmt.Sprintf("/registry/kind%d/key0%d", r.IntN(4), r.IntN(8)), clientv3.WithPrefix())
			did(resp.Header, err)
		case 2:
			resp, err := client.Put(ctx, key(), "leased", clientv3.WithLease(long.ID))
			did(resp.Header, err)
		case 3:
			short, err := client.Grant(ctx, 5)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Put(ctx, key(), "short", clientv3.WithLease(short.ID))
			did(resp.Header, err)
			if r.IntN(2) == 0 {
				if _, err := client.Revoke(ctx, short.ID); err != nil {
					t.Fatal(err)
				}
			}
		default:
			resp, err := client.Put(ctx, key(), strconv.Itoa(i))
			did(resp.Header, err)
		}
	}
	return last
}

// point is a state that a member has hashed.
type point struct {
	revision, compact int64
	hash              uint32
}

// hashAt asks the first member for its hash at a revision.
func (s *site) hashAt(t *testing.T, revision int64) point {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	for {
		resp, err := s.client.HashKV(ctx, s.Members[0].ClientURL, revision)
		switch {
		case err == nil:
			return point{revision, resp.CompactRevision, resp.Hash}
		case !errors.Is(err, rpctypes.ErrFutureRev): // the member has not applied it yet
			t.Fatalf("hash at %d: %v", revision, err)
		}
	}
}

// restore brings the best base to a revision in a file, trying every plan in its order as a user's restore does.
func (s *site) restore(t *testing.T, revision int64) (string, *pitr.Result) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	plans, err := pitr.Plans(s.facts(t), revision, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "db")
	s.fetch(t, plans[0].Base, file)
	got, err := pitr.To(ctx, file, pitr.Segments{Store: s.repo.Store(), Refs: plans[0].Segments}, revision, pitr.Options{Own: plans[0].Own})
	if err != nil {
		t.Fatalf("restore %d with %+v: %v", revision, plans[0], err)
	}
	return file, got
}

// facts reads what the repository has.
func (s *site) facts(t *testing.T) pitr.Facts {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	f, err := pitr.Read(ctx, s.repo, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fetch writes a base's database to a file.
func (s *site) fetch(t *testing.T, base pitr.Base, file string) {
	t.Helper()
	s.fetchWith(t, base, file, backup.Identities{})
}

func (s *site) fetchWith(t *testing.T, base pitr.Base, file string, keys backup.Identities) {
	t.Helper()
	r, err := s.repo.OpenDatabase(clustertest.Context(t, time.Minute), base.Entry, keys)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hashOf is the hash of a restored file as a member computes it that has compacted where the live one had.
func hashOf(t *testing.T, file string, p point) uint32 {
	t.Helper()
	data, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = data.Close() }()
	info, _ := data.Stat()
	db, err := dbfile.Open(data, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := db.HashKVAt(clustertest.Context(t, time.Minute), p.revision, p.compact)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestAnyRevision restores random revisions of a mixed history with compactions and compares each with the hash that the
// live member had for it.
func TestAnyRevision(t *testing.T) {
	t.Parallel()
	anyRevision(t, 12, clustertest.KindEtcd, clustertest.KindEtcd34)
}

// TestLongAnyRevision is TestAnyRevision with a hundred revisions.
func TestLongAnyRevision(t *testing.T) {
	clustertest.Long(t)
	anyRevision(t, 100, clustertest.KindEtcd, clustertest.KindEtcd34)
}

func anyRevision(t *testing.T, points int, kinds ...clustertest.Kind) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clustertest.Options{Kind: kind})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 1))
			last := load(t, s.client, r, 50)
			a := s.archive(t)
			var want []point
			for len(want) < points {
				before := last
				last = load(t, s.client, r, 40)
				for range min(4, points-len(want)) {
					want = append(want, s.hashAt(t, before+1+r.Int64N(last-before)))
				}
				if r.IntN(2) == 0 {
					if _, err := s.client.Compact(clustertest.Context(t, time.Minute), before, clientv3.WithCompactPhysical()); err != nil {
						t.Fatal(err)
					}
				}
			}
			a.until(t, "all is archived", func(p archive.Progress) bool { return p.Archived >= last })
			if err := a.stop(); err != nil {
				t.Fatal(err)
			}
			proven := 0
			for _, p := range want {
				file, got := s.restore(t, p.revision)
				if sum := hashOf(t, file, p); sum != p.hash {
					t.Errorf("revision %d, compacted at %d: hash %08x, the member had %08x", p.revision, p.compact, sum, p.hash)
				}
				if got.Proven > 0 {
					proven++
				}
			}
			t.Logf("%d revisions restored, %d of them with a mark on the way", len(want), proven)
		})
	}
}
