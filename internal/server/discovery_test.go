package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// withoutFlags drops flags from a command line.
func withoutFlags(args []string, names ...string) []string {
	var kept []string
	for _, arg := range args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		drop := false
		for _, n := range names {
			drop = drop || n == name
		}
		if !drop {
			kept = append(kept, arg)
		}
	}
	return kept
}

func parseArgs(t *testing.T, args ...string) *Settings {
	t.Helper()
	s, err := Parse(args, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDiscovery lets three members find each other through a fourth that serves as discovery service.
func TestDiscovery(t *testing.T) {
	service := layout(t, clustertest.Options{})
	directory, _ := launch(t, settingsOf(t, service.Members[0]), Options{})
	waitReady(t, directory)
	const token = "one-use"
	b64 := base64.StdEncoding.EncodeToString
	put := fmt.Sprintf(`{"key":%q,"value":%q}`, b64([]byte("/_etcd/registry/"+token+"/_config/size")), b64([]byte("3")))
	call(t, client(t, service), "POST", service.Members[0].ClientURL+"/v3/kv/put", put)

	c := layout(t, clustertest.Options{Size: 3})
	discover := func(m *clustertest.Member) *Settings {
		args := withoutFlags(m.CommandLine(), "initial-cluster", "initial-cluster-token", "initial-cluster-state")
		return parseArgs(t, append(args, "--discovery-token="+token, "--discovery-endpoints="+service.Members[0].ClientURL)...)
	}
	tooMany := discover(layout(t, clustertest.Options{}).Members[0])
	servers := startAll(t, []*Settings{discover(c.Members[0]), discover(c.Members[1]), discover(c.Members[2])})
	if n := len(servers[0].Etcd().Cluster().Members()); n != 3 {
		t.Errorf("%d members", n)
	}

	_, err := Start(t.Context(), tooMany, Options{Logger: (&testLog{}).logger})
	if hint, ok := asHint(err); !ok || hint.Code != "ETO-3041" || hint.Class != ops.ClassUnreachable {
		t.Errorf("a fourth member with the used token: %v", err)
	}
}

// TestDiscoveryUnreachable: nothing is touched, and a start that hangs ends with its context.
func TestDiscoveryUnreachable(t *testing.T) {
	m := layout(t, clustertest.Options{}).Members[0]
	args := withoutFlags(m.CommandLine(), "initial-cluster", "initial-cluster-token", "initial-cluster-state")
	closed := layout(t, clustertest.Options{}).Members[0].ClientURL
	_, err := Start(t.Context(), parseArgs(t, append(args, "--discovery-token=t", "--discovery-endpoints="+closed)...), Options{})
	if hint, ok := asHint(err); !ok || hint.Code != "ETO-3041" || files(t, m.DataDir) != "" {
		t.Errorf("got %v, files %q", err, files(t, m.DataDir))
	}

	var config net.ListenConfig
	silent, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = Start(ctx, parseArgs(t, append(args, "--discovery-token=t", "--discovery-endpoints="+silent.Addr().String())...),
		Options{Logger: (&testLog{}).logger})
	if hint, ok := asHint(err); !ok || hint.Class != ops.ClassInterrupted {
		t.Errorf("with a silent service: %v", err)
	}
}

// TestDNS lets three members find each other by SRV records, served by a name server in this test.
func TestDNS(t *testing.T) {
	c := layout(t, clustertest.Options{Size: 3})
	const domain = "cluster.example"
	records := map[string]string{} // host of each member
	var srv []dnsmessage.SRVResource
	for _, m := range c.Members {
		u, err := url.Parse(m.PeerURL)
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		host := m.Name + "." + domain + "."
		records[host] = u.Hostname()
		srv = append(srv, dnsmessage.SRVResource{Port: uint16(port), Target: dnsmessage.MustNewName(host)})
	}
	useNameServer(t, func(q dnsmessage.Question) []dnsmessage.Resource {
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
		var answers []dnsmessage.Resource
		switch name := q.Name.String(); {
		case q.Type == dnsmessage.TypeSRV && name == "_etcd-server._tcp."+domain+".":
			for i := range srv {
				answers = append(answers, dnsmessage.Resource{Header: header, Body: &srv[i]})
			}
		case q.Type == dnsmessage.TypeA && records[name] != "":
			answers = append(answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(records[name]).To4())}})
		}
		return answers
	})
	settings := make([]*Settings, 0, len(c.Members))
	for _, m := range c.Members {
		u, err := url.Parse(m.PeerURL)
		if err != nil {
			t.Fatal(err)
		}
		args := withoutFlags(m.CommandLine(), "initial-cluster", "initial-advertise-peer-urls")
		settings = append(settings, parseArgs(t, append(args, "--discovery-srv="+domain,
			"--initial-advertise-peer-urls=http://"+m.Name+"."+domain+":"+u.Port())...))
	}
	lone := layout(t, clustertest.Options{}).Members[0]
	nowhere := parseArgs(t, append(withoutFlags(lone.CommandLine(), "initial-cluster"), "--discovery-srv=no-such.example")...)
	if n := len(startAll(t, settings)[0].Etcd().Cluster().Members()); n != 3 {
		t.Errorf("%d members", n)
	}
	_, err := Start(t.Context(), nowhere, Options{Logger: (&testLog{}).logger})
	if hint, ok := asHint(err); !ok || hint.Code != "ETO-3041" || files(t, lone.DataDir) != "" {
		t.Errorf("a domain without records: %v, files %q", err, files(t, lone.DataDir))
	}
}

// nameServer is the address that Go's resolver asks instead of the system's name server; nil: none. The resolver itself is
// replaced once, before any member runs, since members read it at any time.
var nameServer atomic.Pointer[string]

func installResolver() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if own := nameServer.Load(); own != nil {
			network, address = "udp", *own
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

// useNameServer makes Go's resolver ask a server of the test for the length of the test.
func useNameServer(t *testing.T, answer func(dnsmessage.Question) []dnsmessage.Resource) {
	t.Helper()
	var config net.ListenConfig
	conn, err := config.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := conn.LocalAddr().String()
	nameServer.Store(&address)
	t.Cleanup(func() {
		nameServer.Store(nil)
		_ = conn.Close()
	})
	go serveNames(conn, answer)
}

// serveNames answers until conn is closed.
func serveNames(conn net.PacketConn, answer func(dnsmessage.Question) []dnsmessage.Resource) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		reply := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true, RecursionAvailable: true},
			Questions: query.Questions,
			Answers:   answer(query.Questions[0]),
		}
		if len(reply.Answers) == 0 && query.Questions[0].Type == dnsmessage.TypeSRV {
			reply.RCode = dnsmessage.RCodeNameError
		}
		if packet, err := reply.Pack(); err == nil {
			_, _ = conn.WriteTo(packet, from)
		}
	}
}
