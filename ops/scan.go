package ops

import (
	"context"
	"iter"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// ScanOptions say which keys a Scan reads.
type ScanOptions struct {
	Key          string // the first key; the lowest possible one is "\x00"
	End          string // the first key that is not wanted any more; "\x00" for no end
	Revision     int64  // the state to read; 0 for the newest when the scan starts
	Limit        int64  // keys at most; 0 for all
	KeysOnly     bool   // leave the values on the server
	Serializable bool   // ask one member alone, which may be behind, without proof that there is a leader
}

// Scan reads a range of keys of any size in bounded memory, all at one revision. It is what Get would return, in pieces
// and in the order of the keys.
//
// Servers of 3.7 stream it (RangeStream); older ones and proxies are asked page by page. A connection that breaks is
// resumed behind the last key received, at the same revision.
type Scan struct {
	// Header is the header of the answer: its Revision is the store's newest when the scan started.
	Header *pb.ResponseHeader

	cluster  *Cluster
	client   *clientv3.Client
	opts     ScanOptions
	silence  time.Duration // without any data before the scan is given up
	maxRecv  int           // bytes of one message that the user allows
	revision int64         // that all keys are read at

	next  string // first key that has not been received
	seen  int64  // keys received
	total ScanTotal

	message   int  // bytes of one message of a stream accepted at present
	paged     bool // the server does not stream
	page      pager
	pageLimit int // bytes of one page accepted
}

// ScanTotal closes a scan.
type ScanTotal struct {
	Seen  int64 // keys received
	Count int64 // keys in the range, whatever the limit
	More  bool  // the limit left keys out
}

// streamMessage is the largest message accepted from a stream. Servers make them two to four times their request limit
// (1.5 MiB by default) where sizes are even; a jump from small values to large ones can make one of gigabytes. Refusing
// it costs a new stream, which starts small.
const streamMessage = 32 << 20

// Scan asks for the present revision and prepares to read the range at it. The request is of one key, so it costs
// nothing that grows with the range; Config.CommandTimeout limits it.
//
// The error is a *HintError.
func (c *Cluster) Scan(ctx context.Context, o ScanOptions) (*Scan, error) {
	client, err := c.scanClient(ctx, o.Serializable)
	if err != nil {
		return nil, err
	}
	s := &Scan{
		cluster: c, client: client, opts: o, next: o.Key, silence: c.cfg.CommandTimeout, maxRecv: c.cfg.MaxRecvBytes,
		message: min(streamMessage, c.cfg.MaxRecvBytes),
		page:    newPager(o.KeysOnly), pageLimit: min(pageMessage, c.cfg.MaxRecvBytes),
	}
	ctx, cancel := context.WithTimeout(ctx, s.silence)
	defer cancel()
	probe := &pb.RangeRequest{Key: []byte(o.Key), Revision: o.Revision, CountOnly: true, Serializable: o.Serializable}
	resp, err := clientv3.RetryKVClient(client).Range(ctx, probe)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	s.Header, s.revision = resp.Header, o.Revision
	if s.revision == 0 {
		s.revision = resp.Header.Revision
	}
	return s, nil
}

// scanClient picks the client of one member for serializable reads: two members may be at different revisions, and the
// shared client asks them in turn.
func (c *Cluster) scanClient(ctx context.Context, serializable bool) (*clientv3.Client, error) {
	if !serializable || len(c.cfg.Endpoints) == 1 {
		return c.all, nil
	}
	var firstErr error
	for _, endpoint := range c.cfg.Endpoints {
		client, err := c.At(ctx, endpoint)
		if err == nil {
			return client, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return nil, firstErr
}

// Revision returns the revision that the keys are read at.
func (s *Scan) Revision() int64 { return s.revision }

// Total returns what the scan came to; it is complete once Chunks has ended without an error.
func (s *Scan) Total() ScanTotal { return s.total }

// Chunks reads the range, once. Chunks are never empty and valid until the next one is asked for: their memory is used
// again. An error ends the sequence; keys that came
// before it are right but not all: the error is a *HintError with CodeScanBroken or CodeCompacted then, and says how
// many there were. The scan is given up when no data comes for Config.CommandTimeout; the time that the consumer takes
// does not count.
func (s *Scan) Chunks(ctx context.Context) iter.Seq2[[]*mvccpb.KeyValue, error] {
	return func(yield func([]*mvccpb.KeyValue, error) bool) {
		for failures := 0; ; {
			before := s.seen
			read := s.stream
			switch {
			case s.opts.Limit > 0 && s.seen == s.opts.Limit:
				read = s.rest
			case s.paged:
				read = s.pages
			}
			done, err := read(ctx, func(kvs []*mvccpb.KeyValue) bool { return yield(kvs, nil) })
			if done {
				return
			}
			if s.seen > before {
				failures = 0
			}
			if s.adapt(err, s.seen > before) {
				continue
			}
			if failures++; !s.passes(err) || !pause(ctx, failures) {
				yield(nil, s.explain(ctx, err))
				return
			}
		}
	}
}

// stream reads from where the scan stands by one RangeStream. done: the end was reached, or the consumer has enough.
func (s *Scan) stream(ctx context.Context, yield func([]*mvccpb.KeyValue) bool) (done bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newWatchdog(s.silence, cancel)

	watch.start()
	defer watch.stop()
	rs, err := clientv3.RetryKVClient(s.client).RangeStream(ctx, s.request(), grpc.MaxCallRecvMsgSize(s.message),
		grpc.ForceCodecV2(newStreamCodec()))
	if err != nil {
		return false, causeOfEnd(ctx, err)
	}
	seen := s.seen
	for {
		watch.start()
		resp, err := rs.Recv()
		watch.stop()
		if err != nil {
			return false, causeOfEnd(ctx, err)
		}
		r := resp.GetRangeResponse()
		s.advance(r.GetKvs())
		if len(r.GetKvs()) > 0 && !yield(r.GetKvs()) {
			return true, nil
		}
		if r.GetHeader() != nil { // only the last message has one
			s.total = ScanTotal{Seen: s.seen, Count: seen + r.GetCount(), More: r.GetMore()}
			return true, nil
		}
	}
}

// rest counts what the limit left out, where a stream broke off between its last key and its end: to ask for no more keys
// would be to ask for all of them.
func (s *Scan) rest(ctx context.Context, _ func([]*mvccpb.KeyValue) bool) (done bool, err error) {
	request := s.request()
	request.CountOnly = true
	ctx, cancel := context.WithTimeoutCause(ctx, s.silence, errSilence)
	defer cancel()
	resp, err := clientv3.RetryKVClient(s.client).Range(ctx, request)
	if err != nil {
		return false, causeOfEnd(ctx, err)
	}
	s.total = ScanTotal{Seen: s.seen, Count: s.seen + resp.GetCount(), More: resp.GetCount() > 0}
	return true, nil
}

// request asks for what is still missing.
func (s *Scan) request() *pb.RangeRequest {
	r := &pb.RangeRequest{
		Key: []byte(s.next), RangeEnd: []byte(s.opts.End), Revision: s.revision,
		KeysOnly: s.opts.KeysOnly, Serializable: s.opts.Serializable,
	}
	if s.opts.Limit > 0 {
		r.Limit = s.opts.Limit - s.seen
	}
	return r
}

func (s *Scan) advance(kvs []*mvccpb.KeyValue) {
	if len(kvs) > 0 {
		s.seen += int64(len(kvs))
		s.next = string(kvs[len(kvs)-1].GetKey()) + "\x00"
	}
}
