package v2keys

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// TestTooManyWaiters refuses the request that would wait beyond the bound, and all when the member closes.
func TestTooManyWaiters(t *testing.T) {
	t.Parallel()
	h := newHub(&store{})
	h.count = maxWaiters
	if _, _, _, err := h.join(&request{path: "/a"}); !errors.Is(err, errTooMany) {
		t.Errorf("the bound: %v", err)
	}
	h.close()
	if _, _, _, err := h.join(&request{path: "/a"}); !errors.Is(err, errStopping) {
		t.Errorf("after the end: %v", err)
	}
}

// fakeEvent is one of about a size.
func fakeEvent(index uint64, size int) *event {
	return &event{Event: &v2store.Event{Action: v2store.Set, Node: &v2store.NodeExtern{Key: "/a"}}, index: index, size: size}
}

// streamAt lets somebody wait for /a.
func streamAt(h *hub) *waiter {
	w := &waiter{path: "/a", stream: true, since: 1, events: make(chan *event, maxQueued)}
	if h.waiters["/a"] == nil {
		h.waiters["/a"] = map[*waiter]struct{}{}
	}
	h.waiters["/a"][w] = struct{}{}
	h.count++
	return w
}

// TestSlowReaders cuts off who is too far behind, in events or in bytes, and only them; what they held is given back.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	h := newHub(&store{})
	slow, quick := streamAt(h), streamAt(h)
	for i := range maxQueued + 1 {
		h.handOut(t.Context(), fakeEvent(uint64(i+1), 1))
		h.release(<-quick.events)
	}
	if !slow.closed || quick.closed || h.count != 1 {
		t.Errorf("slow reader closed %v, quick one %v, %d wait", slow.closed, quick.closed, h.count)
	}
	h.leave(slow)
	if h.queued != 0 {
		t.Errorf("%d bytes are held by nobody", h.queued)
	}
	first, second := streamAt(h), streamAt(h)
	h.leave(quick)
	const size = queueBytes / 10
	for i := range 11 {
		h.handOut(t.Context(), fakeEvent(uint64(200+i), size))
	}
	if !first.closed || !second.closed || h.queued > queueBytes {
		t.Errorf("closed %v and %v with %d bytes queued", first.closed, second.closed, h.queued)
	}
	h.leave(first)
	h.leave(second)
	if h.queued != 0 || h.count != 0 {
		t.Errorf("%d bytes, %d waiting ones are left", h.queued, h.count)
	}
}

// TestRing keeps as many events as their number and size allow, and knows where they begin.
func TestRing(t *testing.T) {
	t.Parallel()
	h := newHub(&store{})
	h.ringFrom = 5
	for i := range maxRing + 10 {
		h.handOut(t.Context(), fakeEvent(uint64(10+i), 1))
	}
	if len(h.ring) != maxRing || h.ringFrom != 20 {
		t.Errorf("%d events from %d on", len(h.ring), h.ringFrom)
	}
	for i := range 20 {
		h.handOut(t.Context(), fakeEvent(uint64(5000+i), ringBytes/4))
	}
	if len(h.ring) != 4 || h.ringLen > ringBytes || h.ringFrom != 5016 {
		t.Errorf("%d events of %d bytes from %d on", len(h.ring), h.ringLen, h.ringFrom)
	}
	large := &event{Event: fakeEvent(6000, 1).Event, index: 6000, removed: map[string]bool{"/a/b": true}}
	if h.handOut(t.Context(), large); h.ring[len(h.ring)-1].removed != nil {
		t.Error("the ring keeps the paths of a removal, which are as many as the directory had")
	}
}

// TestForeignKeys: what others write into the range by v3 is no event, and does no harm.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	none := func([]byte, int64) *mvccpb.KeyValue { return nil }
	put := func(key, value string) *mvccpb.Event {
		return &mvccpb.Event{Type: mvccpb.PUT, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: 9}}
	}
	removed := &mvccpb.Event{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(nodePrefix + "foo"), ModRevision: 9}}
	good := envelope{Action: v2store.Set}.encode("x")
	for _, c := range []*mvccpb.Event{
		put(nodePrefix+"foo", good), put(nodePrefix, good), put(Prefix+"jx", good), put(Key("/a"), "rubbish"), put(Key("/a"), ""), removed,
		put(journalKey, "rubbish"), put(journalKey, "delete\nfoo"), put(journalKey, ""),
	} {
		if all := eventsOf([]*mvccpb.Event{c}, none, time.Now()); len(all) > 0 {
			t.Errorf("%s %q makes %+v", c.Kv.Key, c.Kv.Value, all[0].Event)
		}
	}
	if all := eventsOf([]*mvccpb.Event{put(Key("/a"), good)}, none, time.Now()); len(all) != 1 || all[0].Node.Key != "/a" {
		t.Errorf("a node makes %v", all)
	}
}

// TestEncode: what is written by hand is what encoding/json reads.
func TestEncode(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"/a", "/é\"\\<>&", "/\x00\x1f\n\u2028\xff", "/" + strings.Repeat("x", 300)} {
		note := journal{Action: v2store.Delete, Path: p}
		if got := decodeJournal([]byte(note.encode())); got != note {
			t.Errorf("%q becomes %q", p, got.Path)
		}
	}
	for i, e := range []envelope{
		{}, {Action: v2store.CompareAndSwap, Dir: true, Created: 1, Modified: 2, Expires: -3, TTL: 4, Refresh: true}, {Action: v2store.Set, Created: 1 << 62},
	} {
		kv := &mvccpb.KeyValue{Key: []byte(Key("/k")), Value: []byte(e.encode("v\nw")), ModRevision: 7}
		n, err := decode(kv)
		if err != nil {
			t.Fatal(err)
		}
		back := envelope{Action: n.action, Dir: n.dir, Created: n.created, Modified: n.modified, TTL: n.ttl, Refresh: n.refresh}
		want := e
		want.Expires = 0
		if e.Created == 0 {
			want.Created = 7
		}
		if e.Modified == 0 {
			want.Modified = 7
		}
		if fmt.Sprint(back) != fmt.Sprint(want) || !e.Dir && n.value != "v\nw" || e.Expires != 0 && n.expires.UnixNano() != e.Expires {
			t.Errorf("%d: %+v of %s", i, back, kv.Value)
		}
	}
}
