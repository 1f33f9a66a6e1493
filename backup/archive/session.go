package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/etcdops/etcdops/ops"
)

// session is one stream from one member.
type session struct {
	a    *Archiver
	conn *grpc.ClientConn

	writer  *Writer
	first   time.Time       // when the segment's first change came
	pending []*mvccpb.Event // of a response in fragments

	check  *linker // while what is archived already comes again; nil after
	dense  dense
	anchor Anchor

	heard  time.Time // when the stream brought something last
	synced Sync      // newest one that is complete
	noted  bool      // synced is in a segment as it is
	ahead  *Sync     // one that the stream has not reached
	probe  samples
}

// limits of single requests.
const (
	requestLimit = 10 * time.Second
	stallLimit   = 30 * time.Second // without the changes that a linearizable read has seen
)

// session follows the cluster through a member until something fails.
func (a *Archiver) session(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &session{a: a}
	var err error
	if s.conn, err = a.o.Cluster.Conn(ctx, endpoint); err != nil {
		return err
	}
	now, err := s.identify(ctx)
	if err != nil {
		return err
	}
	if a.at == nil {
		if err := a.resume(ctx); err != nil {
			return err
		}
	}
	if a.at == nil {
		if err := a.begin(ctx, ReasonFirst); err != nil {
			return err
		}
	} else if now < a.at.last {
		if err := a.restart(ctx, ReasonDiverged, fmt.Errorf("%w: it is at revision %d, the archive at %d", errDiverged, now, a.at.last)); err != nil {
			return err
		}
	}
	a.update(func(p *Progress) {
		p.Timeline, p.Archived, p.Cluster = a.at.timeline, a.at.last, max(p.Cluster, now)
	})
	err = s.follow(ctx, endpoint)
	switch {
	case errors.Is(err, errCompacted), errors.Is(err, errGap):
		err = a.restart(context.WithoutCancel(ctx), ReasonGap, err)
	case errors.Is(err, errDiverged):
		err = a.restart(context.WithoutCancel(ctx), ReasonDiverged, err)
	}
	return err
}

// restart begins a new timeline because the old one cannot be continued.
func (a *Archiver) restart(ctx context.Context, reason Reason, cause error) error {
	kind := EventDiverged
	if reason == ReasonGap {
		kind = EventGap
		a.update(func(p *Progress) { p.Gaps++ })
	}
	a.tell(kind, cause, "%v; a new base is taken", cause)
	return a.begin(ctx, reason)
}

// identify asks the member which cluster it is of, and a majority for the newest revision.
func (s *session) identify(ctx context.Context) (int64, error) {
	sync, header, err := s.readSync(ctx)
	if err != nil {
		return 0, err
	}
	id := ops.ClusterID(header.GetClusterId())
	if s.a.cluster == 0 {
		s.a.cluster = id
	}
	if s.a.cluster != id {
		return 0, otherCluster(s.a.cluster, id)
	}
	return sync.Revision, nil
}

// readSync makes a linearizable read of a key that nobody has.
func (s *session) readSync(ctx context.Context) (Sync, *pb.ResponseHeader, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	asked := s.a.o.Now().UTC()
	resp, err := pb.NewKVClient(s.conn).Range(ctx, &pb.RangeRequest{Key: []byte("\x00etcdops"), CountOnly: true})
	if err != nil {
		return Sync{}, nil, err
	}
	return Sync{Since: s.a.o.Now().UTC(), Asked: asked, Revision: resp.GetHeader().GetRevision()}, resp.GetHeader(), nil
}

// candidates are the points that the archive can be continued from, the farthest back first.
func (a *Archiver) candidates() []Anchor {
	if a.at.last == a.at.begun {
		return []Anchor{{a.at.last, a.at.chain}} // nothing was archived: the base itself
	}
	return slices.Clone(a.at.anchors)
}

// watch starts a stream of all changes after an anchor. Where they are gone, its second answer says so.
func (s *session) watch(ctx context.Context, after Anchor) (stream pb.Watch_WatchClient, err error) {
	s.anchor, s.dense, s.check = after, newDense(after.Revision), nil
	if after.Revision < s.a.at.last {
		s.check = newLinker(after.Chain)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "hasleader", "true") // a member without leader ends the stream
	stream, err = pb.NewWatchClient(s.conn).Watch(ctx)
	if err != nil {
		return nil, err
	}
	create := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: after.Revision + 1, ProgressNotify: true, Fragment: true}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return nil, err
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	if !resp.GetCreated() || resp.GetCanceled() {
		return nil, fmt.Errorf("the member refuses the watch: %s", resp.GetCancelReason())
	}
	return stream, nil
}

// answer is something that the main loop waits for.
type answer struct {
	resp *pb.WatchResponse
	at   time.Time
	err  error
}

// receive hands on what the stream brings. The channel has no buffer: what is not taken stays with the member.
func receive(ctx context.Context, stream pb.Watch_WatchClient, now func() time.Time) <-chan answer {
	out := make(chan answer)
	go func() {
		for {
			resp, err := stream.Recv()
			select {
			case out <- answer{resp, now(), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// follow archives what comes until something fails. Whatever the reason, what is whole is sealed.
func (s *session) follow(ctx context.Context, endpoint string) error {
	var err error
	for _, c := range s.a.candidates() {
		err = s.from(ctx, endpoint, c)
		// Gone is gone only when nothing nearer is there either.
		if s.check == nil || !errors.Is(err, errCompacted) && !errors.Is(err, errGap) {
			break
		}
	}
	if s.check != nil && errors.Is(err, errGap) {
		err = fmt.Errorf("%w: %w", errCompacted, err)
	}
	if s.writer != nil && !errors.Is(err, errDiverged) {
		if sealErr := s.seal(); sealErr != nil {
			err = errors.Join(err, sealErr)
		}
	}
	return err
}

// from follows the stream after an anchor.
func (s *session) from(ctx context.Context, endpoint string, after Anchor) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := s.watch(ctx, after)
	if err != nil {
		return err
	}
	s.heard = s.a.o.Now()
	s.a.update(func(p *Progress) { p.Following = true })
	s.a.tell(EventFollow, nil, "following through %s from revision %d", endpoint, after.Revision+1)
	return s.loop(ctx, receive(ctx, stream, s.a.o.Now))
}

func (s *session) loop(ctx context.Context, events <-chan answer) error {
	tick := time.NewTicker(min(s.a.o.SyncEvery, s.a.o.SealAfter))
	defer tick.Stop()
	s.probe = newSamples(s)
	for {
		in := events
		if s.a.spool.size() > s.a.o.SpoolMax {
			in = nil // what comes stays with the member until the store takes what waits
		}
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case ans := <-in:
			if ans.err != nil {
				return ans.err
			}
			err = s.take(ans)
		case <-tick.C:
			err = s.tick(ctx)
		case got := <-s.probe.results:
			err = got(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// tick does what time brings.
func (s *session) tick(ctx context.Context) error {
	now := s.a.o.Now()
	if s.ahead != nil && now.Sub(s.ahead.Asked) > stallLimit && now.Sub(s.heard) > stallLimit && s.a.spool.size() <= s.a.o.SpoolMax {
		return fmt.Errorf("the stream stands still: revision %d was not sent within %s", s.ahead.Revision, stallLimit)
	}
	s.probe.start(ctx, now)
	if s.writer != nil && now.Sub(s.first) >= s.a.o.SealAfter {
		return s.seal()
	}
	return nil
}
