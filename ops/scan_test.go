package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// scanAll collects a scan.
func scanAll(tb testing.TB, s *Scan) []*mvccpb.KeyValue {
	tb.Helper()
	var all []*mvccpb.KeyValue
	for kvs, err := range s.Chunks(clustertest.Context(tb, time.Minute)) {
		if err != nil {
			tb.Fatalf("scan broke off after %d keys: %v", len(all), err)
		}
		if len(kvs) == 0 {
			tb.Error("an empty chunk")
		}
		for _, kv := range kvs {
			all = append(all, proto.CloneOf(kv)) // chunks are used again
		}
	}
	return all
}

// fill puts n keys of the given value size under prefix, in transactions.
func fill(tb testing.TB, client *clientv3.Client, prefix string, n, valueSize int) {
	tb.Helper()
	ctx := clustertest.Context(tb, time.Minute)
	value := strings.Repeat("v", valueSize)
	batch := max(1, min(100, (1<<20)/(valueSize+1)))
	for i := 0; i < n; i += batch {
		var puts []clientv3.Op
		for j := i; j < min(n, i+batch); j++ {
			puts = append(puts, clientv3.OpPut(fmt.Sprintf("%s%06d", prefix, j), value))
		}
		if _, err := client.Txn(ctx).Then(puts...).Commit(); err != nil {
			tb.Fatal(err)
		}
	}
}

