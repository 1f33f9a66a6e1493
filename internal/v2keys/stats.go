package v2keys

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// stats counts what this member was asked since it started.
type stats struct {
	member  *etcdserver.EtcdServer
	started time.Time

	mu       sync.Mutex
	store    v2store.Stats
	leader   string
	leaderOf time.Time // since when it leads, as seen here when somebody asks
}

func newStats(member *etcdserver.EtcdServer) *stats {
	now := time.Now()
	return &stats{member: member, started: now, leaderOf: now}
}

// count adds one request.
func (s *stats) count(action string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	field := func(success, failure *uint64) {
		if ok {
			*success++
		} else {
			*failure++
		}
	}
	switch action {
	case v2store.Get:
		field(&s.store.GetSuccess, &s.store.GetFail)
	case v2store.Set:
		field(&s.store.SetSuccess, &s.store.SetFail)
	case v2store.Create:
		field(&s.store.CreateSuccess, &s.store.CreateFail)
	case v2store.Update:
		field(&s.store.UpdateSuccess, &s.store.UpdateFail)
	case v2store.Delete:
		field(&s.store.DeleteSuccess, &s.store.DeleteFail)
	case v2store.CompareAndSwap:
		field(&s.store.CompareAndSwapSuccess, &s.store.CompareAndSwapFail)
	case v2store.CompareAndDelete:
		field(&s.store.CompareAndDeleteSuccess, &s.store.CompareAndDeleteFail)
	}
}

// storeStats serves /v2/stats/store.
func (s *service) storeStats(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r, (*user).anyone) {
		return
	}
	s.stats.mu.Lock()
	counts := s.stats.store
	s.stats.mu.Unlock()
	s.hub.mu.Lock()
	counts.Watchers, counts.ExpireCount = uint64(s.hub.count), s.hub.expired
	s.hub.mu.Unlock()
	writeStats(w, &counts)
}

// selfStats serves /v2/stats/self, but for the counts of raft's messages, which the member keeps to itself.
func (s *service) selfStats(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r, (*user).anyone) {
		return
	}
	type leaderInfo struct {
		Name      string    `json:"leader"`
		Uptime    string    `json:"uptime"`
		StartTime time.Time `json:"startTime"` //nolint:tagliatelle // the old API's name
	}
	state := "StateFollower"
	if s.member.Leader() == s.member.MemberID() {
		state = "StateLeader"
	}
	leader, since := s.stats.leading()
	writeStats(w, struct {
		Name       string     `json:"name"`
		ID         string     `json:"id"`
		State      string     `json:"state"`
		StartTime  time.Time  `json:"startTime"`  //nolint:tagliatelle // the old API's name
		LeaderInfo leaderInfo `json:"leaderInfo"` //nolint:tagliatelle // the old API's name
	}{
		Name: s.member.Cfg.Name, ID: s.member.MemberID().String(), State: state, StartTime: s.stats.started.UTC(),
		LeaderInfo: leaderInfo{Name: leader, Uptime: time.Since(since).String(), StartTime: since.UTC()},
	})
}

// leading is the leader and since when this member has known it.
func (s *stats) leading() (leader string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.member.Leader().String(); now != s.leader {
		if s.leader != "" { // the first one is known since the start
			s.leaderOf = time.Now()
		}
		s.leader = now
	}
	return s.leader, s.leaderOf
}

// leaderStats serves /v2/stats/leader: who follows. Latencies and counts are in /metrics.
func (s *service) leaderStats(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r, (*user).anyone) {
		return
	}
	if s.member.Leader() != s.member.MemberID() {
		writeMessage(w, http.StatusForbidden, "not current leader")
		return
	}
	followers := map[string]struct{}{}
	for _, m := range s.member.Cluster().Members() {
		if m.ID != s.member.MemberID() {
			followers[m.ID.String()] = struct{}{}
		}
	}
	writeStats(w, struct {
		Leader    string              `json:"leader"`
		Followers map[string]struct{} `json:"followers"`
	}{s.member.MemberID().String(), followers})
}

func writeStats(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the client has gone
}
