package v2keys

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// waiter is a request that waits for changes.
type waiter struct {
	path      string
	recursive bool
	stream    bool
	since     uint64
	events    chan *event // closed when no more can come
	closed    bool        // guarded by hub.mu
}

func parentOf(p string) string { return path.Dir(p) }

// hiddenBelow reports whether a node is hidden from those who wait further up.
func hiddenBelow(watched, p string) bool {
	return strings.Contains(path.Clean("/"+strings.TrimPrefix(p, watched)), "/_")
}

// wait answers a request with wait=true: its header at once, its events when they come.
func (s *service) wait(w http.ResponseWriter, r *http.Request, req *request, who *user) {
	if err := who.read(req.path, req.recursive); err != nil {
		writeFault(w, 0, asFault(err))
		return
	}
	index := uint64(s.member.KV().Rev())
	if req.since == 0 {
		req.since = index + 1
	}
	if compacted := s.member.KV().FirstRev(); compacted > 0 && req.since <= uint64(compacted) {
		writeFault(w, 0, v2error.NewError(v2error.EcodeEventIndexCleared,
			fmt.Sprintf("the requested history has been cleared [%v/%v]", compacted+1, req.since), index))
		return
	}
	waiting, past, upTo, err := s.hub.join(req)
	if err != nil {
		writeFault(w, http.StatusServiceUnavailable, asFault(err))
		return
	}
	defer s.hub.leave(waiting)
	out := &eventWriter{response: w, control: http.NewResponseController(w), stream: req.stream}
	s.writeHeader(w.Header(), index)
	w.WriteHeader(http.StatusOK)
	if out.flush() != nil {
		return
	}
	if slices.ContainsFunc(past, out.write) {
		return
	}
	if upTo > 0 {
		if s.hub.scan(r.Context(), req, upTo, out.write) {
			return
		}
	}
	s.follow(r.Context(), waiting, who, out)
}

// follow sends what comes. A stream ends when its user may have lost the right to it.
func (s *service) follow(ctx context.Context, waiting *waiter, who *user, out *eventWriter) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, open := <-waiting.events:
			if !open || !who.current() {
				return
			}
			end := out.write(e)
			s.hub.release(e)
			if end {
				return
			}
		}
	}
}

// eventWriter sends events to one client.
type eventWriter struct {
	response http.ResponseWriter
	control  *http.ResponseController
	stream   bool
}

// write sends an event and reports whether it was the last one.
func (o *eventWriter) write(e *event) (end bool) {
	_ = o.control.SetWriteDeadline(time.Now().Add(transferLimit)) // some connections have none
	if _, err := o.response.Write(e.json()); err != nil || !o.stream {
		return true
	}
	return o.flush() != nil
}

func (o *eventWriter) flush() error {
	_ = o.control.SetWriteDeadline(time.Now().Add(transferLimit))
	return o.control.Flush()
}

// errTooMany is given to those who would wait beyond the bound.
var errTooMany = errors.New("too many requests wait at this member")

// join registers a request for what comes. What has passed since its waitIndex is in past, as far as the ring reaches;
// otherwise the history of v3 up to upTo has to be looked through first.
func (h *hub) join(req *request) (w *waiter, past []*event, upTo uint64, err error) {
	capacity := 1
	if req.stream {
		capacity = maxQueued
	}
	w = &waiter{path: req.path, recursive: req.recursive, stream: req.stream, since: req.since, events: make(chan *event, capacity)}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, nil, 0, errStopping
	case h.count >= maxWaiters:
		return nil, nil, 0, errTooMany
	}
	h.start()
	switch {
	case req.since > h.seen:
	case req.since < h.ringFrom:
		upTo = h.seen
	default:
		for _, e := range h.ring {
			if e.index >= req.since && e.concerned(req) {
				past = append(past, e)
			}
		}
	}
	if h.waiters[w.path] == nil {
		h.waiters[w.path] = map[*waiter]struct{}{}
	}
	h.waiters[w.path][w] = struct{}{}
	h.count++
	return w, past, upTo, nil
}

// concerned reports whether an event of the past is one that a request waits for, by the old store's rule, which differs
// from the one for present events: hidden nodes are shown, and a directory's removal concerns all whose path begins so.
func (e *event) concerned(req *request) bool {
	if e.refresh {
		return false
	}
	key := e.Node.Key
	if key == req.path || req.recursive && strings.HasPrefix(key, strings.TrimSuffix(req.path, "/")+"/") {
		return true
	}
	gone := (e.Action == v2store.Delete || e.Action == v2store.Expire) && e.PrevNode != nil && e.PrevNode.Dir
	return gone && strings.HasPrefix(req.path, key)
}

