package v2keys_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/v2keys"
)

// TestBodies: values and bodies beyond the bounds are refused with the old errors, and just below them are not.
func TestBodies(t *testing.T) {
	t.Parallel()
	const limit = 1 << 17
	c := clustertest.New(t, clustertest.Options{
		Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys", fmt.Sprintf("--max-request-bytes=%d", limit)},
	})
	u := &users{t: t, base: c.Members[0].ClientURL}
	for _, test := range []struct {
		name   string
		path   string
		value  string
		status int
		code   string
	}{
		{"a large value, all of it escaped", "/v2/keys/a", strings.Repeat("%", limit-4096), 201, ""},
		{"a value that v3 does not take", "/v2/keys/a", strings.Repeat("x", limit+1), 400, `"errorCode":209`},
		{"a body beyond the bound", "/v2/keys/a", strings.Repeat("%", limit+1<<15), 400, `"errorCode":210`},
		{"a deep path", "/v2/keys" + strings.Repeat("/d", 60), "x", 201, ""},
		{"a path with more directories than a transaction of v3 takes", "/v2/keys" + strings.Repeat("/e", 200), "x", 400, `"errorCode":209`},
	} {
		resp, err := u.do(clustertest.Context(t, 30*time.Second), "", http.MethodPut, test.path, url.Values{"value": {test.value}})
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != test.status || !strings.Contains(string(text), test.code) {
			t.Errorf("%s: %s, %.300s", test.name, resp.Status, text)
		}
	}
	u.expect("", "GET", "/v2/keys/a", nil, 200)
}

