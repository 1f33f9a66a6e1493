package network_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/etcdops/etcdops/internal/clustertest/network"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	silence  = 100 * time.Millisecond // how long nothing must arrive over a link that is cut
	patience = 10 * time.Second       // how long something may take to arrive over one that is not
)

// fixture is a party "b" behind a proxy, which echoes, and a connection to it from "a".
type fixture struct {
	network *network.Network
	proxy   *network.Proxy
	addr    string
	conn    net.Conn
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{network: network.New()}
	f.proxy = f.network.Proxy("b", echo(t), func(net.Conn) string { return "a" })
	f.addr = open(t, f.proxy, "127.0.0.1:0")
	f.conn = dial(t, f.addr)
	return f
}

func TestBytesArriveUnchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	sent := make([]byte, 10<<20) // more than a link holds
	_, _ = rand.Read(sent)
	go func() {
		_, _ = f.conn.Write(sent)
		_ = f.conn.(*net.TCPConn).CloseWrite()
	}()
	// The sender has closed, but the answers still come.
	if got, err := io.ReadAll(f.conn); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back of %d, %v", len(got), len(sent), err)
	}
}

// TestCut cuts a link in each way; what was sent meanwhile arrives after the link is healed.
func TestCut(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*network.Network){
		"there":     func(n *network.Network) { n.Cut("a", "b") },
		"back":      func(n *network.Network) { n.Cut("b", "a") },
		"partition": func(n *network.Network) { n.Partition([]string{"a"}, []string{"b", "c"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			say(t, f.conn, "one")
			hear(t, f.conn, "one")
			cut(f.network)
			say(t, f.conn, "two")
			hearNothing(t, f.conn)
			late := dial(t, f.addr)
			say(t, late, "three")
			hearNothing(t, late)
			f.network.Heal()
			hear(t, f.conn, "two")
			hear(t, late, "three")
		})
	}
}

// TestOthersKeepTheirLinks cuts links that are not ours.
func TestOthersKeepTheirLinks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.network.Partition([]string{"a", "b"}, []string{"c"}, []string{"d"})
	f.network.Cut("c", "b")
	say(t, f.conn, "one")
	hear(t, f.conn, "one")
	for _, link := range [][2]string{{"a", "c"}, {"c", "a"}, {"d", "b"}, {"c", "d"}} {
		if l, _ := f.network.Link(link[0], link[1]); !l.Cut {
			t.Errorf("link %v is open", link)
		}
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const there, back = 120 * time.Millisecond, 40 * time.Millisecond
	f.network.Delay("a", "b", there)
	f.network.Delay("b", "a", back)
	start := time.Now()
	say(t, f.conn, "one")
	hear(t, f.conn, "one")
	if took := time.Since(start); took < there+back {
		t.Errorf("a round trip took %v over links of %v and %v", took, there, back)
	}
	// A delay is no bandwidth: many messages on their way arrive together.
	start = time.Now()
	const messages = 100
	for range messages {
		say(t, f.conn, "x")
	}
	hear(t, f.conn, strings.Repeat("x", messages))
	if took := time.Since(start); took > messages/2*there {
		t.Errorf("%d messages took %v", messages, took)
	}
}

// TestPartyGone looks at what others see of a party that died.
func TestPartyGone(t *testing.T) {
	t.Parallel()
	n := network.New()
	nobody, _ := listen(t)
	_ = nobody.Close()
	proxy := n.Proxy("b", nobody.Addr().String(), func(net.Conn) string { return "a" })
	addr := open(t, proxy, "127.33.0.1:0") // an address that no other test of this machine takes the port on
	if err := knock(t, addr, patience); err == nil || isTimeout(err) {
		t.Fatalf("connect to a party that is gone: %v", err)
	}
	n.Cut("b", "a")
	if err := knock(t, addr, silence); !isTimeout(err) {
		t.Fatalf("a refusal came over a link that is cut: %v", err)
	}
	proxy.Close()
	if err := knock(t, addr, patience); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("connect to a closed proxy: %v", err)
	}
	open(t, proxy, addr)
}

// TestCloseDropsConnections closes a proxy with connections open and a link cut: nothing hangs, nothing leaks.
func TestCloseDropsConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.network.Cut("a", "b")
	say(t, f.conn, "lost")
	f.proxy.Close()
	if _, err := f.conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("read from a closed proxy: %v", err)
	}
}

// echo runs a party that sends everything back, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	listener, addr := listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return addr
}

func listen(t *testing.T) (listener net.Listener, addr string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener, listener.Addr().String()
}

// open opens the proxy until the end of the test.
func open(t *testing.T, proxy *network.Proxy, addr string) string {
	t.Helper()
	addr, err := proxy.Open(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return addr
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// knock connects, reads for so long, and returns the first error.
func knock(t *testing.T, addr string, wait time.Duration) error {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(wait))
	_, err = conn.Read(make([]byte, 1))
	return err
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; wanted %q", got, err, want)
	}
}

func hearNothing(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(silence))
	if n, err := conn.Read(make([]byte, 100)); !isTimeout(err) {
		t.Fatalf("heard %d bytes, %v over a link that is cut", n, err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
