package datadir_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// write makes a store with everything in it: history, deletions, a compaction, leases, users.
func write(t *testing.T, client *clientv3.Client, seed uint64) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	random := rand.New(rand.NewPCG(seed, 1))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	for i := range 300 {
		key := "k" + strconv.Itoa(random.IntN(60))
		if random.IntN(4) == 0 {
			_, err := client.Delete(ctx, key)
			must(err)
		} else {
			_, err := client.Put(ctx, key, strings.Repeat("v", random.IntN(3000)))
			must(err)
		}
		if i == 150 {
			status, err := client.Get(ctx, "x")
			must(err)
			_, err = client.Compact(ctx, status.Header.Revision-int64(random.IntN(30)), clientv3.WithCompactPhysical())
			must(err)
		}
	}
	grant, err := client.Grant(ctx, 5000)
	must(err)
	_, err = client.Put(ctx, "leased", "v", clientv3.WithLease(grant.ID))
	must(err)
	_, err = client.UserAdd(ctx, "someone", "secret")
	must(err)
	_, err = client.RoleAdd(ctx, "reader")
	must(err)
}

// TestRealMembers compares what is read offline with what the members say, for every version that runs here, at the
// latest revision and before.
func TestRealMembers(t *testing.T) {
	t.Parallel()
	kinds := []clustertest.Kind{clustertest.KindEtcd}
	if _, err := exec.LookPath("etcd"); err == nil {
		kinds = append(kinds, clustertest.KindEtcd34)
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			c := clustertest.New(t, clustertest.Options{Kind: kind, Size: 1})
			client, ctx := c.Client(t), clustertest.Context(t, time.Minute)
			write(t, client, seed)
			latest, err := client.HashKV(ctx, c.Members[0].ClientURL, 0)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
			if err != nil {
				t.Fatal(err)
			}
			running := inspect(t, c.Members[0].DataDir)
			if !running.Running {
				t.Error("a member uses the directory, and that is not told")
			}
			checkSnapshot(t, c, latest)
			c.Members[0].Stop(t)
			checkDatabase(t, seed, inspect(t, c.Members[0].DataDir), latest, keys.Count)
			earlier(t, c, seed, latest)
		})
	}
}

func checkDatabase(t *testing.T, seed uint64, info datadir.Info, want *clientv3.HashKVResponse, keys int64) {
	t.Helper()
	d := info.DB
	if info.State != datadir.StateClean || info.Running || d == nil || d.Hash == nil {
		t.Fatalf("seed %d: %s: %+v", seed, info.State, info.Problems)
	}
	if d.Hash.Hash != want.Hash || d.CompactRevision != want.CompactRevision || d.Revision != want.Header.Revision || d.Keys != keys {
		t.Errorf("seed %d: hash %d, compacted %d, revision %d, %d keys; the member says %d, %d, %d, %d",
			seed, d.Hash.Hash, d.CompactRevision, d.Revision, d.Keys, want.Hash, want.CompactRevision, want.Header.Revision, keys)
	}
	if uint64(info.MemberID) != want.Header.MemberId || uint64(info.ClusterID) != want.Header.ClusterId {
		t.Errorf("member %s of %s", info.MemberID, info.ClusterID)
	}
	if info.Name != "m1" || len(info.Members) != 1 || d.Leases != 1 || !slices.Equal(d.Users, []string{"someone"}) || !slices.Equal(d.Roles, []string{"reader"}) {
		t.Errorf("name %q, members %+v, %d leases, users %v, roles %v", info.Name, info.Members, d.Leases, d.Users, d.Roles)
	}
}

// earlier compares the hash at a former revision.
func earlier(t *testing.T, c *clustertest.Cluster, seed uint64, latest *clientv3.HashKVResponse) {
	t.Helper()
	at := latest.CompactRevision + (latest.Header.Revision-latest.CompactRevision)/2
	info, err := sandbox(t).Inspect(t.Context(), c.Members[0].DataDir, datadir.Options{HashAt: at})
	if err != nil {
		t.Fatal(err)
	}
	c.Members[0].Start(t)
	want, err := c.Client(t).HashKV(clustertest.Context(t, time.Minute), c.Members[0].ClientURL, at)
	if err != nil {
		t.Fatal(err)
	}
	if info.DB == nil || info.DB.Hash == nil || info.DB.Hash.Hash != want.Hash {
		t.Errorf("seed %d: hash at %d: %+v, the member says %d", seed, at, info.DB, want.Hash)
	}
}

