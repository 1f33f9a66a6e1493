package archive

import (
	"context"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdops/etcdops/ops"
)

// samples asks the cluster for what the stream does not tell. Each kind of question is asked once at a time, beside the
// stream; what the answer changes is done by the session's loop, through results.
type samples struct {
	s       *session
	results chan func(context.Context) error
	busy    map[string]bool
	next    map[string]time.Time // when it may be asked again

	leases   []int64        // met in changes, to be asked for
	known    map[int64]bool // asked for
	idleTold time.Time      // when the store was told last that nothing changes
	hashGap  time.Duration  // between hashes: grows where a hash takes long
}

// Limits of samples.
const (
	maxKnownLeases = 200_000
	leasesAtOnce   = 200
	hashBudget     = time.Second // a hash that takes longer is asked for less often: writes wait meanwhile
	maxHashGap     = 24 * time.Hour
)

func newSamples(s *session) samples {
	return samples{
		s: s, results: make(chan func(context.Context) error), busy: map[string]bool{}, next: map[string]time.Time{},
		known: map[int64]bool{}, hashGap: s.a.o.HashEvery,
	}
}

// lease notes a lease that a change names.
func (p *samples) lease(id int64) {
	if id == 0 || p.known[id] {
		return
	}
	if len(p.known) > maxKnownLeases {
		clear(p.known)
	}
	p.known[id] = true
	p.leases = append(p.leases, id)
}

// ask runs a question unless it is under way or asked too early.
func (p *samples) ask(ctx context.Context, kind string, now time.Time, every time.Duration, question func(context.Context) func(context.Context) error) {
	if p.busy[kind] || every < 0 || now.Before(p.next[kind]) {
		return
	}
	p.busy[kind] = true
	p.next[kind] = now.Add(every)
	go func() {
		asking, cancel := context.WithTimeout(ctx, requestLimit)
		defer cancel()
		answer := question(asking)
		select {
		case p.results <- func(ctx context.Context) error { p.busy[kind] = false; return answer(ctx) }:
		case <-ctx.Done():
		}
	}()
}

// start asks what is due.
func (p *samples) start(ctx context.Context, now time.Time) {
	s := p.s
	last := s.last()
	p.ask(ctx, "sync", now, s.a.o.SyncEvery, func(ctx context.Context) func(context.Context) error {
		sync, _, err := s.readSync(ctx)
		return func(ctx context.Context) error {
			if err != nil {
				return fmt.Errorf("ask for the newest revision: %w", err)
			}
			return s.onSync(ctx, sync, last)
		}
	})
	if n := min(len(p.leases), leasesAtOnce); n > 0 {
		ids := slices.Clone(p.leases[:n])
		p.ask(ctx, "leases", now, 0, func(ctx context.Context) func(context.Context) error {
			got := readLeases(ctx, s, ids)
			return func(context.Context) error {
				p.leases = p.leases[n:]
				if len(got) == 0 {
					return nil
				}
				return s.note(Note{Leases: got})
			}
		})
	}
	p.ask(ctx, "auth", now, s.a.o.AuthEvery, func(ctx context.Context) func(context.Context) error {
		resp, err := pb.NewAuthClient(s.conn).AuthStatus(ctx, &pb.AuthStatusRequest{})
		return func(ctx context.Context) error { return s.onAuth(ctx, resp.GetAuthRevision(), err) }
	})
	if s.check == nil && last > s.a.at.begun {
		p.ask(ctx, "hash", now, p.hashGap, func(ctx context.Context) func(context.Context) error {
			began := time.Now()
			mark, err := s.readMark(ctx, last)
			took := time.Since(began)
			return func(context.Context) error {
				if took > hashBudget {
					p.hashGap = min(4*p.hashGap, maxHashGap)
				}
				if err != nil {
					return nil //nolint:nilerr // a mark more or less: the next one is as good
				}
				return s.onMark(mark)
			}
		})
	}
}

// readLeases asks for the time to live of leases. Those that have ended are left out.
func readLeases(ctx context.Context, s *session, ids []int64) []Lease {
	var out []Lease
	client := pb.NewLeaseClient(s.conn)
	for _, id := range ids {
		resp, err := client.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
		if err == nil && resp.GetGrantedTTL() > 0 {
			out = append(out, Lease{ID: id, TTL: resp.GetGrantedTTL()})
		}
	}
	return out
}

// readMark has a member compute its hash: a follower, because its writes wait meanwhile.
func (s *session) readMark(ctx context.Context, revision int64) (Mark, error) {
	conn := s.conn
	for _, reply := range s.a.o.Cluster.Statuses(ctx) {
		if reply.Err == nil && !reply.Status.Learner && reply.Status.Leader != reply.Status.MemberID && reply.Status.ClusterID == s.a.cluster {
			if c, err := s.a.o.Cluster.Conn(ctx, reply.Endpoint); err == nil {
				conn = c
				break
			}
		}
	}
	resp, err := pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	if err != nil {
		return Mark{}, err
	}
	if ops.ClusterID(resp.GetHeader().GetClusterId()) != s.a.cluster {
		return Mark{}, otherCluster(s.a.cluster, ops.ClusterID(resp.GetHeader().GetClusterId()))
	}
	return Mark{Revision: revision, CompactRevision: max(resp.GetCompactRevision(), 0), Hash: resp.GetHash(), MemberID: resp.GetHeader().GetMemberId()}, nil
}

// onMark notes a hash.
func (s *session) onMark(m Mark) error {
	if m.CompactRevision > m.Revision {
		return nil
	}
	return s.note(Note{Mark: &m, Compaction: &Compaction{CompactRevision: m.CompactRevision, Revision: m.Revision}})
}

// onAuth notes the revision of users and roles, and has a base taken when it changed: they are in bases only.
func (s *session) onAuth(ctx context.Context, revision uint64, err error) error {
	n := Auth{AuthRevision: revision, Revision: s.last(), Known: err == nil}
	if err != nil && status.Code(err) != codes.Unimplemented {
		return nil // no answer is no change
	}
	before := s.a.auth
	if before != nil && before.AuthRevision == n.AuthRevision && before.Known == n.Known {
		return nil
	}
	s.a.auth = &n
	if err := s.note(Note{Auth: &n}); err != nil || before == nil || !before.Known || !n.Known {
		return err
	}
	s.a.tell(EventAuth, nil, "users or roles changed (%d, was %d): a base is taken", n.AuthRevision, before.AuthRevision)
	return s.a.takeBase(ctx, "auth")
}
