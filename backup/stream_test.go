package backup_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// leakyWire passes bytes on between a client and a member until it has passed so many of the member's on one connection; then it ends
// the connection, or passes nothing on any more.
type leakyWire struct {
	member string
	after  atomic.Int64
	stall  atomic.Bool
}

// listen starts the wire and returns its URL.
func (w *leakyWire) listen(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(ctx, in)
		}
	}()
	return "http://" + l.Addr().String()
}

func (w *leakyWire) carry(ctx context.Context, in net.Conn) {
	defer func() { _ = in.Close() }()
	out, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.member)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = in.Close(); _ = out.Close() })
	defer stop()
	go func() { _, _ = io.Copy(out, in) }()
	if _, err := io.CopyN(in, out, w.after.Load()); err == nil && w.stall.Load() {
		<-ctx.Done()
	}
}

// TestSnapshotThatBreaksOff has the stream of a real member cut in its middle and right before its end, and stand still: each is an error
// of exit code 1, no manifest is written, nothing is left in the spool, and the backup of before is as it was.
func TestSnapshotThatBreaksOff(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 60, 100_000)
	first := l.create(t, backup.CreateOptions{})
	member, err := url.Parse(l.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		after  int64
		stall  bool
		window time.Duration
		code   ops.Code
	}{
		"cut in its middle":         {3 << 20, false, 0, ops.CodeSnapshotBroken},
		"cut before its end":        {first.Plain.Size, false, 0, ops.CodeSnapshotBroken},
		"standing still":            {3 << 20, true, 500 * time.Millisecond, ops.CodeSnapshotSlow},
		"standing still at its end": {first.Plain.Size, true, 500 * time.Millisecond, ops.CodeSnapshotSlow},
	} {
		wire := &leakyWire{member: member.Host}
		wire.after.Store(tc.after)
		wire.stall.Store(tc.stall)
		conn, err := ops.Dial(t.Context(), ops.Config{Endpoints: []string{wire.listen(t)}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.repo.Create(clustertest.Context(t, time.Minute), conn, backup.CreateOptions{SpoolDir: l.spool, Window: tc.window})
		_ = conn.Close()
		if hint, ok := errors.AsType[*ops.HintError](err); !ok || hint.Code != tc.code || hint.Class != ops.ClassFailure || hint.Hint == "" {
			t.Errorf("%s: %v, want %s", name, err, tc.code)
		}
		if got := l.ids(t); len(got) != 1 || got[0] != first.ID {
			t.Errorf("%s: backups %v, want %s", name, got, first.ID)
		}
		if left, err := os.ReadDir(l.spool); err != nil || len(left) > 0 {
			t.Errorf("%s: left in the spool: %v, %v", name, left, err)
		}
		if objects, err := l.store.List(t.Context(), "c/"); err != nil || len(objects) != len(first.Parts)+1 {
			t.Errorf("%s: %d objects, %v", name, len(objects), err)
		}
	}
}
