package ops_test

import (
	"crypto/sha256"
	"errors"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// brokenMember is a member whose snapshots go wrong as a real one's do not on demand.
type brokenMember struct {
	pb.UnimplementedMaintenanceServer
	send func(pb.Maintenance_SnapshotServer) error
}

// Snapshot implements pb.MaintenanceServer.
func (b *brokenMember) Snapshot(_ *pb.SnapshotRequest, s pb.Maintenance_SnapshotServer) error {
	return b.send(s)
}

// serveBroken starts the member and returns its endpoint.
func serveBroken(t *testing.T, send func(pb.Maintenance_SnapshotServer) error) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterMaintenanceServer(server, &brokenMember{send: send})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return "http://" + l.Addr().String()
}

func TestSnapshotsThatGoWrong(t *testing.T) {
	data := make([]byte, 200<<10)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	sum := sha256.Sum256(data)
	wrong := sum
	wrong[7]++
	// in sends b in pieces of n bytes.
	in := func(n int, total int, b []byte) func(pb.Maintenance_SnapshotServer) error {
		return func(s pb.Maintenance_SnapshotServer) error {
			for sent := 0; sent < len(b); {
				piece := b[sent:min(sent+n, len(b))]
				sent += len(piece)
				if err := s.Send(&pb.SnapshotResponse{Header: &pb.ResponseHeader{MemberId: 7}, Blob: piece, RemainingBytes: uint64(max(total-sent, 0)), Version: "3.7.0"}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	whole := append(append([]byte{}, data...), sum[:]...)
	for name, tc := range map[string]struct {
		send func(pb.Maintenance_SnapshotServer) error
		code ops.Code
	}{
		"whole":                 {in(32<<10, len(data), whole), ""},
		"in pieces of a byte":   {in(1, len(data), whole[len(whole)-len(whole)%512:]), ops.CodeSnapshotBroken},
		"in pieces of 31 bytes": {in(31, len(data), whole), ""},
		"one message":           {in(len(whole), 0, whole), ""},
		"no hash":               {in(32<<10, len(data), data), ops.CodeSnapshotDamaged},
		"half a hash":           {in(32<<10, len(data), whole[:len(whole)-16]), ops.CodeSnapshotDamaged},
		"another hash":          {in(32<<10, len(data), append(append([]byte{}, data...), wrong[:]...)), ops.CodeSnapshotDamaged},
		"ends early, in order":  {in(32<<10, len(data), data[:100<<10]), ops.CodeSnapshotBroken},
		"nothing":               {in(1, 0, nil), ops.CodeSnapshotDamaged},
		"breaks off with an error": {func(s pb.Maintenance_SnapshotServer) error {
			return errors.Join(in(32<<10, len(data), data[:100<<10])(s), errors.New("disk error"))
		}, ops.CodeSnapshotBroken},
		"stands still": {func(s pb.Maintenance_SnapshotServer) error {
			err := in(32<<10, len(data), data[:64<<10])(s)
			<-s.Context().Done()
			return err
		}, ops.CodeSnapshotSlow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := serveBroken(t, tc.send)
			c, err := ops.Dial(t.Context(), ops.Config{Endpoints: []string{endpoint}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			var got sink
			var opts ops.SnapshotOptions
			if tc.code == ops.CodeSnapshotSlow {
				opts.Window = 500 * time.Millisecond
			}
			info, err := c.Snapshot(clustertest.Context(t, 20*time.Second), endpoint, opts, &got)
			if ops.CodeOf(err) != tc.code || (err == nil) != (tc.code == "") {
				t.Fatalf("%v, want %q", err, tc.code)
			}
			if err == nil && (string(got) != string(data) || info.SHA256 != sum || info.Size != int64(len(data)) || info.Format != "3.7.0" || info.Header.GetMemberId() != 7) {
				t.Errorf("%d bytes, info %+v", len(got), info)
			}
		})
	}
}

type sink []byte

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}
