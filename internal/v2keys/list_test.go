package v2keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.uber.org/zap"
)

// newKV is a store of v3 on a disk, without a member.
func newKV(t *testing.T) (*store, mvcc.WatchableKV) {
	t.Helper()
	cfg := backend.DefaultBackendConfig(zap.NewNop())
	cfg.Path, cfg.UnsafeNoFsync = filepath.Join(t.TempDir(), "db"), true
	b := backend.New(cfg)
	kv := mvcc.New(zap.NewNop(), b, &lease.FakeLessor{}, mvcc.StoreConfig{})
	t.Cleanup(func() {
		_ = kv.Close()
		_ = b.Close()
	})
	return &store{kv: func() mvcc.KV { return kv }}, kv
}

// listingOf is a listing of all that a store has now.
func listingOf(s *store, dir string, recursive bool, out io.Writer) *listing {
	from, end := subtree(dir)
	var nobody *user
	return &listing{
		out: out, recursive: recursive, now: time.Unix(0, 0), top: dir,
		pages: &pages{store: s, revision: s.kv().Rev(), from: from, to: from, end: end, check: nobody.stillMay},
	}
}

// TestListingTrees lists random trees as the old store would: names that stand between a directory and what is in it,
// hidden ones, empty directories, and what expired directories left behind.
func TestListingTrees(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 4 {
		s, kv := newKV(t)
		root := &v2store.NodeExtern{Dir: true}
		dirs := []*v2store.NodeExtern{root}
		for range 2500 { // more than a page
			parent := dirs[random.IntN(len(dirs))]
			names := []string{"a", "a-b", "a b", "a.", "a0", "b", "_h", "é", strconv.Itoa(random.IntN(1000))}
			p := path.Join("/", parent.Key, names[random.IntN(len(names))])
			if slices.ContainsFunc(parent.Nodes, func(n *v2store.NodeExtern) bool { return n.Key == p }) {
				continue
			}
			n := &v2store.NodeExtern{Key: p, Dir: random.IntN(3) == 0, CreatedIndex: 3, ModifiedIndex: 7}
			value := strings.Repeat("<v>", random.IntN(5))
			if !n.Dir {
				n.Value = &value
			}
			head := envelope{Dir: n.Dir, Created: 3, Modified: 7}
			if orphan := random.IntN(40) == 0; orphan {
				p += "/x/y" // below something that is not there
			} else {
				parent.Nodes = append(parent.Nodes, n)
				if n.Dir {
					dirs = append(dirs, n)
				}
			}
			kv.Put([]byte(Key(p)), []byte(head.encode(value)), lease.NoLease)
		}
		for _, recursive := range []bool{true, false} {
			for _, top := range []*v2store.NodeExtern{root, dirs[random.IntN(len(dirs))]} {
				var got bytes.Buffer
				n := &node{path: path.Join("/", top.Key), dir: true, created: top.CreatedIndex, modified: top.ModifiedIndex}
				if err := listingOf(s, n.path, recursive, &got).document(t.Context(), n); err != nil {
					t.Fatal(err)
				}
				var want bytes.Buffer
				event := &v2store.Event{Action: v2store.Get, Node: shownOf(top, recursive, true)}
				if err := json.NewEncoder(&want).Encode(event); err != nil {
					t.Fatal(err)
				}
				if got.String() != want.String() {
					t.Errorf("%s, recursive %v:\n%.3000s\nwant\n%.3000s", n.path, recursive, got.String(), want.String())
				}
			}
		}
	}
}

// shownOf is the tree without hidden nodes, and of one level unless recursive.
func shownOf(n *v2store.NodeExtern, recursive, top bool) *v2store.NodeExtern {
	shown := *n
	shown.Nodes = nil
	if !recursive && !top {
		return &shown
	}
	for _, child := range n.Nodes {
		if !hidden(child.Key) {
			shown.Nodes = append(shown.Nodes, shownOf(child, recursive, false))
		}
	}
	slices.SortFunc(shown.Nodes, func(a, b *v2store.NodeExtern) int { return strings.Compare(a.Key, b.Key) })
	return &shown
}

