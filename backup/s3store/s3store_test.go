package s3store_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/s3store"
	"github.com/etcdops/etcdops/backup/storetest"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// server starts an S3 server with TLS; wrap stands between it and its clients.
func server(t *testing.T, wrap func(http.Handler) http.Handler) (place string) {
	t.Helper()
	memory := s3mem.New()
	if err := memory.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(memory).Server()
	if wrap != nil {
		handler = wrap(handler)
	}
	s := httptest.NewTLSServer(handler)
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	return "s3://backups/prod/etcd?region=us-east-1&endpoint=" + s.Listener.Addr().String() + "&ca=" + url.QueryEscape(ca)
}

func open(t *testing.T, place string) backup.Store {
	t.Helper()
	u, err := url.Parse(place)
	if err != nil {
		t.Fatal(err)
	}
	s, err := s3store.Open(u)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.String(), "canary") {
		t.Error("the store's name tells the secret")
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) backup.Store {
		t.Helper()
		return open(t, server(t, nil))
	})
}

// unreliable answers every fifth request with 503 or cuts it off, and counts those.
func unreliable(t *testing.T, failed *atomic.Int32) func(http.Handler) http.Handler {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	numbers := make(chan int, 1)
	go func() {
		for {
			select {
			case numbers <- r.IntN(100):
			case <-t.Context().Done():
				return
			}
		}
	}()
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch n := <-numbers; {
			case n < 10:
				failed.Add(1)
				w.WriteHeader(http.StatusServiceUnavailable)
			case n < 20:
				failed.Add(1)
				if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
					if tcp, ok := conn.(*net.TCPConn); ok {
						_ = tcp.SetLinger(0)
					}
					_ = conn.Close()
				}
			default:
				next.ServeHTTP(w, req)
			}
		})
	}
}

// TestServerThatFails puts and lists while every fifth request fails.
func TestServerThatFails(t *testing.T) {
	var failed atomic.Int32
	s := open(t, server(t, unreliable(t, &failed)))
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for i := range 20 {
		if err := s.Put(t.Context(), fmt.Sprintf("c/1/part.%03d", i), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := s.List(t.Context(), "c/")
	if err != nil || len(objects) != 20 {
		t.Errorf("%d objects, %v", len(objects), err)
	}
	if failed.Load() == 0 {
		t.Error("no request failed")
	}
}

func TestPlacesThatAreRefused(t *testing.T) {
	for _, place := range []string{"s3:///prefix", "s3://b?unknown=1", "s3://b?insecure=maybe", "s3://b/a/../b", "s3://b?ca=/does/not/exist"} {
		u, err := url.Parse(place)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s3store.Open(u); err == nil {
			t.Errorf("%s was opened", place)
		}
	}
}

// TestBackupsThroughAServerThatFails takes backups of a cluster while every fifth request fails: each is whole or is not there,
// and what is not there leaves nothing after a sweep, no upload that was begun either.
func TestBackupsThroughAServerThatFails(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	client := cluster.Client(t)
	for i := range 40 {
		value := make([]byte, 500_000)
		for j := range value {
			value[j] = byte(rand.Uint32())
		}
		if _, err := client.Put(clustertest.Context(t, 20*time.Second), fmt.Sprintf("/k/%d", i%5), string(value)); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := ops.Dial(t.Context(), ops.Config{Endpoints: cluster.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var failed atomic.Int32
	var faults atomic.Bool
	var begun atomic.Int32
	fail := unreliable(t, &failed)
	place := server(t, func(next http.Handler) http.Handler {
		broken := fail(next)
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Has("uploads") && req.Method == http.MethodPost {
				begun.Add(1) // an upload in parts, which could be left unfinished
			}
			if faults.Load() {
				broken.ServeHTTP(w, req)
				return
			}
			next.ServeHTTP(w, req)
		})
	})
	repo, err := backup.EnsureRepository(t.Context(), open(t, place), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	faults.Store(true)
	taken := 0
	for range 4 {
		if _, err := repo.Create(clustertest.Context(t, 2*time.Minute), conn, backup.CreateOptions{SpoolDir: t.TempDir()}); err == nil {
			taken++
		} else if ops.CodeOf(err) != backup.CodeStore {
			t.Errorf("it failed otherwise than by its store: %v", err)
		}
	}
	faults.Store(false)
	if failed.Load() == 0 || begun.Load() > 0 {
		t.Errorf("%d requests failed, %d uploads in parts were begun", failed.Load(), begun.Load())
	}
	if err := repo.SweepDebris(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	list, err := repo.List(t.Context())
	if err != nil || len(list) < taken {
		t.Fatalf("%d backups are listed of %d, %v", len(list), taken, err)
	}
	objects := 0
	for _, e := range list { // an answer that was lost may have been that of a manifest
		objects += len(e.Manifest.Parts) + 1
		if _, err := repo.Verify(t.Context(), e, backup.VerifyOptions{Level: backup.LevelStored}); err != nil {
			t.Error(err)
		}
	}
	left, err := repo.Store().List(t.Context(), "c/")
	if err != nil || len(left) != objects {
		t.Errorf("%d objects of %d backups with %d, %v", len(left), len(list), objects, err)
	}
	t.Logf("%d of 4 backups taken, %d requests failed", taken, failed.Load())
}
