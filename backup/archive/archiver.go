package archive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// Archiver follows one cluster. It is run once.
type Archiver struct {
	o     Options
	spool *spool

	mu       sync.Mutex
	progress Progress
	telling  sync.Mutex

	cluster   ops.ClusterID
	at        *position // nil until known
	syncNamed string    // the object of the last sync, to be replaced
	carry     []Note    // for the next segment
	auth      *Auth     // as asked last

	bases sync.WaitGroup // being taken beside the stream
	base  sync.Mutex     // one at a time
}

// position is how far a timeline is archived in this process; what the store has may be behind.
type position struct {
	timeline string
	begun    int64 // the revision that the timeline begins after
	last     int64
	chain    Chain
	anchors  []Anchor // oldest first
}

// errors that end a stream for good.
var (
	errCompacted = errors.New("changes were compacted away before they were read")
	errDiverged  = errors.New("the cluster's history is not the one that was archived")
)

// New makes an archiver.
func New(o Options) (*Archiver, error) {
	o = o.withDefaults()
	s, err := openSpool(o.SpoolDir)
	if err != nil {
		return nil, &ops.HintError{
			Code: CodeSpool, Op: "open archive spool", Member: o.SpoolDir, Err: err, Hint: "check the directory, its owner and its space",
		}
	}
	return &Archiver{o: o, spool: s}, nil
}

// Progress tells how far it is.
func (a *Archiver) Progress() Progress {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.progress
	p.Waiting = a.spool.size()
	return p
}

func (a *Archiver) update(f func(*Progress)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.progress)
}

func (a *Archiver) tell(kind EventKind, err error, format string, args ...any) {
	p := a.Progress()
	e := Event{Time: a.o.Now().UTC(), Kind: kind, Timeline: p.Timeline, Revision: p.Archived, Text: fmt.Sprintf(format, args...), Err: err}
	a.telling.Lock()
	defer a.telling.Unlock()
	a.o.Notify(e)
}

// Run follows the cluster until ctx ends, which is no error: what was received is sealed and sent first. Whatever fails on
// the way is told and tried again; the error is for what a person has to mend.
func (a *Archiver) Run(ctx context.Context) error {
	sender := make(chan struct{})
	sending, stop := context.WithCancel(ctx)
	go func() { defer close(sender); a.send(sending) }()
	wait := 100 * time.Millisecond
	var err error
	for n := 0; ctx.Err() == nil; n++ {
		endpoints := a.o.Cluster.Config().Endpoints
		began := a.o.Now()
		err = a.session(ctx, endpoints[n%len(endpoints)])
		a.update(func(p *Progress) { p.Following = false })
		if fatal(err) || ctx.Err() != nil {
			break
		}
		a.update(func(p *Progress) { p.Restarts++ })
		a.tell(EventBroken, err, "the stream ended: %v", err)
		if wait = min(2*wait, a.o.Retry); a.o.Now().Sub(began) > a.o.Retry {
			wait = 100 * time.Millisecond
		}
		pause(ctx, wait)
	}
	stop()
	<-sender
	a.bases.Wait()
	return errors.Join(ifFatal(err), a.lastSend(ctx))
}

// lastSendLimit is how long a run may still send after it was told to end.
const lastSendLimit = 10 * time.Second

// lastSend sends what was sealed at the end.
func (a *Archiver) lastSend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSendLimit)
	defer cancel()
	if err := a.spool.drain(ctx, a.o.Store, a.stored); err != nil {
		return &ops.HintError{
			Code: CodeSpool, Op: "send the last segments to", Member: a.o.Store.String(), Err: err,
			Hint: "they lie in " + a.o.SpoolDir + ": the next etcdops backup archive sends them",
		}
	}
	return nil
}

// fatal says whether trying again is of no use.
func fatal(err error) bool {
	return ops.CodeOf(err) == CodeOtherCluster
}