// checkSnapshot saves a snapshot, inspects it, and damages it a hundred times: never a crash, always told.
func checkSnapshot(t *testing.T, c *clustertest.Cluster, want *clientv3.HashKVResponse) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "s.db")
	if _, err := snapshot.SaveWithVersion(t.Context(), zap.NewNop(), clientv3.Config{Endpoints: c.Endpoints()[:1]}, file); err != nil {
		t.Fatal(err)
	}
	info := inspect(t, file)
	if info.Kind != datadir.KindSnapshot || info.State != datadir.StateClean || info.DB.Hash.Hash != want.Hash || info.DB.Checksum == nil || !*info.DB.Checksum {
		t.Fatalf("snapshot: %+v", info)
	}
	clean, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 2))
	for i := range mutations(100) {
		b := slices.Clone(clean)
		for range 1 + random.IntN(8) {
			b[random.IntN(len(b))] ^= byte(1 + random.IntN(255))
		}
		if i%10 == 9 {
			b = b[:random.IntN(len(b))]
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if info := inspect(t, file); info.State == datadir.StateClean && info.Kind == datadir.KindSnapshot {
			t.Errorf("seed %d: mutation %d is not told", seed, i)
		}
	}
}

// TestDatabaseMutations changes the pages that hold a database together, without a checksum that would tell: reading ends,
// in one process for all, without a panic.
func TestDatabaseMutations(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 1})
	write(t, c.Client(t), 7)
	c.Members[0].Kill(t)
	db := filepath.Join(c.Members[0].DataDir, "member", "snap", "db")
	clean, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	before := inspect(t, c.Members[0].DataDir)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 3))
	const page = 4096
	used := int(before.DB.InUse) * 2
	told, all := 0, mutations(200)
	for i := range all {
		b := slices.Clone(clean)
		at := random.IntN(min(used, len(b))/page)*page + random.IntN(64) // heads of pages and their first elements
		b[at] ^= byte(1 + random.IntN(255))
		if err := os.WriteFile(db, b, 0o600); err != nil {
			t.Fatal(err)
		}
		after := inspect(t, c.Members[0].DataDir)
		if after.State != datadir.StateClean || len(after.Problems) > 0 {
			told++
			continue
		}
		if got, want := fmt.Sprintf("%+v", *after.DB.Hash), fmt.Sprintf("%+v", *before.DB.Hash); got != want {
			t.Logf("seed %d: mutation %d at %d shows in the hash only", seed, i, at)
			told++
		}
	}
	if told < max(1, all/20) {
		t.Errorf("seed %d: only %d of %d mutations were noticed: they miss the pages in use", seed, told, all)
	}
}

// mutations is a part of a number where the race detector looks on: it makes each inspection twenty times slower.
func mutations(all int) int {
	if testing.Short() {
		return all / 5
	}
	return all
}

// TestSandbox bounds what a file can do to the process that reads it.
func TestSandbox(t *testing.T) {
	t.Parallel()
	box := sandbox(t)
	if _, err := box.Inspect(t.Context(), filepath.Join(t.TempDir(), "nothing"), datadir.Options{}); err == nil {
		t.Error("a path that does not exist is no error")
	}
	if _, err := box.Inspect(t.Context(), t.TempDir(), datadir.Options{}); err == nil || !strings.Contains(err.Error(), "no data directory") {
		t.Errorf("an empty directory: %v", err)
	}
	dead := datadir.Sandbox{Path: "/bin/sh", Args: []string{"sh", "-c", "echo page fault >&2; kill -SEGV $$"}}
	info, err := dead.Inspect(t.Context(), t.TempDir(), datadir.Options{})
	if err != nil || info.State != datadir.StateUnreadable || !strings.Contains(info.Problems[0].Text, "page fault") {
		t.Errorf("a child that crashes: %+v, %v", info, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := box.Inspect(ctx, newLog(t, 3, 3), datadir.Options{}); err == nil {
		t.Error("a cancelled inspection is no error")
	}
}
