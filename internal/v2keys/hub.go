package v2keys

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Bounds of what waiting requests cost.
const (
	maxWaiters = 10_000
	maxRing    = 1000     // events that are kept, as the old store did
	ringBytes  = 16 << 20 // what they may take together
	maxQueued  = 100      // events that a stream may be behind
	queueBytes = 64 << 20 // what queued events may take together beyond the ring
	maxScans   = 8        // looks into the history of v3 at once
)

// hub turns one watch of v3 over the whole tree into events of v2 and hands them to those who wait for them. It costs
// nothing until somebody waits, or gives a directory a TTL.
type hub struct {
	store *store
	start func() // begins the watch, once; with mu held, and not when closed
	end   context.CancelFunc
	ended <-chan struct{} // closed by end
	all   sync.WaitGroup  // what start began
	scans chan struct{}   // looks into the history of v3 at once

	mu       sync.Mutex
	closed   bool
	seen     uint64 // all changes up to this revision have been handed out
	ring     []*event
	ringFrom uint64 // the ring has all events from this revision on
	ringLen  int
	queued   int
	expired  uint64                          // nodes, since the watch began
	waiters  map[string]map[*waiter]struct{} // by path
	count    int
}

// event is one of v2, shared by all who wait for it.
type event struct {
	*v2store.Event
	index   uint64
	refresh bool
	removed map[string]bool // paths that went with a directory
	size    int
	refs    int // queues that hold it; guarded by hub.mu

	once sync.Once
	text []byte
}

func newHub(s *store) *hub {
	ctx, cancel := context.WithCancel(context.Background())
	h := &hub{
		store: s, end: cancel, ended: ctx.Done(), scans: make(chan struct{}, maxScans), waiters: map[string]map[*waiter]struct{}{},
	}
	h.start = sync.OnceFunc(func() {
		h.seen = uint64(s.member.KV().Rev())
		h.ringFrom = h.seen + 1
		h.all.Go(func() { h.run(ctx) })
		h.all.Go(func() { h.tidy(ctx) })
	})
	return h
}

// need begins the watch if it has not begun.
func (h *hub) need() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.start()
	}
}

// close ends the watch and closes all who wait.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.closeAll()
	h.mu.Unlock()
	h.end()
	h.all.Wait()
}