// TestLargeTree reads a tree that is larger than all buffers on the way. Read at once it is whole; when its revision is
// compacted while it is read the connection ends without the end of the document.
func TestLargeTree(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	client := c.Client(t)
	ctx := clustertest.Context(t, time.Minute)
	value := strings.Repeat("v", 1<<20)
	const keys = 48
	for i := range keys {
		n := v2keys.Node{Path: fmt.Sprintf("/f%02d", i), Value: value}
		if _, err := client.Put(ctx, v2keys.Key(n.Path), n.Encode(time.Time{}, 0)); err != nil {
			t.Fatal(err)
		}
	}
	u := &users{t: t, base: c.Members[0].ClientURL}
	const tree = "/v2/keys/?recursive=true&quorum=true"
	var whole struct {
		Node struct{ Nodes []struct{ Value string } }
	}
	if err := json.Unmarshal([]byte(u.body(tree)), &whole); err != nil || len(whole.Node.Nodes) != keys || whole.Node.Nodes[keys-1].Value != value {
		t.Fatalf("%d of %d nodes: %v", len(whole.Node.Nodes), keys, err)
	}

	conn := dial(t, u.base, "GET "+tree+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	put, err := client.Put(ctx, "other", "x")
	if err == nil {
		_, err = client.Compact(ctx, put.Header.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a listing that was cut after %d bytes ended as if it were whole", len(rest))
	}
	u.expect("", "GET", tree, nil, 200)
}

// TestIdle: until somebody waits there is no watch, and there is one for all who do.
func TestIdle(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	u := &users{t: t, base: c.Members[0].ClientURL}
	u.expect("", "PUT", "/v2/keys/a", url.Values{"value": {"x"}, "ttl": {"500"}}, 201)
	u.expect("", "GET", "/v2/keys/?recursive=true", nil, 200)
	if got := u.watchers(); got != "0" {
		t.Errorf("%s watches of v3 while nobody waits", got)
	}
	for range 20 {
		resp, err := u.do(t.Context(), "", http.MethodGet, "/v2/keys/a?wait=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	if got := u.watchers(); got != "1" {
		t.Errorf("%s watches of v3 for 20 who wait", got)
	}
	if got := u.body("/v2/stats/store"); !strings.Contains(got, `"watchers":20`) {
		t.Errorf("statistics: %s", got)
	}
}

// TestIdleDirectory: a directory that can expire needs the watch, too: what it leaves behind is removed.
func TestIdleDirectory(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	u := &users{t: t, base: c.Members[0].ClientURL}
	client, ctx := c.Client(t), clustertest.Context(t, time.Minute)
	gone := func(p string) {
		t.Helper()
		for {
			resp, err := client.Get(ctx, v2keys.Key(p))
			if err != nil {
				t.Fatal(err)
			}
			if len(resp.Kvs) == 0 {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	u.expect("", "PUT", "/v2/keys/d/f", url.Values{"value": {"x"}}, 201)
	u.expect("", "PUT", "/v2/keys/d", url.Values{"dir": {"true"}, "prevExist": {"true"}, "ttl": {"2"}}, 200)
	if got := u.watchers(); got != "1" {
		t.Errorf("%s watches of v3 beside a directory that expires", got)
	}
	gone("/d/f")

	// What expired while nobody watched is removed when somebody does.
	n := v2keys.Node{Path: "/lost/f", Value: "x"}
	if _, err := client.Put(ctx, v2keys.Key(n.Path), n.Encode(time.Time{}, 0)); err != nil {
		t.Fatal(err)
	}
	c.Members[0].Restart(t)
	u.expect("", "GET", "/v2/keys/lost", nil, 404)
	resp, err := u.do(ctx, "", http.MethodGet, "/v2/keys/other?wait=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	gone("/lost/f")
}

// watchers is the member's number of watches.
func (u *users) watchers() string {
	u.t.Helper()
	_, after, found := strings.Cut(u.body("/metrics"), "\netcd_debugging_mvcc_watcher_total ")
	if !found {
		u.t.Fatal("no such metric")
	}
	number, _, _ := strings.Cut(after, "\n")
	return number
}

// TestLongSlowClients: who does not send the body, or does not read the answer, is cut off.
func TestLongSlowClients(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	u := &users{t: t, base: c.Members[0].ClientURL}
	body := dial(t, u.base, "PUT /v2/keys/a HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nvalue=")
	reader := dial(t, u.base, "GET /v2/keys/big?wait=true&stream=true HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(reader, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for i := range maxStreamed {
		status := http.StatusOK
		if i == 0 {
			status = http.StatusCreated
		}
		u.expect("", "PUT", "/v2/keys/big", url.Values{"value": {strings.Repeat("x", 1<<20)}}, status)
	}
	member := dial(t, u.base, "POST /v2/members HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	for conn, want := range map[net.Conn]string{body: `"errorCode":210`, member: `"message"`} {
		if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.Contains(answer, []byte("400 Bad Request")) || !bytes.Contains(answer, []byte(want)) {
			t.Errorf("half a body: %v, %s", err, answer)
		}
	}
	ctx := clustertest.Context(t, 2*time.Minute)
	for !strings.Contains(u.body("/v2/stats/store"), `"watchers":0`) {
		if ctx.Err() != nil {
			t.Fatal("who does not read still waits")
		}
		time.Sleep(100 * time.Millisecond)
	}
	u.expect("", "GET", "/v2/keys/big", nil, 200)
}

// dial sends a text on a connection that takes little before it is read.
func dial(t *testing.T, base, text string) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetReadBuffer(64 << 10)
	}
	if err == nil {
		_, err = io.WriteString(conn, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// maxStreamed is more events of 1 MiB than the system's buffers between two sockets take.
const maxStreamed = 24

// TestLongQuorumLost: requests that need a quorum end with the old error when there is none, those that do not are answered.
func TestLongQuorumLost(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	u := &users{t: t, base: c.Members[0].ClientURL}
	u.expect("", "PUT", "/v2/keys/a", url.Values{"value": {"x"}}, 201)
	c.Members[1].Kill(t)
	c.Members[2].Kill(t)
	for _, a := range []struct {
		method, path string
		status       int
	}{
		{"PUT", "/v2/keys/a", 500},
		{"POST", "/v2/keys/a", 500},
		{"DELETE", "/v2/keys/a", 500},
		{"GET", "/v2/keys/a?quorum=true", 500},
		{"GET", "/v2/keys/a", 200},
	} {
		resp, err := u.do(clustertest.Context(t, 2*time.Minute), "", a.method, a.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != a.status || a.status == 500 && !bytes.Contains(text, []byte(`"errorCode":300`)) {
			t.Errorf("%s %s: %s, %s", a.method, a.path, resp.Status, text)
		}
	}
}

// TestLongManyWaiters fills the member with waiting requests: one more is refused, and all hear of what they wait for.
func TestLongManyWaiters(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	const bound = 10_000
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, TLS: true, Args: []string{"--enable-v2-keys"}})
	transport := &http.Transport{Proxy: nil, TLSClientConfig: c.ClientTLS(t), ForceAttemptHTTP2: true} // many to a connection
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	ctx := clustertest.Context(t, 3*time.Minute)
	get := func(ctx context.Context, path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Members[0].ClientURL+path, nil)
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}
	heard := make(chan error, bound)
	for range bound {
		resp, err := get(ctx, "/v2/keys/a?wait=true") //nolint:bodyclose // the goroutine below closes it
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
			t.Fatalf("%s, %s", resp.Status, resp.Proto)
		}
		go func() {
			defer func() { _ = resp.Body.Close() }()
			text, err := io.ReadAll(resp.Body)
			if err == nil && !bytes.Contains(text, []byte(`"value":"now"`)) {
				err = errors.New(string(text))
			}
			heard <- err
		}()
	}
	resp, err := get(ctx, "/v2/keys/b?wait=true")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || !bytes.Contains(text, []byte(`"errorCode":300`)) {
		t.Errorf("one more: %s, %s", resp.Status, text)
	}
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, c.Members[0].ClientURL+"/v2/keys/a", strings.NewReader("value=now"))
	if err != nil {
		t.Fatal(err)
	}
	put.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if resp, err = client.Do(put); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	for range bound {
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
	}
}