// scan looks through the history of v3 and gives what the request waits for to out, until that reports the end.
func (h *hub) scan(ctx context.Context, req *request, upTo uint64, out func(*event) bool) (end bool) {
	select {
	case h.scans <- struct{}{}:
		defer func() { <-h.scans }()
	case <-ctx.Done():
		return true
	case <-h.ended:
		return true
	}
	changes, err := h.watch(ctx, req.since)
	if err != nil {
		return true
	}
	defer changes.Close()
	ask := time.NewTicker(progressEvery)
	defer ask.Stop()
	for {
		select {
		case <-ctx.Done():
			return true
		case <-h.ended:
			return true
		case <-ask.C:
			changes.RequestProgress(watchID) // answered once all of the past has been told
		case resp := <-changes.Chan():
			mvcc.ReportEventReceived(len(resp.Events))
			if resp.CompactRevision > 0 {
				return true
			}
			if done, end := told(resp, req, upTo, h.store.before, out); done {
				return end
			}
		}
	}
}

// progressEvery is how often a look into the past asks whether it has seen all.
const progressEvery = 20 * time.Millisecond

// told gives what a request waits for out of a part of the history. It is done when all up to a revision has been told, or
// out reports the end.
func told(resp mvcc.WatchResponse, req *request, upTo uint64, before beforeFunc, out func(*event) bool) (done, end bool) {
	if len(resp.Events) == 0 {
		return uint64(resp.Revision) >= upTo, false
	}
	for _, e := range eventsOf(resp.Events, before, time.Now()) {
		if e.index > upTo {
			return true, false
		}
		if e.concerned(req) && out(e) {
			return true, true
		}
	}
	return uint64(resp.Events[len(resp.Events)-1].Kv.ModRevision) >= upTo, false
}

// give queues an event for a waiter; one that is too far behind is closed, as it has missed something.
func (h *hub) give(w *waiter, e *event) {
	if w.closed || e.index < w.since {
		return
	}
	if e.refs == 0 && h.queued > 0 && h.queued+e.size > queueBytes {
		h.drop(w)
		return
	}
	select {
	case w.events <- e:
		if e.refs++; e.refs == 1 {
			h.queued += e.size
		}
		if !w.stream {
			h.forget(w)
		}
	default:
		h.drop(w)
	}
}

// release takes an event out of the account of what is queued.
func (h *hub) release(e *event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.refs--; e.refs == 0 {
		h.queued -= e.size
	}
}

// forget takes a waiter off the list.
func (h *hub) forget(w *waiter) {
	list := h.waiters[w.path]
	if _, listed := list[w]; !listed {
		return
	}
	delete(list, w)
	h.count--
	if len(list) == 0 {
		delete(h.waiters, w.path)
	}
}

// drop closes a waiter.
func (h *hub) drop(w *waiter) {
	h.forget(w)
	if !w.closed {
		w.closed = true
		close(w.events)
	}
}

func (h *hub) closeAll() {
	for _, list := range h.waiters {
		for w := range list {
			h.drop(w)
		}
	}
}

// leave ends a waiter and gives back what it did not take.
func (h *hub) leave(w *waiter) {
	h.mu.Lock()
	h.drop(w)
	h.mu.Unlock()
	for e := range w.events {
		h.release(e)
	}
}

// expireBelow finds out who waits below a directory that expired and had a node there, and has what it left removed: at
// once by the leader, later by others if it is still there.
func (h *hub) expireBelow(ctx context.Context, e *event) {
	dir := e.Node.Key
	h.mu.Lock()
	var below []string
	for p := range h.waiters {
		if strings.HasPrefix(p, dir+"/") {
			below = append(below, p)
		}
	}
	h.mu.Unlock()
	before := clientv3.WithRev(int64(e.index) - 1) // events come before their own revision can be read
	for _, p := range below {
		resp, err := h.store.client.Get(h.store.root.with(ctx), Key(p), before, clientv3.WithSerializable(), clientv3.WithKeysOnly())
		if err == nil && len(resp.Kvs) > 0 {
			e.removed[p] = true
		}
	}
	h.all.Go(func() { h.sweep(ctx, dir) })
}

// sweep removes what an expired directory held.
func (h *hub) sweep(ctx context.Context, dir string) {
	h.letLeader(ctx)
	ctx, cancel := context.WithTimeout(ctx, h.store.member.Cfg.ReqTimeout())
	defer cancel()
	_ = h.store.sweep(ctx, dir) // the next write there sweeps first
}

// tidy removes what directories held that expired while nobody watched.
func (h *hub) tidy(ctx context.Context) {
	h.letLeader(ctx)
	_ = h.store.eachOrphan(ctx, func(dir string) error { // as above
		ctx, cancel := context.WithTimeout(ctx, h.store.member.Cfg.ReqTimeout())
		defer cancel()
		return h.store.sweep(ctx, dir)
	})
}

// letLeader leaves the leader some time to do the same, unless this member leads.
func (h *hub) letLeader(ctx context.Context) {
	if h.store.member.Leader() == h.store.member.MemberID() {
		return
	}
	select {
	case <-time.After(followersDelay):
	case <-ctx.Done():
	}
}

// followersDelay is the time that the leader has for a sweep.
const followersDelay = 5 * time.Second
