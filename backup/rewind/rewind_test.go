package rewind_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/backup/rewind"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// history writes n changes of every kind and returns the newest revision.
func history(t *testing.T, client *clientv3.Client, r *rand.Rand, n int) int64 {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	lease, err := client.Grant(ctx, 3600)
	if err != nil {
		t.Fatal(err)
	}
	var revision int64
	key := func() string { return fmt.Sprintf("/k/%02d", r.IntN(60)) }
	for i := range n {
		op := clientv3.OpPut(key(), strconv.Itoa(i))
		switch r.IntN(8) {
		case 0:
			op = clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpPut("/t/a", strconv.Itoa(i)), clientv3.OpPut("/t/b", "x"), clientv3.OpDelete(key())}, nil)
		case 1:
			op = clientv3.OpDelete(fmt.Sprintf("/k/%d", r.IntN(6)), clientv3.WithPrefix())
		case 2:
			op = clientv3.OpPut(key(), "leased", clientv3.WithLease(lease.ID))
		}
		if _, err := client.Do(ctx, op); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.Get(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	revision = got.Header.Revision
	return revision
}

// snapshot saves the member's database.
func snapshot(t *testing.T, client *clientv3.Client) string {
	t.Helper()
	r, err := client.Snapshot(clustertest.Context(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(file, data[:len(data)-32], 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// scan reads a whole file by our own reader.
func scan(t *testing.T, file string) dbfile.Summary {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	d, err := dbfile.Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hashAt takes a copy of the file back and returns the hash of what is left, by our own reader.
func hashAt(t *testing.T, file string, revision int64) (sum uint32, keys int64) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(copied, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rewind.To(t.Context(), db, revision); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := scan(t, copied)
	if s.Revision != revision {
		t.Fatalf("after going back to %d: revision %d", revision, s.Revision)
	}
	return s.HashKV, s.Keys
}

// TestNewestDeletionCompactedAway: etcd 3.4 removes the entry of a deletion that it is compacted at, so that the file ends below
// its compaction. Such a file was called damaged.
func TestNewestDeletionCompactedAway(t *testing.T) {
	t.Parallel()
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd, clustertest.KindEtcd34} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			c := clustertest.New(t, clustertest.Options{Kind: kind})
			client, ctx := c.Client(t), clustertest.Context(t, time.Minute)
			for _, key := range []string{"stays", "goes"} {
				if _, err := client.Put(ctx, key, "value"); err != nil {
					t.Fatal(err)
				}
			}
			gone, err := client.Delete(ctx, "goes")
			if err != nil {
				t.Fatal(err)
			}
			newest := gone.Header.Revision
			if _, err := client.Compact(ctx, newest, clientv3.WithCompactPhysical()); err != nil {
				t.Fatal(err)
			}
			if _, keys := hashAt(t, snapshot(t, client), newest); keys != 1 {
				t.Errorf("%d keys at revision %d, want 1", keys, newest)
			}
		})
	}
}

// TestRandomRevisionsHaveTheMembersHash goes back to random revisions and asks the living member what it had there.
func TestRandomRevisionsHaveTheMembersHash(t *testing.T) {
	t.Parallel()
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd, clustertest.KindEtcd34} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 3))
			c := clustertest.New(t, clustertest.Options{Kind: kind})
			client := c.Client(t)
			ctx := clustertest.Context(t, time.Minute)
			compacted := history(t, client, r, 120)
			if _, err := client.Compact(ctx, compacted, clientv3.WithCompactPhysical()); err != nil {
				t.Fatal(err)
			}
			newest := history(t, client, r, 240)
			file := snapshot(t, client)
			for _, at := range append([]int64{compacted, newest}, randoms(r, compacted+1, newest, 8)...) {
				want, err := client.HashKV(ctx, c.Members[0].ClientURL, at)
				if err != nil && at != compacted { // members tell no hash of the very revision that they compacted at
					t.Fatal(err)
				}
				there, err := client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(at), clientv3.WithCountOnly())
				if err != nil {
					t.Fatal(err)
				}
				if sum, keys := hashAt(t, file, at); at != compacted && sum != want.Hash || keys != there.Count {
					t.Errorf("revision %d of %d to %d: hash %08x and %d keys, the member had %08x and %d",
						at, compacted, newest, sum, keys, want.Hash, there.Count)
				}
			}
		})
	}
}

func randoms(r *rand.Rand, low, high int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = low + r.Int64N(high-low+1)
	}
	return out
}

func TestRevisionsOutsideAreRefused(t *testing.T) {
	for _, tc := range []struct {
		at   int64
		code ops.Code
	}{{9, rewind.CodeCompacted}, {10, ""}, {20, ""}, {21, rewind.CodeAhead}} {
		if err := (rewind.Span{Oldest: 10, Newest: 20}).Check(tc.at, "db"); ops.CodeOf(err) != tc.code {
			t.Errorf("revision %d: %v, want %q", tc.at, err, tc.code)
		}
	}
}

// TestLeasesThatEnded takes a file back to where a key hung on a lease that has ended since.
func TestLeasesThatEnded(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	client := c.Client(t)
	ctx := clustertest.Context(t, time.Minute)
	lease, err := client.Grant(ctx, 600)
	if err != nil {
		t.Fatal(err)
	}
	put, err := client.Put(ctx, "/leased", "x", clientv3.WithLease(lease.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Revoke(ctx, lease.ID); err != nil {
		t.Fatal(err)
	}
	for policy, check := range map[rewind.Policy]func(*testing.T, dbfile.Summary, error){
		rewind.Regrant: func(t *testing.T, s dbfile.Summary, err error) {
			t.Helper()
			if err != nil || s.LeaseCount != 1 || s.Leases[0] != (dbfile.Lease{ID: int64(lease.ID), TTL: 77}) {
				t.Errorf("regrant: %v, leases %v", err, s.Leases)
			}
		},
		rewind.Strip: func(t *testing.T, s dbfile.Summary, err error) {
			t.Helper()
			if err != nil || s.LeaseCount != 0 || s.Keys != 1 {
				t.Errorf("strip: %v, leases %v, %d keys", err, s.Leases, s.Keys)
			}
		},
		rewind.Fail: func(t *testing.T, _ dbfile.Summary, err error) {
			t.Helper()
			if ops.CodeOf(err) != rewind.CodeLeaseMissing {
				t.Errorf("fail: %v", err)
			}
		},
	} {
		s, err := goBack(ctx, t, snapshot(t, client), put.Header.Revision, policy)
		check(t, s, err)
	}
}

func goBack(ctx context.Context, t *testing.T, file string, revision int64, policy rewind.Policy) (dbfile.Summary, error) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rewind.To(ctx, db, revision); err != nil {
		t.Fatal(err)
	}
	_, leaseErr := rewind.Leases(ctx, db, policy, func(int64) int64 { return 77 })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return scan(t, file), leaseErr //nolint:contextcheck // it reads a file with the test's own
}
