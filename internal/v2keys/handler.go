package v2keys

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Service serves the API on one member. Its handlers are registered before the member starts; they answer once Attach
// has been called.
type Service struct {
	running atomic.Pointer[service]
}

// service is what stands on a running member.
type service struct {
	member *etcdserver.EtcdServer
	store  *store
	access *access
	stats  *stats
	hub    *hub
}

// Attach begins to serve. detach ends it: waiting requests are closed, others are refused.
func (s *Service) Attach(member *etcdserver.EtcdServer) (detach func()) {
	run := &service{member: member, access: newAccess(member), stats: newStats(member)}
	run.store = &store{member: member, client: v3client.New(member), kv: func() mvcc.KV { return member.KV() }, locks: newPathLocks()}
	run.store.root.member = member
	run.hub = newHub(run.store)
	s.running.Store(run)
	return func() {
		s.running.Store(nil)
		run.hub.close()
		run.store.close()
	}
}

// Handlers are by path pattern, for every client URL.
func (s *Service) Handlers() map[string]http.Handler {
	keys := s.handler((*service).keys, "HEAD", "GET", "PUT", "POST", "DELETE")
	members := s.handler((*service).members, "GET", "POST", "DELETE", "PUT")
	return map[string]http.Handler{
		keysPrefix:          keys,
		keysPrefix + "/":    keys,
		membersPrefix:       members,
		membersPrefix + "/": members,
		"/v2/machines":      s.handler((*service).machines, "GET", "HEAD"),
		"/v2/stats/store":   s.handler((*service).storeStats, "GET"),
		"/v2/stats/self":    s.handler((*service).selfStats, "GET"),
		"/v2/stats/leader":  s.handler((*service).leaderStats, "GET"),
	}
}

// handler checks the method and that the member serves.
func (s *Service) handler(serve func(*service, http.ResponseWriter, *http.Request), methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, method := range methods {
			if r.Method != method {
				continue
			}
			if run := s.running.Load(); run != nil {
				serve(run, w, r)
				return
			}
			writeFault(w, http.StatusServiceUnavailable, v2error.NewError(v2error.EcodeRaftInternal, "the member is starting or stopping", 0))
			return
		}
		w.Header().Set("Allow", strings.Join(methods, ","))
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	})
}

// keys serves /v2/keys.
func (s *service) keys(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Etcd-Cluster-Id", s.member.Cluster().ID().String())
	r.Body = http.MaxBytesReader(w, r.Body, s.maxBody())
	received := receiving(w)
	req, refused := parse(r, time.Now())
	if refused != nil {
		writeFault(w, 0, refused)
		return
	}
	received()
	ctx, cancel := context.WithTimeout(r.Context(), s.member.Cfg.ReqTimeout())
	defer cancel()
	who, err := s.access.login(ctx, r)
	if err != nil {
		writeFault(w, 0, asFault(err))
		return
	}
	if req.wait && !req.quorum {
		cancel()
		s.wait(w, r, req, who)
		return
	}
	if req.method == http.MethodGet || req.method == http.MethodHead {
		s.get(r.Context(), ctx, w, req, who)
		return
	}
	if !req.expires.IsZero() && req.ttl == 0 {
		s.hub.need() // before it expires, which is at once
	}
	event, err := s.store.do(ctx, req, who)
	s.stats.count(req.operation(), err == nil)
	if err != nil {
		writeFault(w, 0, asFault(err))
		return
	}
	if event.Node.Dir && event.Node.Expiration != nil {
		s.hub.need() // what a directory leaves when it expires has to be swept
	}
	s.writeEvent(w, event, req.noValue)
}

// maxBody is the size of the largest value that v3 takes, when each of its bytes is escaped in a form.
func (s *service) maxBody() int64 {
	return 3*int64(s.member.Cfg.MaxRequestBytes) + 1<<16
}

// get answers with a node or a tree. When that cannot be finished, the connection is cut: a client must not take a part for
// the whole.
func (s *service) get(ctx, limit context.Context, w http.ResponseWriter, req *request, who *user) {
	out := &answer{response: w, header: func(index uint64) { s.writeHeader(w.Header(), index) }}
	err := who.read(req.path, req.recursive)
	if err == nil {
		err = s.store.get(ctx, limit, req, who, out)
	}
	s.stats.count(v2store.Get, err == nil)
	if err == nil {
		err = out.flush()
	}
	switch {
	case err == nil:
	case out.sent:
		panic(http.ErrAbortHandler) // the one way to tell net/http so
	default:
		writeFault(w, 0, asFault(err))
	}
}

// receiving limits the time for the rest of a request, until received is called. When the rest did not come it must not be:
// net/http waits for it once more before it answers.
func receiving(w http.ResponseWriter) (received func()) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(transferLimit)) // some connections have none
	return func() { _ = control.SetReadDeadline(time.Time{}) }
}

// transferLimit is how long a client may take to send a request, and to read each piece of an answer.
const transferLimit = 30 * time.Second

// writeEvent answers with what was done.
func (s *service) writeEvent(w http.ResponseWriter, event *v2store.Event, noValue bool) {
	s.writeHeader(w.Header(), event.EtcdIndex)
	if event.IsCreated() {
		w.WriteHeader(http.StatusCreated)
	}
	if noValue {
		switch event.Action {
		case v2store.Set, v2store.CompareAndSwap, v2store.Create, v2store.Update:
			event.Node, event.PrevNode = nil, nil
		}
	}
	_ = json.NewEncoder(w).Encode(event) // the client has gone
}

// writeHeader tells the index of what is answered, and where raft is.
func (s *service) writeHeader(h http.Header, index uint64) {
	h.Set("Content-Type", "application/json")
	h.Set("X-Etcd-Index", strconv.FormatUint(index, 10))
	h.Set("X-Raft-Index", strconv.FormatUint(s.member.CommittedIndex(), 10))
	h.Set("X-Raft-Term", strconv.FormatUint(s.member.Term(), 10))
}

// writeFault answers with an error; status 0 is the one of its code.
func writeFault(w http.ResponseWriter, status int, fault *v2error.Error) {
	if status == 0 {
		status = fault.StatusCode()
	}
	w.Header().Set("X-Etcd-Index", strconv.FormatUint(fault.Index, 10))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fault) // the client has gone
}
