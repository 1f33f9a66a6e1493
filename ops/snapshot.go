package ops

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// SnapshotOptions say how a snapshot is read. The zero value of a field means the default beside it.
type SnapshotOptions struct {
	MinRate  int64                       // bytes a second at least, over Window; default 64 KiB
	Window   time.Duration               // default 30 s
	Progress func(received, total int64) // called now and then; total grows from 0 to what the member says
}

// SnapshotInfo describes a snapshot that was received whole.
type SnapshotInfo struct {
	Size   int64             // bytes of the database, without the hash that follows it
	SHA256 [sha256.Size]byte // of the database; it is what the member sent
	Header *pb.ResponseHeader
	Format string // version of the database's format, as the member says; empty before 3.6
}

// Snapshot reads the database of the member at an endpoint into w, on a connection of its own. The 32 bytes that etcd adds
// are its SHA-256: they are compared, not written. When the error is nil, w has been given the whole database as the
// member has it. The errors are *HintError; after one, what w was given is worth nothing.
//
// The member holds a read transaction until the end: w must take the bytes as fast as they come.
func (c *Cluster) Snapshot(ctx context.Context, endpoint string, o SnapshotOptions, w io.Writer) (SnapshotInfo, error) {
	const op = "read snapshot of"
	ep, err := parseEndpoint(endpoint, c.cfg.TLS.Enabled())
	if err != nil {
		return SnapshotInfo{}, err
	}
	l, err := c.newLine(ep, 256<<10, 8<<20)
	if err != nil {
		return SnapshotInfo{}, err
	}
	defer func() { _ = l.conn.Close() }()
	if err := l.connect(ctx); err != nil {
		return SnapshotInfo{}, err
	}
	if err := c.token.ensure(ctx, l); err != nil {
		return SnapshotInfo{}, err
	}
	r := &snapshotReader{w: w, sum: sha256.New(), progress: o.Progress}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopped := make(chan struct{})
	defer close(stopped)
	go r.watch(cancel, stopped, o)
	err = r.receive(ctx, l.conn)
	return r.info(), r.explain(ctx, c, op, endpoint, err)
}

// Errors of snapshots.
var (
	errNoTrailer   = errors.New("the stream ended without the hash that closes a snapshot")
	errTrailer     = errors.New("the SHA-256 of what came is not the one that the member sent")
	errSnapshotEnd = errors.New("the stream ended early")
)

// slowError says that too little came.
type slowError struct {
	bytes int64
	in    time.Duration
}

func (e slowError) Error() string {
	return fmt.Sprintf("only %d bytes came in the last %v", e.bytes, e.in)
}

// writeError is a failure of the consumer's.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// snapshotReader takes the messages of a stream. The last 32 bytes are held back at all times: they may be the hash.
type snapshotReader struct {
	w        io.Writer
	sum      hash.Hash
	progress func(received, total int64)

	header    *pb.ResponseHeader
	version   string
	tail      []byte
	written   int64
	received  atomic.Int64
	remaining int64 // as the member said last
	failed    error // of w
}

// receive reads the stream to its end.
func (r *snapshotReader) receive(ctx context.Context, conn *grpc.ClientConn) error {
	desc := &grpc.StreamDesc{StreamName: "Snapshot", ServerStreams: true}
	stream, err := conn.NewStream(ctx, desc, pb.Maintenance_Snapshot_FullMethodName, grpc.ForceCodecV2(snapshotCodec{}))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&pb.SnapshotRequest{}); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		switch err := stream.RecvMsg(r); {
		case r.failed != nil:
			return writeError{r.failed}
		case err == io.EOF: //nolint:errorlint // gRPC's own end of a stream
			return r.end()
		case err != nil:
			return err
		}
		if r.progress != nil {
			received := r.received.Load()
			r.progress(received, received+r.remaining)
		}
	}
}

// end judges a stream that the member ended in order.
func (r *snapshotReader) end() error {
	switch {
	case r.remaining > 0:
		return errSnapshotEnd
	case len(r.tail) < sha256.Size || r.written%512 != 0 || r.written == 0:
		return errNoTrailer
	case string(r.sum.Sum(nil)) != string(r.tail):
		return errTrailer
	}
	return nil
}