func ifFatal(err error) error {
	if fatal(err) {
		return err
	}
	return nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// send puts sealed segments into the store until ctx ends.
func (a *Archiver) send(ctx context.Context) {
	wait := 100 * time.Millisecond
	for ctx.Err() == nil {
		err := a.spool.drain(ctx, a.o.Store, a.stored)
		if err == nil {
			wait = 100 * time.Millisecond
			select {
			case <-ctx.Done():
			case <-a.spool.wake:
			}
			continue
		}
		if ctx.Err() == nil {
			a.tell(EventStore, err, "segments wait for the store: %v", err)
		}
		wait = min(2*wait, 30*time.Second)
		pause(ctx, wait)
	}
}

// stored notes that the store has a segment.
func (a *Archiver) stored(object string) {
	cluster, err := clusterOf(object)
	ref, ok := parseName(cluster, object)
	if err != nil || !ok {
		return
	}
	a.update(func(p *Progress) {
		p.Segments++
		if ref.Timeline == p.Timeline {
			p.Stored = max(p.Stored, ref.Last)
		}
	})
	a.tell(EventStored, nil, "revisions %d to %d are stored", ref.First, ref.Last)
}

// resume finds out where the archive in the store ends.
func (a *Archiver) resume(ctx context.Context) error {
	if err := a.spool.drain(ctx, a.o.Store, a.stored); err != nil {
		return fmt.Errorf("send what the last run left: %w", err)
	}
	timelines, err := Load(ctx, a.o.Store, a.cluster)
	if err != nil {
		return fmt.Errorf("list the archive: %w", err)
	}
	if len(timelines) == 0 {
		return nil
	}
	t := timelines[len(timelines)-1]
	switch {
	case t.Begin == nil:
		return nil // nothing says what it is: begin anew
	case len(t.Segments) == 0:
		return a.resumeAtBase(ctx, t.Begin)
	}
	ref := t.Segments[len(t.Segments)-1]
	r, err := a.o.Store.Open(ctx, ref.Object)
	if err != nil {
		return err
	}
	h, err := ReadHeader(r)
	if err = errors.Join(err, r.Close()); err == nil {
		err = ref.fits(h)
	}
	if errors.Is(err, ErrDamaged) {
		a.tell(EventDiverged, err, "the last segment cannot be continued: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	a.at = &position{timeline: t.Name, begun: t.Begin.BaseRevision, last: h.Last, chain: h.Chain, anchors: h.Anchors}
	a.update(func(p *Progress) { p.Stored = h.Last })
	return nil
}

// resumeAtBase continues a timeline that has no segment yet, if the cluster still has the base's history. A member that does not
// answer now is an error: a new timeline for that would be a gap for nothing.
func (a *Archiver) resumeAtBase(ctx context.Context, b *Beginning) error {
	var errs []error
	for _, endpoint := range a.o.Cluster.Config().Endpoints {
		hash, compact, err := a.hashAt(ctx, endpoint, b.BaseRevision)
		switch {
		case err == nil && hash == b.BaseHash.Value && compact == b.BaseHash.CompactRevision:
			a.at = &position{timeline: b.Timeline, begun: b.BaseRevision, last: b.BaseRevision, chain: Genesis(a.cluster, b.Timeline, b.BaseRevision)}
			a.update(func(p *Progress) { p.Stored = b.BaseRevision })
			return nil
		case err == nil, status.Code(err) != codes.Unavailable && status.Code(err) != codes.DeadlineExceeded:
			return nil // it is compacted away, or another history: begin anew
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hashAt asks a member for its hash at a revision.
func (a *Archiver) hashAt(ctx context.Context, endpoint string, revision int64) (hash uint32, compact int64, err error) {
	conn, err := a.o.Cluster.Conn(ctx, endpoint)
	if err != nil {
		return 0, 0, status.Error(codes.Unavailable, err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	resp, err := pb.NewMaintenanceClient(conn).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	return resp.GetHash(), max(resp.GetCompactRevision(), 0), err
}

// takeBase takes a base beside the stream.
func (a *Archiver) takeBase(ctx context.Context, reason string) error {
	a.bases.Go(func() {
		a.base.Lock()
		defer a.base.Unlock()
		m, err := a.o.TakeBase(ctx, reason)
		if err != nil {
			a.tell(EventBase, err, "no base could be taken (%s): %v", reason, err)
			return
		}
		a.tell(EventBase, nil, "base %s at revision %d is taken (%s)", m.ID.Short(), m.Revision, reason)
	})
	return nil
}

// begin takes a base and begins a new timeline after it.
func (a *Archiver) begin(ctx context.Context, reason Reason) error {
	m, err := a.o.TakeBase(ctx, string(reason))
	if err != nil {
		return fmt.Errorf("take a base: %w", err)
	}
	if m.ClusterID != a.cluster {
		return otherCluster(a.cluster, m.ClusterID)
	}
	now := a.o.Now()
	b := Beginning{
		ClusterID: a.cluster, Timeline: NewTimeline(now), CreatedAt: now.UTC(), BaseID: m.ID, BaseRevision: m.Revision, BaseHash: m.Hash,
		Reason: reason, Fence: a.o.Fence,
	}
	if a.at != nil {
		b.Parent, b.ParentLast = a.at.timeline, a.at.last
	}
	if err := putBeginning(ctx, a.o.Store, b); err != nil {
		return fmt.Errorf("begin a timeline: %w", err)
	}
	a.at = &position{timeline: b.Timeline, begun: m.Revision, last: m.Revision, chain: Genesis(a.cluster, b.Timeline, m.Revision)}
	a.syncNamed = ""
	a.update(func(p *Progress) {
		p.Timeline, p.Archived, p.Stored = b.Timeline, m.Revision, m.Revision
		p.Timelines++
	})
	a.tell(EventTimeline, nil, "timeline %s begins after revision %d, with base %s (%s)", b.Timeline, m.Revision, m.ID.Short(), reason)
	return nil
}

// otherCluster is the error over an endpoint that leads elsewhere.
func otherCluster(want, got ops.ClusterID) error {
	return &ops.HintError{
		Code: CodeOtherCluster, Class: ops.ClassRefused, Op: "follow cluster", Member: want.String(),
		Err:  fmt.Errorf("an endpoint belongs to cluster %s", got),
		Hint: "name the endpoints of one cluster only: --endpoints",
	}
}

// keep seals a segment and leaves it to the sender.
func (a *Archiver) keep(w *Writer) error {
	object, data, err := w.Seal(a.o.Now(), a.o.Program, a.o.Fence)
	if err != nil {
		return err
	}
	if err := a.spool.put(object, data); err != nil {
		return &ops.HintError{
			Code: CodeSpool, Op: "keep a segment in", Member: a.o.SpoolDir, Err: err, Hint: "free space there, or name another place: --spool DIR",
		}
	}
	a.at.last, a.at.chain, a.at.anchors = w.Last(), w.Chain(), w.Anchors()
	a.tell(EventSealed, nil, "revisions up to %d are sealed, %d bytes", w.Last(), len(data))
	return nil
}

// putIdle tells the store that the archive is alive though nothing changes.
func (a *Archiver) putIdle(ctx context.Context, s Sync) error {
	name, err := putSync(ctx, a.o.Store, a.cluster, a.at.timeline, s, a.syncNamed)
	a.syncNamed = name
	return err
}

// Store is where it archives to.
func (a *Archiver) Store() backup.Store { return a.o.Store }
