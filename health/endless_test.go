package health_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// rawServer speaks HTTP/1.1 and gRPC's HTTP/2 on one port, so that a test can send what no gRPC library would.
func rawServer(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: serve, Protocols: &http.Protocols{}, ReadHeaderTimeout: limit}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// answer sends one gRPC message.
func answer(w http.ResponseWriter, message []byte) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	_, _ = w.Write(append(head, message...)) // the client may have gone
	w.Header().Set("Grpc-Status", "0")
}

// TestEndlessAnswers asks members whose answers never end, in each way in which they can go on: the look ends, little of it
// was read, and nothing is called well.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	drip := func(w http.ResponseWriter, r *http.Request, sent *atomic.Int64, chunk []byte) {
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			if err != nil {
				return
			}
			sent.Add(int64(n))
		}
	}
	long := make([]byte, 1<<16) // of zeros: empty messages, one after the other
	huge := append([]byte{0, 0, 0x3f, 0xff, 0xff}, make([]byte, 1<<10)...)
	for name, chunk := range map[string][]byte{
		"messages": long, "one message": huge, "no message": nil, "lines": []byte(strings.Repeat("etcd_server_has_leader 1\n", 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			url := rawServer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/grpc")
				if chunk == nil { // headers, then nothing for ever
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
					return
				}
				drip(w, r, &sent, chunk)
			})
			start := time.Now()
			facts, err := health.Collect(clustertest.Context(t, limit), at(url), health.Options{Depth: health.DepthDeep, Bound: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			r := judge(t, facts, nil)
			if len(r.Strays) != 1 || r.Strays[0].State == health.StateOK || r.Severity != health.SeverityCritical || r.Counts.OK > 1 {
				t.Errorf("%s, %d ok, %+v", r.Severity, r.Counts.OK, r.Strays)
			}
			const enough = 256 << 20 // five requests, each of which is read to its bound at most
			if n := sent.Load(); n > enough {
				t.Errorf("%d MB were read", n>>20)
			}
			t.Logf("%s, %d KB sent in %v", r.Strays[0].Cause, sent.Load()>>10, time.Since(start))
		})
	}
}

// TestInvalidNames asks a member whose names are no UTF-8, which no honest gRPC library sends: the answer is refused or
// shown escaped, never passed on.
func TestInvalidNames(t *testing.T) {
	t.Parallel()
	var self string
	broken := func(t *testing.T, m proto.Message) []byte {
		t.Helper()
		text, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.ReplaceAll(text, []byte("####"), []byte{0xff, 0xfe, 0x1b, 0x80})
	}
	list := broken(t, &pb.MemberListResponse{
		Header:  &pb.ResponseHeader{ClusterId: 1, MemberId: 1},
		Members: []*pb.Member{{ID: 1, Name: "m####", PeerURLs: []string{"http://####:2380"}, ClientURLs: []string{"http://####:2379"}}},
	})
	status := broken(t, &pb.StatusResponse{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 1}, Version: "3.####", Leader: 1, Errors: []string{"####"}})
	self = rawServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/MemberList"):
			answer(w, list)
		case strings.HasSuffix(r.URL.Path, "/Status"):
			answer(w, status)
		default:
			answer(w, nil)
		}
	})
	facts, err := health.Collect(clustertest.Context(t, limit), at(self), patient(health.DepthNormal))
	if err != nil {
		t.Fatal(err)
	}
	r := judge(t, facts, nil)
	if r.Severity == health.SeverityOK {
		t.Errorf("verdict %s", r.Severity)
	}
	for _, f := range r.Findings {
		if !utf8.ValidString(f.Message) || !utf8.ValidString(f.Member) {
			t.Errorf("%q %q", f.Member, f.Message)
		}
	}
}
