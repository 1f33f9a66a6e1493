package dbfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/etcdops/etcdops/backup/dbfile"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// load writes a history with everything in it: transactions of many keys, range deletes, leases, large values,
// compactions.
func load(t *testing.T, client *clientv3.Client, r *rand.Rand, n int) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	lease, err := client.Grant(ctx, 3600)
	must(err)
	key := func() string { return fmt.Sprintf("/registry/kind%d/key%03d", r.IntN(4), r.IntN(120)) }
	var revision int64
	for i := range n {
		switch r.IntN(10) {
		case 0:
			first, second := key(), key()
			must2(t)(client.Txn(ctx).Then(clientv3.OpPut(first+"a", "t"), clientv3.OpPut(second+"b", "t"), clientv3.OpDelete(key())).Commit())
		case 1:
			must2(t)(client.Delete(ctx, fmt.Sprintf("/registry/kind%d/key%02d", r.IntN(4), r.IntN(12)), clientv3.WithPrefix()))
		case 2:
			must2(t)(client.Put(ctx, key(), "leased", clientv3.WithLease(lease.ID)))
		case 3:
			must2(t)(client.Put(ctx, key(), string(bytes.Repeat([]byte{'x'}, r.IntN(20_000)))))
		default:
			resp, err := client.Put(ctx, key(), strconv.Itoa(i))
			must(err)
			revision = resp.Header.Revision
		}
		if i%(n/3+1) == n/3 && revision > 2 {
			must2(t)(client.Compact(ctx, revision-int64(r.IntN(10)), clientv3.WithCompactPhysical()))
		}
	}
}

// must2 fails the test over the error of a call with an answer.
func must2(t *testing.T) func(any, error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// save takes a snapshot and returns the database within.
func save(t *testing.T, client *clientv3.Client) (file string, data []byte) {
	t.Helper()
	r, err := client.Snapshot(clustertest.Context(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	data, err = io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	data = data[:len(data)-32]
	file = filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, data
}

func open(t *testing.T, data []byte) *dbfile.File {
	t.Helper()
	f, err := dbfile.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSummaryIsWhatServersSay holds a scan against etcdutl's status and against the members' own hash, at the newest and at
// older revisions.
func TestSummaryIsWhatServersSay(t *testing.T) {
	t.Parallel()
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd, clustertest.KindEtcd34} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			c := clustertest.New(t, clustertest.Options{Kind: kind})
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 1))
			client := c.Client(t)
			for range 3 {
				load(t, client, r, 150)
				compare(t, c, client, r)
			}
		})
	}
}

func compare(t *testing.T, c *clustertest.Cluster, client *clientv3.Client, r *rand.Rand) {
	t.Helper()
	file, data := save(t, client)
	f := open(t, data)
	got, err := f.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	status, err := snapshot.NewV3(zap.NewNop()).Status(file)
	if err != nil {
		t.Fatal(err)
	}
	want := snapshot.Status{Hash: got.Hash, Revision: got.Revision, TotalKey: int(got.Keys), TotalSize: got.Size, Version: got.StorageVersion}
	if status.Version == "" { // etcdutl fills in what 3.4 does not keep
		want.Version = ""
	}
	if status != want {
		t.Errorf("status %+v, etcdutl says %+v", want, status)
	}
	if quick, err := f.Status(t.Context()); err != nil || quick.Hash != got.Hash || quick.Keys != got.Keys || quick.Revision != got.Revision {
		t.Errorf("status %+v, %v; scan %+v", quick, err, got)
	}
	ctx := clustertest.Context(t, time.Minute)
	present, err := client.HashKV(ctx, c.Members[0].ClientURL, got.Revision)
	if err != nil {
		t.Fatal(err)
	}
	if present.Hash != got.HashKV || max(present.CompactRevision, 0) != got.CompactRevision {
		t.Errorf("hash %08x at %d compacted at %d, the member says %08x compacted at %d", got.HashKV, got.Revision, got.CompactRevision, present.Hash, present.CompactRevision)
	}
	for range 5 {
		oldest := max(got.CompactRevision, 1) + 1 // members tell no hash of the very revision that they compacted at
		rev := oldest + r.Int64N(got.Revision-oldest+1)
		live, err := client.HashKV(ctx, c.Members[0].ClientURL, rev)
		if err != nil {
			t.Fatal(err)
		}
		if sum, _, err := f.HashKV(ctx, rev); err != nil || sum != live.Hash {
			t.Errorf("hash of revision %d: %08x, %v; the member says %08x", rev, sum, err, live.Hash)
		}
	}
	all, err := client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(got.Revision))
	if err != nil || all.Count != got.Keys {
		t.Errorf("%d keys, the member says %d, %v", got.Keys, all.Count, err)
	}
	if got.LeaseCount == 0 || len(got.Members) == 0 && c.Members[0].Kind == clustertest.KindEtcd {
		t.Errorf("%d leases, members %v", got.LeaseCount, got.Members)
	}
}