func dial(tb testing.TB, cfg Config) *Cluster {
	tb.Helper()
	c, err := Dial(clustertest.Context(tb, 10*time.Second), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// TestScanEqualsGet holds the scan against Get: same keys, values, header, count and more, streamed and by pages.
func TestScanEqualsGet(t *testing.T) {
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd, clustertest.KindEtcd34} {
		t.Run(kind.String(), func(t *testing.T) {
			cluster := clustertest.New(t, clustertest.Options{Kind: kind})
			client := cluster.Client(t)
			ctx := clustertest.Context(t, time.Minute)
			fill(t, client, "/a/", 300, 10)
			fill(t, client, "/b/", 20, 50_000)
			lease, err := client.Grant(ctx, 600)
			if err != nil {
				t.Fatal(err)
			}
			put, err := client.Put(ctx, "/a/lease", "", clientv3.WithLease(lease.ID))
			if err != nil {
				t.Fatal(err)
			}
			fill(t, client, "/a/", 50, 12)
			if _, err := client.Delete(ctx, "/a/000007"); err != nil {
				t.Fatal(err)
			}
			c := dial(t, Config{Endpoints: cluster.Endpoints()})
			old := put.Header.Revision
			for _, tc := range []struct {
				name string
				opts ScanOptions
			}{
				{"prefix", ScanOptions{Key: "/a/", End: "/a0"}},
				{"all", ScanOptions{Key: "\x00", End: "\x00"}},
				{"from key", ScanOptions{Key: "/a/000250", End: "\x00"}},
				{"keys only", ScanOptions{Key: "/", End: "0", KeysOnly: true}},
				{"old revision", ScanOptions{Key: "/", End: "0", Revision: old}},
				{"limit", ScanOptions{Key: "/", End: "0", Limit: 40}},
				{"limit of all", ScanOptions{Key: "/b/", End: "/b0", Limit: 20}},
				{"limit above all", ScanOptions{Key: "/b/", End: "/b0", Limit: 21}},
				{"limit 1", ScanOptions{Key: "/a/", End: "/a0", Limit: 1}},
				{"serializable", ScanOptions{Key: "/a/", End: "/a0", Serializable: true}},
				{"no keys", ScanOptions{Key: "/c/", End: "/c0"}},
				{"empty range", ScanOptions{Key: "/b", End: "/a"}},
			} {
				t.Run(tc.name, func(t *testing.T) { compareWithGet(t, c, client, tc.opts) })
			}
		})
	}
}

func compareWithGet(t *testing.T, c *Cluster, client *clientv3.Client, o ScanOptions) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	opts := []clientv3.OpOption{clientv3.WithRange(o.End), clientv3.WithRev(o.Revision), clientv3.WithLimit(o.Limit)}
	if o.KeysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	want, err := client.Get(ctx, o.Key, opts...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Scan(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	s.page.keys = 7 // small pages, so that there are several; streams start with chunks of ten
	got := scanAll(t, s)
	if !slices.EqualFunc(want.Kvs, got, func(a, b *mvccpb.KeyValue) bool { return proto.Equal(a, b) }) {
		t.Errorf("%d keys that are not the %d of Get", len(got), len(want.Kvs))
	}
	if !proto.Equal(want.Header, s.Header) {
		t.Errorf("header %v, Get's is %v", s.Header, want.Header)
	}
	wantTotal := ScanTotal{Seen: int64(len(want.Kvs)), Count: want.Count, More: want.More}
	if s.Total() != wantTotal {
		t.Errorf("Total() = %+v, want %+v", s.Total(), wantTotal)
	}
}

// atFirstChunk scans keys and calls do when the first of them have come.
func atFirstChunk(tb testing.TB, s *Scan, do func()) (keys []string, err error) {
	tb.Helper()
	for kvs, err := range s.Chunks(clustertest.Context(tb, time.Minute)) {
		if err != nil {
			return keys, err
		}
		if len(keys) == 0 {
			do()
		}
		for _, kv := range kvs {
			keys = append(keys, string(kv.Key))
		}
	}
	return keys, nil
}

func newScan(tb testing.TB, c *Cluster, o ScanOptions) *Scan {
	tb.Helper()
	s, err := c.Scan(clustertest.Context(tb, 10*time.Second), o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestScanReadsOneRevision(t *testing.T) {
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd, clustertest.KindEtcd34} {
		t.Run(kind.String(), func(t *testing.T) {
			cluster := clustertest.New(t, clustertest.Options{Kind: kind})
			client := cluster.Client(t)
			fill(t, client, "/k/", 3000, 1000)
			s := newScan(t, dial(t, Config{Endpoints: cluster.Endpoints()}), ScanOptions{Key: "/k/", End: "/k0"})
			s.page.keys = 10
			keys, err := atFirstChunk(t, s, func() {
				fill(t, client, "/k/z", 10, 10)
				if _, err := client.Delete(t.Context(), "/k/002", clientv3.WithPrefix()); err != nil {
					t.Error(err)
				}
			})
			if err != nil || len(keys) != 3000 || keys[2999] != "/k/002999" {
				t.Errorf("%d keys, %v; want the 3000 that there were at the start", len(keys), err)
			}
		})
	}
}

func TestScanResumesAfterTheConnectionBroke(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	fill(t, cluster.Client(t), "/k/", 3000, 1000)
	s := newScan(t, dial(t, Config{Endpoints: cluster.Endpoints()}), ScanOptions{Key: "/k/", End: "/k0", Limit: 2990})
	keys, err := atFirstChunk(t, s, func() {
		cluster.Members[0].Kill(t)
		cluster.Members[0].Start(t)
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if want := fmt.Sprintf("/k/%06d", i); key != want {
			t.Fatalf("key %d is %s, want %s", i, key, want)
		}
	}
	if want := (ScanTotal{Seen: 2990, Count: 3000, More: true}); s.Total() != want {
		t.Errorf("Total() = %+v, want %+v", s.Total(), want)
	}
}

// TestScanResumesBehindItsLimit resumes where the last key wanted has come, and the end of the answer has not.
func TestScanResumesBehindItsLimit(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	fill(t, cluster.Client(t), "/k/", 30, 10)
	c := dial(t, Config{Endpoints: cluster.Endpoints()})
	for limit, more := range map[int64]bool{20: true, 30: false} {
		s := newScan(t, c, ScanOptions{Key: "/k/", End: "/k0", Limit: limit})
		s.seen, s.next = limit, fmt.Sprintf("/k/%06d\x00", limit-1)
		if got := scanAll(t, s); len(got) != 0 {
			t.Errorf("limit %d: %d keys more", limit, len(got))
		}
		if want := (ScanTotal{Seen: limit, Count: 30, More: more}); s.Total() != want {
			t.Errorf("limit %d: Total() = %+v, want %+v", limit, s.Total(), want)
		}
	}
}

// TestScanWithoutQuorum holds that a scan which cannot begin is no interruption, and says why.
func TestScanWithoutQuorum(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{Size: 3})
	for _, member := range cluster.Members[1:] {
		member.Kill(t)
	}
	c := dial(t, Config{Endpoints: cluster.Endpoints()[:1], CommandTimeout: 500 * time.Millisecond})
	_, err := c.Scan(t.Context(), ScanOptions{Key: "/k/", End: "/k0"})
	hint, ok := errors.AsType[*HintError](err)
	if !ok || hint.Class != ClassUnreachable || hint.Code != CodeSlow {
		t.Errorf("error %v, want %s", err, CodeSlow)
	}
}

// TestScanBreaksOff holds that a scan which cannot go on says so, and how far it came.
func TestScanBreaksOff(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	client := cluster.Client(t)
	member := cluster.Members[0]
	fill(t, client, "/k/", 3000, 1000)
	for _, tc := range []struct {
		name   string
		limit  time.Duration
		do     func()
		undo   func()
		code   Code
		class  Class
		saying string
	}{
		{
			name: "silence", limit: time.Second, do: func() { member.Pause(t) }, undo: func() { member.Resume(t) },
			code: CodeScanBroken, class: ClassUnreachable, saying: "no data came for 1s",
		},
		{
			name: "compaction", limit: 20 * time.Second, do: func() { compactAll(t, client) }, undo: func() {},
			code: CodeCompacted, class: ClassFailure, saying: "compacted away meanwhile",
		},
		{
			name: "member gone", limit: 20 * time.Second, do: func() { member.Kill(t) }, undo: func() { member.Start(t) },
			code: CodeScanBroken, class: ClassUnreachable, saying: "refused",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScan(t, dial(t, Config{Endpoints: cluster.Endpoints(), CommandTimeout: tc.limit}), ScanOptions{Key: "/k/", End: "/k0"})
			keys, err := atFirstChunk(t, s, tc.do)
			tc.undo()
			hint, ok := errors.AsType[*HintError](err)
			if !ok || hint.Code != tc.code || hint.Class != tc.class || !strings.Contains(err.Error(), tc.saying) {
				t.Fatalf("error %v (%T), want %s of class %d saying %q", err, err, tc.code, tc.class, tc.saying)
			}
			if want := fmt.Sprintf("broke off after %d keys", len(keys)); !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
			if len(keys) == 0 || len(keys) == 3000 {
				t.Errorf("%d keys came, want some", len(keys))
			}
		})
	}
}

func compactAll(tb testing.TB, client *clientv3.Client) {
	tb.Helper()
	put, err := client.Put(tb.Context(), "/other", "x")
	if err == nil {
		_, err = client.Compact(tb.Context(), put.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		tb.Error(err)
	}
}

func TestScanEndsWhenCancelled(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	fill(t, cluster.Client(t), "/k/", 3000, 1000)
	s := newScan(t, dial(t, Config{Endpoints: cluster.Endpoints()}), ScanOptions{Key: "/k/", End: "/k0"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for kvs, err := range s.Chunks(ctx) {
		if len(kvs) > 0 {
			cancel()
		}
		last = err
	}
	hint, ok := errors.AsType[*HintError](last)
	if !ok || hint.Class != ClassInterrupted || !errors.Is(last, context.Canceled) {
		t.Errorf("error %v, want an interruption", last)
	}
}

func TestScanOfCompactedRevision(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	client := cluster.Client(t)
	fill(t, client, "/k/", 10, 10)
	compactAll(t, client)
	c := dial(t, Config{Endpoints: cluster.Endpoints()})
	_, err := c.Scan(t.Context(), ScanOptions{Key: "/k/", End: "/k0", Revision: 1})
	if CodeOf(err) != CodeCompacted {
		t.Errorf("error %v, want %s", err, CodeCompacted)
	}
}

// TestScanTakesLargeMessagesApart lowers the limit of a message, so that chunks and pages exceed it.
func TestScanTakesLargeMessagesApart(t *testing.T) {
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd, clustertest.KindEtcd34} {
		t.Run(kind.String(), func(t *testing.T) {
			cluster := clustertest.New(t, clustertest.Options{Kind: kind})
			client := cluster.Client(t)
			fill(t, client, "/k/a", 400, 10)
			fill(t, client, "/k/b", 100, 20_000)
			fill(t, client, "/k/c", 1, 1_000_000)
			want, err := client.Get(t.Context(), "/k/", clientv3.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			s := newScan(t, dial(t, Config{Endpoints: cluster.Endpoints()}), ScanOptions{Key: "/k/", End: "/k0"})
			s.message, s.pageLimit = 30_000, 30_000
			got := scanAll(t, s)
			if len(got) != len(want.Kvs) {
				t.Fatalf("%d keys, want %d", len(got), len(want.Kvs))
			}
			for i, kv := range got {
				if !bytes.Equal(kv.Key, want.Kvs[i].Key) || !bytes.Equal(kv.Value, want.Kvs[i].Value) {
					t.Fatalf("key %d is %s, want %s", i, kv.Key, want.Kvs[i].Key)
				}
			}
		})
	}
}

func TestScanWithTLSAndAuth(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{TLS: true, Auth: &clustertest.Auth{}, Size: 3})
	fill(t, cluster.Client(t), "app/", 500, 10)
	c := dial(t, Config{
		Endpoints: cluster.Endpoints(),
		TLS:       TLS{CACert: cluster.TLS.CACert, Cert: cluster.TLS.ClientCert, Key: cluster.TLS.ClientKey},
		Auth:      Auth{User: cluster.Auth.User, Password: cluster.Auth.Password},
	})
	for _, serializable := range []bool{false, true} {
		s := newScan(t, c, ScanOptions{Key: "app/", End: "app0", Serializable: serializable})
		if got := scanAll(t, s); len(got) != 500 {
			t.Errorf("serializable %v: %d keys, want 500", serializable, len(got))
		}
	}
	if _, err := c.Scan(t.Context(), ScanOptions{Key: "\x00", End: "\x00"}); CodeOf(err) != CodePermissionDenied {
		t.Errorf("scan of all: %v, want %s", err, CodePermissionDenied)
	}
}

func TestPager(t *testing.T) {
	p := newPager(false)
	for _, step := range []struct {
		n, bytes int
		want     int64
	}{
		{1000, 1000 * 1200, 4000},   // grows, but not by more than fourfold
		{4000, 4000 * 1200, 6553},   // to what fits the memory
		{6553, 6553 * 1_000_000, 8}, // shrinks at once
		{8, 8 * 100, 32},            // and grows again slowly
		{0, 20, 32},                 // an empty page says nothing
		{1, 100 << 20, 1},           // never below one key
		{1, 100, 4},                 //
	} {
		p.saw(step.n, step.bytes)
		if p.keys != step.want {
			t.Errorf("after a page of %d keys and %d bytes: next %d, want %d", step.n, step.bytes, p.keys, step.want)
		}
	}
	p.keys = 9
	for _, want := range []int64{1} {
		if !p.tooLarge() || p.keys != want {
			t.Errorf("after a page too large: next %d, want %d", p.keys, want)
		}
	}
	if p.tooLarge() {
		t.Error("a page of one key was divided")
	}
}