// run watches until it is cancelled. When the history that it has not seen was compacted, waiters are closed: what they
// missed cannot be told any more.
func (h *hub) run(ctx context.Context) {
	for ctx.Err() == nil {
		compacted := h.follow(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		if compacted > 0 {
			h.mu.Lock()
			h.closeAll()
			h.ring, h.ringLen = nil, 0
			h.seen = max(h.seen, compacted)
			h.ringFrom = h.seen + 1
			h.mu.Unlock()
		}
	}
}

// follow hands out what one watch brings, and returns when that ends; above 0: the revision that was compacted.
func (h *hub) follow(ctx context.Context) (compacted uint64) {
	h.mu.Lock()
	from := h.seen + 1
	h.mu.Unlock()
	changes, err := h.watch(ctx, from)
	if err != nil {
		return 0
	}
	defer changes.Close()
	for {
		select {
		case <-ctx.Done():
			return 0
		case resp := <-changes.Chan():
			mvcc.ReportEventReceived(len(resp.Events))
			if resp.CompactRevision > 0 {
				return uint64(resp.CompactRevision)
			}
			for _, e := range eventsOf(resp.Events, h.store.before, time.Now()) {
				h.handOut(ctx, e)
			}
		}
	}
}

// watch is one of the member's own store, of every node and of the journal. It brings no earlier values: the removal of a
// large directory would bring all of them at once.
func (h *hub) watch(ctx context.Context, from uint64) (mvcc.WatchStream, error) {
	changes := h.store.member.Watchable().NewWatchStream()
	if _, err := changes.Watch(ctx, watchID, []byte(journalKey), []byte(watchEnd), int64(from)); err != nil {
		changes.Close()
		return nil, err
	}
	return changes, nil
}

// watchID is the only watch of its stream.
const watchID mvcc.WatchID = 0

// before is what a key held before a revision, nil if nothing or if that was compacted.
func (s *store) before(key []byte, revision int64) (kv *mvccpb.KeyValue) {
	_ = s.reading(func(kvs mvcc.KV) error {
		got, err := kvs.Range(context.Background(), key, nil, mvcc.RangeOptions{Rev: revision - 1})
		if err == nil && len(got.KVs) > 0 {
			kv = got.KVs[0]
		}
		return nil
	})
	return kv
}

// beforeFunc tells what a key held before a revision.
type beforeFunc func(key []byte, revision int64) *mvccpb.KeyValue

// eventsOf reads changes of v3, whole revisions in order, as events of v2.
func eventsOf(changes []*mvccpb.Event, before beforeFunc, now time.Time) []*event {
	var all []*event
	for len(changes) > 0 {
		revision := changes[0].Kv.ModRevision
		n := 1
		for n < len(changes) && changes[n].Kv.ModRevision == revision {
			n++
		}
		all = append(all, revisionEvents(changes[:n], uint64(revision), before, now)...)
		changes = changes[n:]
	}
	return all
}

// revisionEvents reads what one transaction did. A put tells its action itself, the journal tells that of a removal, and
// what was removed without was removed by a lease.
func revisionEvents(changes []*mvccpb.Event, index uint64, before beforeFunc, now time.Time) []*event {
	var note *journal
	var all []*event
	removed := map[string]bool{}
	for _, c := range changes {
		switch {
		case string(c.Kv.Key) == journalKey:
			if c.Type == mvccpb.PUT {
				read := decodeJournal(c.Kv.Value)
				note = &read
			}
		case !strings.HasPrefix(string(c.Kv.Key), Key("/")): // somebody writes here by v3
		case c.Type == mvccpb.PUT:
			if e := putEvent(c, index, before, now); e != nil {
				all = append(all, e)
			}
		default:
			removed[string(c.Kv.Key[len(nodePrefix):])] = true
		}
	}
	switch {
	case note == nil:
		for p := range removed {
			all = append(all, removeEvent(v2store.Expire, p, index, before, now))
		}
	case note.Action != sweep:
		e := removeEvent(note.Action, note.Path, index, before, now)
		delete(removed, note.Path)
		e.removed = removed
		all = append(all, e)
	}
	return all
}

// putEvent is nil for a directory that was made on the way.
func putEvent(c *mvccpb.Event, index uint64, before beforeFunc, now time.Time) *event {
	n, err := decode(c.Kv)
	if err != nil || n.action == "" {
		return nil
	}
	node := n.extern(now)
	node.ModifiedIndex = index
	if node.Expiration != nil {
		node.TTL = n.ttl
	}
	e := &event{
		Event: &v2store.Event{Action: n.action, Node: node}, index: index, refresh: n.refresh,
		size: len(c.Kv.Value) + eventOverhead,
	}
	if n.action != v2store.Create {
		e.setPrev(before(c.Kv.Key, int64(index)), now)
	}
	return e
}

// eventOverhead is about what an event takes beside its values.
const eventOverhead = 1024

func removeEvent(action, p string, index uint64, before beforeFunc, now time.Time) *event {
	e := &event{
		Event: &v2store.Event{Action: action, Node: &v2store.NodeExtern{Key: p, ModifiedIndex: index}}, index: index,
		removed: map[string]bool{}, size: eventOverhead,
	}
	e.setPrev(before([]byte(Key(p)), int64(index)), now)
	if e.PrevNode != nil {
		e.Node.Dir, e.Node.CreatedIndex = e.PrevNode.Dir, e.PrevNode.CreatedIndex
	}
	return e
}

func (e *event) setPrev(prev *mvccpb.KeyValue, now time.Time) {
	if prev == nil {
		return
	}
	if n, err := decode(prev); err == nil {
		e.PrevNode = n.extern(now)
		e.size += len(prev.Value)
	}
}

// json is the event as it is sent, made once for all.
func (e *event) json() []byte {
	e.once.Do(func() {
		var b bytes.Buffer
		_ = json.NewEncoder(&b).Encode(e.Event) // strings and numbers
		e.text = b.Bytes()
	})
	return e.text
}

// expiredDir reports whether the event leaves nodes behind that nobody removed yet.
func (e *event) expiredDir() bool {
	return e.Action == v2store.Expire && e.Node.Dir
}

// handOut keeps the event and gives it to those who wait for it.
func (h *hub) handOut(ctx context.Context, e *event) {
	if e.expiredDir() {
		h.expireBelow(ctx, e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = max(h.seen, e.index)
	h.keep(e)
	if e.Action == v2store.Expire {
		h.expired++
	}
	if e.refresh {
		return
	}
	for p := e.Node.Key; ; p = parentOf(p) {
		for w := range h.waiters[p] {
			if p == e.Node.Key || w.recursive && !hiddenBelow(p, e.Node.Key) {
				h.give(w, e)
			}
		}
		if p == "/" {
			break
		}
	}
	for p := range e.removed {
		for w := range h.waiters[p] {
			h.give(w, e)
		}
	}
	e.removed = nil // the ring needs it no more, and it can be large
}

// keep puts the event into the ring, which forgets the oldest.
func (h *hub) keep(e *event) {
	h.ring = append(h.ring, e)
	h.ringLen += e.size
	for len(h.ring) > maxRing || len(h.ring) > 1 && h.ringLen > ringBytes {
		h.ringLen -= h.ring[0].size
		h.ringFrom = h.ring[0].index + 1
		h.ring[0] = nil
		h.ring = h.ring[1:]
	}
}
