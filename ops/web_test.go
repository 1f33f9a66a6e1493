package ops_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/ops"
)

// TestFetch reads a page, and wants endless, oversized, slow and wrong ones to end as errors, soon.
func TestFetch(t *testing.T) {
	t.Parallel()
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write([]byte("page"))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case "/silent":
			<-r.Context().Done()
		case "/header":
			w.Header().Set("X", strings.Repeat("y", 1<<20))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(web.Close)
	c, err := ops.Open(ops.Config{Endpoints: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	now := make(chan struct{})
	close(now)
	var got []byte
	read := func(r io.Reader) (err error) {
		got, err = io.ReadAll(r)
		return err
	}
	if err := c.Fetch(clustertest.Context(t, time.Minute), now, web.URL, "/good", 10, read); err != nil || string(got) != "page" {
		t.Errorf("%q, %v", got, err)
	}
	for _, path := range []string{"/endless", "/header", "/missing"} {
		if err := c.Fetch(clustertest.Context(t, time.Minute), now, web.URL, path, 1<<20, read); err == nil {
			t.Errorf("%s is no error", path)
		}
		if len(got) > 1<<20 {
			t.Errorf("%s: %d bytes", path, len(got))
		}
	}
	for name, after := range map[string]chan struct{}{"/silent": now, "/good": make(chan struct{})} {
		if err := c.Fetch(clustertest.Context(t, 200*time.Millisecond), after, web.URL, name, 10, read); err == nil {
			t.Errorf("%s does not end with its context", name)
		}
	}
}

// TestHandshake looks at certificates that are not trusted, and of servers that refuse this client.
func TestHandshake(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{Dir: t.TempDir()})
	c, err := ops.Open(ops.Config{Endpoints: []string{"https://127.0.0.1:1"}, TLS: ops.TLS{CACert: ca.CertFile}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	web := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	ctx := clustertest.Context(t, time.Minute)
	chain, err := c.Handshake(ctx, web.URL)
	if err != nil || len(chain) == 0 || !chain[0].Equal(web.Certificate()) {
		t.Errorf("%d certificates, %v", len(chain), err)
	}
	if _, err := c.Handshake(ctx, "http://127.0.0.1:1"); err == nil {
		t.Error("http has a handshake")
	}
	if _, err := c.Handshake(ctx, "https://127.0.0.1:1"); err == nil {
		t.Error("nobody listens, and yet there is a handshake")
	}
}