// TestListingMemory lists a tree of 96 MiB and measures what the process holds meanwhile.
func TestListingMemory(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	s, kv := newKV(t)
	value := strings.Repeat("x", 512<<10)
	const keys = 192
	for i := range keys {
		kv.Put(fmt.Appendf(nil, "%s/d%d/f%03d", nodePrefix, i%4, i), []byte(envelope{}.encode(value)), lease.NoLease)
		kv.Put(fmt.Appendf(nil, "%s/d%d", nodePrefix, i%4), []byte(envelope{Dir: true}.encode("")), lease.NoLease)
		if i%16 == 0 {
			kv.Commit() // what is not committed yet stands in memory
		}
	}
	kv.Commit()
	const bound = 24 << 20 // a page, and what one read can add to it: 16 values
	base := liveHeap()
	out := &measured{}
	if err := listingOf(s, "/", true, out).document(t.Context(), &node{path: "/", dir: true}); err != nil {
		t.Fatal(err)
	}
	if out.bytes < keys*len(value) {
		t.Fatalf("%d bytes were listed: the test proves nothing", out.bytes)
	}
	t.Logf("%d MiB listed, at most %d KiB held", out.bytes>>20, (int64(out.most)-int64(base))>>10)
	if out.most > base+bound {
		t.Errorf("%d bytes were held at once, more than %d", out.most-base, bound)
	}
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// measured counts what is written to it, and looks at the memory now and then.
type measured struct {
	bytes, calls int
	most         uint64
}

func (m *measured) Write(text []byte) (int, error) {
	m.bytes += len(text)
	if m.calls++; m.calls%32 == 0 {
		m.most = max(m.most, liveHeap())
	}
	return len(text), nil
}

// TestPageEnds: a page ends with the read that passes the bound.
func TestPageEnds(t *testing.T) {
	t.Parallel()
	s, kv := newKV(t)
	for i := range 3000 {
		kv.Put(fmt.Appendf(nil, "%s/%04d", nodePrefix, i), []byte(envelope{}.encode(strings.Repeat("x", i))), lease.NoLease)
	}
	l := listingOf(s, "/", true, io.Discard)
	total, loads := 0, 0
	for from := Key("/"); from < l.pages.end; from = l.pages.to {
		if err := l.pages.load(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, kv := range l.pages.kvs {
			size += len(kv.Key) + len(kv.Value)
		}
		if most := pageBytes + readKeys*3100; size > most || len(l.pages.kvs) > pageKeys+readKeys {
			t.Errorf("a page of %d keys and %d bytes", len(l.pages.kvs), size)
		}
		total += len(l.pages.kvs)
		loads++
	}
	if total != 3000 || loads < 5 {
		t.Errorf("%d keys in %d pages", total, loads)
	}
}

// TestListingEnds: a listing ends when its revision is compacted, its user's rights may have changed, or the member closes.
func TestListingEnds(t *testing.T) {
	t.Parallel()
	s, kv := newKV(t)
	kv.Put([]byte(Key("/a")), []byte(envelope{}.encode("x")), lease.NoLease)
	root := &node{path: "/", dir: true}
	old := listingOf(s, "/", true, io.Discard)
	refused := listingOf(s, "/", true, io.Discard)
	refused.pages.check = unauthorized
	if err := refused.document(t.Context(), root); err == nil {
		t.Error("rights that have ended did not matter")
	}
	kv.Put([]byte(Key("/a")), []byte(envelope{}.encode("y")), lease.NoLease)
	done, err := kv.Compact(traceutil.TODO(), kv.Rev())
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if err := old.document(t.Context(), root); !errors.Is(err, mvcc.ErrCompacted) {
		t.Errorf("after compaction: %v", err)
	}
	s.close()
	if err := listingOf(s, "/", true, io.Discard).document(t.Context(), root); !errors.Is(err, errStopping) {
		t.Errorf("after the end: %v", err)
	}
}
