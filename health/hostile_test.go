package health_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// hostile answers as a member might that wants to harm whoever asks.
type hostile struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	pb.UnimplementedKVServer

	members []*pb.Member
	version string
	errors  []string
	conns   atomic.Int32 // accepted so far
}

func (h *hostile) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{
		Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 1}, Version: h.version, Errors: h.errors, Leader: 1,
		DbSize: -1, DbSizeQuota: -1, DbSizeInUse: 1 << 62, RaftIndex: 1, RaftAppliedIndex: 1 << 63,
	}, nil
}

func (h *hostile) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Members: h.members}, nil
}

// serve makes the hostile member reachable and returns its URL.
func (h *hostile) serve(t *testing.T) string {
	t.Helper()
	return h.serveAs(t, h)
}

// serveAs serves the member list of somebody else than h.
func (h *hostile) serveAs(t *testing.T, list pb.ClusterServer) string {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterMaintenanceServer(s, h)
	pb.RegisterClusterServer(s, list)
	pb.RegisterKVServer(s, h)
	go func() { _ = s.Serve(&counted{Listener: l, conns: &h.conns}) }() // ends with Stop
	t.Cleanup(s.Stop)
	return "http://" + l.Addr().String()
}

// counted counts the connections that a listener accepts.
type counted struct {
	net.Listener
	conns *atomic.Int32
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.conns.Add(1)
	}
	return conn, err
}

// TestOneConnection wants everything asked over one connection to an address, however often it is named.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	h := &hostile{version: "3.7.3"}
	url := h.serve(t)
	h.members = []*pb.Member{{ID: 1, Name: "m1", ClientURLs: []string{url}}, {ID: 2, Name: "m2", ClientURLs: []string{url}}}
	facts, err := health.Collect(clustertest.Context(t, limit), at(url, url, url+"/"), health.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := h.conns.Load(); n != 1 || len(facts.Endpoints) != 1 {
		t.Errorf("%d connections, %d endpoints", n, len(facts.Endpoints))
	}
}

// TestHostileMember wants an endpoint that lies to be bounded and reported.
func TestHostileMember(t *testing.T) {
	t.Parallel()
	t.Run("a member list without end", func(t *testing.T) {
		t.Parallel()
		h := &hostile{}
		for i := range 5000 {
			h.members = append(h.members, &pb.Member{
				ID: uint64(i), Name: "twin", ClientURLs: []string{fmt.Sprintf("http://127.1.%d.%d:1", i/256, i%256)},
			})
		}
		facts, err := health.Collect(clustertest.Context(t, limit), at(h.serve(t)), health.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(facts.Endpoints) > 64 || facts.NotAsked < 4000 {
			t.Errorf("%d endpoints asked, %d not", len(facts.Endpoints), facts.NotAsked)
		}
		if r := health.Evaluate(facts, health.Policy{}); r.Severity < health.SeverityWarning {
			t.Errorf("verdict %s", r.Severity)
		}
	})
	t.Run("an answer of 100 MB", func(t *testing.T) {
		t.Parallel()
		h := &hostile{version: strings.Repeat("3", 100<<20)}
		r := look(t, at(h.serve(t)))
		if r.Severity == health.SeverityOK || len(r.Strays) != 1 || r.Strays[0].State != health.StateError {
			t.Errorf("verdict %s, endpoints %+v", r.Severity, r.Strays)
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		t.Parallel()
		h := &hostile{
			version: "\x1b[2J3.\n7", errors: []string{"memberID:1 alarm:\x1b]0;x\x07"},
			members: []*pb.Member{{ID: 1, Name: "\u202eevil\x1b[31m", PeerURLs: []string{":", "\x00"}, ClientURLs: []string{"", "gopher://x", "http://[::1"}}},
		}
		if r := look(t, at(h.serve(t))); r.Severity == health.SeverityOK {
			t.Errorf("verdict %s", r.Severity)
		}
	})
	t.Run("credentials stay off the open network", func(t *testing.T) {
		t.Parallel()
		c := clustertest.NewUnstarted(t, clustertest.Options{TLS: true})
		spy := (&hostile{}).serve(t)
		m := c.Members[0]
		m.Args = append(m.Args, "--advertise-client-urls="+m.ClientURL+","+spy)
		c.Start(t)
		cfg := at(m.ClientURL)
		cfg.TLS = tlsOf(c)
		cfg.Auth = ops.Auth{Token: "secret"}
		r := look(t, cfg)
		for _, e := range r.Members[0].Endpoints {
			if e.URL == spy && !strings.Contains(e.Cause, "not asked") {
				t.Errorf("%s was asked: %+v", spy, e)
			}
		}
	})
}

// TestInterrupted wants the end of the context to end the collection at once, and to be told as that.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	c.Members[0].Pause(t)
	ctx, cancel := context.WithCancelCause(clustertest.Context(t, limit))
	time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("enough")) })
	start := time.Now()
	_, err := health.Collect(ctx, at(c.Members[0].ClientURL), health.Options{Bound: limit})
	var hint *ops.HintError
	if !errors.As(err, &hint) || hint.Class != ops.ClassInterrupted || !strings.Contains(err.Error(), "enough") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > limit/4 {
		t.Errorf("ended after %s", took)
	}
}

// changing is a member that learns of another one between two questions for its member list.
type changing struct {
	hostile
	asked atomic.Int32
	after []*pb.Member // from the second answer on
}

func (c *changing) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if c.asked.Add(1) > 1 {
		return &pb.MemberListResponse{Header: &pb.ResponseHeader{ClusterId: 1}, Members: c.after}, nil
	}
	return c.hostile.MemberList(ctx, r)
}

// TestListsThatChange looks while a change of the membership reaches the members one after the other: that is no
// disagreement.
func TestListsThatChange(t *testing.T) {
	t.Parallel()
	behind, ahead := &changing{hostile: hostile{version: "3.7.3"}}, &hostile{version: "3.7.3"}
	all := []*pb.Member{
		{ID: 1, Name: "m1", PeerURLs: []string{"http://127.0.0.1:1"}, ClientURLs: []string{behind.serveAs(t, behind)}},
		{ID: 2, PeerURLs: []string{"http://127.0.0.1:2"}},
	}
	behind.members, behind.after, ahead.members = all[:1], all, all
	facts := collect(t, at(all[0].ClientURLs[0], ahead.serve(t)), patient(health.DepthFast))
	if r := judge(t, facts, nil); behind.asked.Load() < 2 || len(found(r, "membership.agreement")) > 0 {
		t.Errorf("asked %d times: %+v", behind.asked.Load(), found(r, "membership.agreement"))
	}
}
