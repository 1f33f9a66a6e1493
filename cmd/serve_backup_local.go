package cmd

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/storage/backend"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// localMember is the member of this process, as backups see it.
type localMember struct {
	member *etcdserver.EtcdServer

	mu     sync.Mutex
	closed bool
}

// Reasons why a member is not backed up.
var (
	errMemberCloses = errors.New("the member is being stopped")
	errNoLeader     = errors.New("this member has no leader: what it has may be old")
	errDefragments  = errors.New("the member is being defragmented, which waits for nobody")
)

// close has no snapshot begin any more: a database that is being closed ends the process when it is read.
func (l *localMember) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

func (l *localMember) cluster() ops.ClusterID { return ops.ClusterID(l.member.Cluster().ID()) }

// leads says whether the member is the leader of raft.
func (l *localMember) leads() bool { return l.member.Leader() == l.member.MemberID() }

// voters is how many members vote.
func (l *localMember) voters() int {
	n := 0
	for _, m := range l.member.Cluster().Members() {
		if !m.IsLearner {
			n++
		}
	}
	return n
}

// About implements backup.Local.
func (l *localMember) About(context.Context) (backup.LocalMember, error) {
	own := l.member.MemberID()
	about := backup.LocalMember{Cluster: l.cluster(), DBSize: l.member.Backend().Size()}
	about.ID, about.Version, about.Role = ops.MemberID(own), etcdversion.Version, "follower"
	if v := l.member.StorageVersion(); v != nil {
		about.StorageVersion = v.String()
	}
	switch l.member.Leader() {
	case 0:
		return about, errNoLeader
	case own:
		about.Role = "leader"
	}
	if l.member.IsLearner() {
		about.Role = "learner"
	}
	for _, m := range l.member.Cluster().Members() {
		about.Members = append(about.Members, ops.Member{
			ID: ops.MemberID(m.ID), Name: m.Name, PeerURLs: slices.Clone(m.PeerURLs), ClientURLs: slices.Clone(m.ClientURLs), Learner: m.IsLearner,
		})
		if m.ID == own {
			about.Name = m.Name
			if len(m.ClientURLs) > 0 {
				about.Endpoint = m.ClientURLs[0]
			}
		}
	}
	return about, nil
}

// Snapshot implements backup.Local.
func (l *localMember) Snapshot(ctx context.Context) (backup.LocalSnapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || ctx.Err() != nil {
		return nil, errMemberCloses
	}
	s := &localSnapshot{Snapshot: l.member.Backend().Snapshot(), done: make(chan struct{})}
	go s.watch()
	return s, nil
}

// HashKV implements backup.Local.
func (l *localMember) HashKV(ctx context.Context, revision int64) (hash uint32, compact int64, err error) {
	if ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	h, _, err := l.member.KV().HashStorage().HashByRev(revision)
	return h.Hash, h.CompactRevision, err
}

// localSnapshot is a view of the database that gives way to a defragmentation: that holds all writes up until nobody reads.
type localSnapshot struct {
	backend.Snapshot
	done  chan struct{}
	yield atomic.Bool
}

// defragLook is how often it is looked for a defragmentation, which holds writes up as long.
const defragLook = 500 * time.Millisecond

func (s *localSnapshot) watch() {
	tick := time.NewTicker(defragLook)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
			if defragmenting() {
				s.yield.Store(true)
				return
			}
		}
	}
}

// WriteTo copies the database, unless somebody needs it more.
func (s *localSnapshot) WriteTo(w io.Writer) (int64, error) {
	return s.Snapshot.WriteTo(yieldingWriter{w, &s.yield})
}

// Close ends the view.
func (s *localSnapshot) Close() error {
	close(s.done)
	return s.Snapshot.Close()
}

type yieldingWriter struct {
	io.Writer
	yield *atomic.Bool
}

// Write implements io.Writer.
func (w yieldingWriter) Write(b []byte) (int, error) {
	if w.yield.Load() {
		return 0, errDefragments
	}
	return w.Writer.Write(b)
}

// defragmenting says whether the member of this process is being defragmented, by the metric that it keeps of that: etcd has no
// other sign of it.
func defragmenting() bool {
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		return false
	}
	for _, f := range families {
		if f.GetName() != "etcd_disk_defrag_inflight" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetGauge().GetValue() > 0 {
				return true
			}
		}
	}
	return false
}