func (r *snapshotReader) info() SnapshotInfo {
	i := SnapshotInfo{Size: r.written, Header: r.header, Format: r.version}
	copy(i.SHA256[:], r.tail)
	return i
}

// take passes on a piece of the stream.
func (r *snapshotReader) take(piece []byte) {
	if r.failed != nil {
		return
	}
	r.received.Add(int64(len(piece)))
	if len(piece) >= sha256.Size {
		r.pass(r.tail)
		end := len(piece) - sha256.Size
		r.pass(piece[:end])
		r.tail = append(r.tail[:0], piece[end:]...)
		return
	}
	r.tail = append(r.tail, piece...)
	if over := len(r.tail) - sha256.Size; over > 0 {
		r.pass(r.tail[:over])
		r.tail = append(r.tail[:0], r.tail[over:]...)
	}
}

func (r *snapshotReader) pass(b []byte) {
	if r.failed != nil || len(b) == 0 {
		return
	}
	_, _ = r.sum.Write(b)
	n, err := r.w.Write(b)
	r.written += int64(n)
	r.failed = err
}

// watch gives a stream up that is too slow.
func (r *snapshotReader) watch(cancel context.CancelCauseFunc, stopped <-chan struct{}, o SnapshotOptions) {
	window, rate := o.Window, o.MinRate
	if window <= 0 {
		window = 30 * time.Second
	}
	if rate <= 0 {
		rate = 64 << 10
	}
	const looks = 10 // in a window
	tick := time.NewTicker(window / looks)
	defer tick.Stop()
	var history [looks]int64 // what had been received at each of the last looks
	for i := 0; ; i++ {
		select {
		case <-stopped:
			return
		case <-tick.C:
		}
		now := r.received.Load()
		if came := now - history[i%looks]; i >= looks && came < int64(float64(rate)*window.Seconds()) {
			cancel(slowError{came, window})
			return
		}
		history[i%looks] = now
	}
}

// explain makes the error that the caller gets.
func (r *snapshotReader) explain(ctx context.Context, c *Cluster, op, endpoint string, err error) error {
	if err == nil {
		return nil
	}
	if slow, ok := errors.AsType[slowError](context.Cause(ctx)); ok {
		return &HintError{
			Code: CodeSnapshotSlow, Op: op, Member: endpoint, Err: slow, Hint: "try another member (--member), or etcdops health",
		}
	}
	if failed, ok := errors.AsType[writeError](err); ok {
		return failed.error
	}
	if isCanceled(ctx.Err()) {
		return &HintError{Class: ClassInterrupted, Op: op, Member: endpoint, Err: context.Cause(ctx)}
	}
	broken := func(code Code) error {
		return &HintError{
			Code: code, Op: op, Member: endpoint, Err: fmt.Errorf("%w (%d bytes came)", err, r.received.Load()),
			Hint: "run the command again; etcdops explain " + string(code),
		}
	}
	switch {
	case errors.Is(err, errSnapshotEnd):
		return broken(CodeSnapshotBroken)
	case errors.Is(err, errNoTrailer), errors.Is(err, errTrailer):
		return broken(CodeSnapshotDamaged)
	case r.received.Load() > 0:
		return broken(CodeSnapshotBroken)
	}
	return c.Explain(ctx, op, endpoint, err)
}

// snapshotCodec hands the bytes of messages to a snapshotReader as they lie in gRPC's buffers, without the copies that
// decoding them would make.
type snapshotCodec struct{}

// Name implements encoding.CodecV2.
func (snapshotCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (snapshotCodec) Marshal(v any) (mem.BufferSlice, error) {
	return encoding.GetCodecV2("proto").Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (snapshotCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*snapshotReader)
	if !ok {
		return encoding.GetCodecV2("proto").Unmarshal(data, v)
	}
	return r.message(&bufferCursor{rest: data})
}