// TestRaisedRevisionIsNoKey: a restore that raises the revision writes a record of nothing, which no client can read. It was taken for a
// key, and a drill of a backup of the restored cluster for a failure.
func TestRaisedRevisionIsNoKey(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	ctx := clustertest.Context(t, time.Minute)
	for _, key := range []string{"/a/b/c", "plain"} {
		must2(t)(c.Client(t).Put(ctx, key, "value"))
	}
	file, _ := save(t, c.Client(t))
	dir := filepath.Join(t.TempDir(), "restored")
	err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, SkipHashCheck: true, Name: "m1", OutputDataDir: dir, PeerURLs: []string{"http://localhost:2380"},
		InitialCluster: "m1=http://localhost:2380", InitialClusterToken: "t", RevisionBump: 1000, MarkCompacted: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "member", "snap", "db"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := open(t, data).Scan(t.Context())
	if err != nil || got.Keys != 2 || got.Revision < 1000 {
		t.Errorf("%d keys at revision %d, %v; want 2 keys", got.Keys, got.Revision, err)
	}
	var below int64
	for _, n := range got.Prefixes {
		below += n
	}
	if below != got.Keys {
		t.Errorf("prefixes %v of %d keys", got.Prefixes, got.Keys)
	}
}

// TestMutationsNeitherCrashNorPass changes bytes of a file, cuts it, and mixes its pages. Whatever comes of it, nothing
// crashes and nothing runs on; what is changed in a page that is in use is told or does not matter.
func TestMutationsNeitherCrashNorPass(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	load(t, c.Client(t), r, 200)
	_, data := save(t, c.Client(t))
	want, err := open(t, data).Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, rounds := 0, 3000
	for range rounds {
		broken := mutate(slices.Clone(data), r)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		f, err := dbfile.Open(bytes.NewReader(broken), int64(len(broken)))
		if err == nil {
			var got dbfile.Summary
			got, err = f.Scan(ctx)
			if err == nil && (got.Hash != want.Hash || got.Keys != want.Keys) {
				err = errors.New("told by its hash")
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("seed %d: the scan of a damaged file does not end", seed)
		}
		cancel()
		if err != nil {
			found++
		}
	}
	t.Logf("%d of %d mutations made a difference", found, rounds)
	if found < rounds/10 {
		t.Errorf("only %d of %d mutations made a difference", found, rounds)
	}
}

// mutate damages a file in one way.
func mutate(data []byte, r *rand.Rand) []byte {
	page := func() int { return r.IntN(len(data)/4096) * 4096 }
	switch r.IntN(6) {
	case 0:
		return data[:r.IntN(len(data))]
	case 1:
		copy(data[page():], data[page():][:4096])
	case 2: // the head of a page, where its structure is
		at := page()
		for range 1 + r.IntN(4) {
			data[at+r.IntN(64)] = byte(r.Uint32())
		}
	case 3:
		at := page()
		clear(data[at : at+4096])
	case 4: // with a checksum that is right again
		data[16+r.IntN(56)] ^= byte(1 << r.IntN(8))
	default:
		data[r.IntN(len(data))] ^= byte(1 << r.IntN(8))
	}
	return data
}
