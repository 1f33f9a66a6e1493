package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/logging"
	"github.com/etcdops/etcdops/ops"
)

func TestMain(m *testing.M) {
	installResolver()
	clustertest.Main(m)
}

// limit is how long a test waits for anything.
const limit = 30 * time.Second

// testLog keeps what a member logs.
type testLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// logger is an Options.Logger that writes to l.
func (l *testLog) logger(onFatal func(logging.FatalError)) *zap.Logger {
	return logging.New(logging.Options{Out: l, Terminal: true, Level: zapcore.InfoLevel, OnFatal: onFatal})
}

// layout lays members out without starting them: their command lines are complete.
func layout(t *testing.T, opts clustertest.Options) *clustertest.Cluster {
	t.Helper()
	return clustertest.NewUnstarted(t, opts)
}

// settingsOf parses the command line of a member.
func settingsOf(t *testing.T, m *clustertest.Member, more ...string) *Settings {
	t.Helper()
	s, err := Parse(append(m.CommandLine(), more...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// launch starts a member in this process and stops it at the end of the test.
func launch(t *testing.T, s *Settings, opts Options) (*Server, *testLog) {
	t.Helper()
	log := &testLog{}
	if opts.Logger == nil {
		opts.Logger = log.logger
	}
	srv, err := Start(t.Context(), s, opts)
	if err != nil {
		t.Fatalf("start: %v\n%s", err, log)
	}
	t.Cleanup(func() {
		stop(t, srv)
		if t.Failed() {
			t.Log(log)
		}
	})
	return srv, log
}

func stop(t *testing.T, srv *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := srv.Stop(ctx); err != nil && ctx.Err() != nil {
		t.Errorf("stop: %v", err)
	}
}

func waitReady(t *testing.T, srv *Server) {
	t.Helper()
	select {
	case <-srv.Ready():
	case <-srv.Done():
		t.Fatalf("ended before it was ready: %v", srv.Wait())
	case <-time.After(limit):
		t.Fatal("not ready")
	}
}

// client trusts the cluster's authority and shows its client certificate.
func client(t *testing.T, c *clustertest.Cluster) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	if c.TLS != nil {
		cert, err := tls.LoadX509KeyPair(c.TLS.ClientCert, c.TLS.ClientKey)
		if err != nil {
			t.Fatal(err)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: c.TLS.CA.Pool(), Certificates: []tls.Certificate{cert}}
	}
	return &http.Client{Transport: transport, Timeout: limit}
}

// call makes a request and returns status and body.
func call(t *testing.T, c *http.Client, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestREST asks every HTTP endpoint, without and with TLS.
func TestREST(t *testing.T) {
	for _, withTLS := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", withTLS), func(t *testing.T) {
			c := layout(t, clustertest.Options{TLS: withTLS})
			m := c.Members[0]
			srv, _ := launch(t, settingsOf(t, m), Options{})
			waitReady(t, srv)
			http := client(t, c)
			for _, want := range []struct{ method, path, body, answer string }{
				{"GET", "/health", "", `{"health":"true","reason":""}`},
				{"GET", "/livez", "", "ok"},
				{"GET", "/readyz", "", "ok"},
				{"GET", "/version", "", `"etcdserver":"3.7.`},
				{"GET", "/metrics", "", "etcd_server_has_leader 1"},
				{"POST", "/v3/kv/put", `{"key":"a2V5","value":"dmFsdWU="}`, `"revision":"2"`},
				{"POST", "/v3/kv/range", `{"key":"a2V5"}`, `"value":"dmFsdWU="`},
			} {
				status, answer := call(t, http, want.method, m.ClientURL+want.path, want.body)
				if status != 200 || !strings.Contains(answer, want.answer) {
					t.Errorf("%s %s: got %d %q, want 200 %q", want.method, want.path, status, answer, want.answer)
				}
			}
			if status, answer := call(t, http, "GET", m.ClientURL+"/v2/keys/x", ""); status != 404 {
				t.Errorf("/v2/keys: got %d %q, want 404", status, answer)
			}
		})
	}
}

// TestAdditionalHandlers: other parts hang their handlers in beside etcd's.
func TestAdditionalHandlers(t *testing.T) {
	c := layout(t, clustertest.Options{})
	srv, _ := launch(t, settingsOf(t, c.Members[0]), Options{Handlers: map[string]http.Handler{
		"/etcdops/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }),
	}})
	waitReady(t, srv)
	if status, answer := call(t, client(t, c), "GET", c.Members[0].ClientURL+"/etcdops/x", ""); status != 200 || answer != "/etcdops/x" {
		t.Errorf("got %d %q", status, answer)
	}
}

func TestStopAndRestart(t *testing.T) {
	c := layout(t, clustertest.Options{})
	m := c.Members[0]
	var states []string
	options := Options{Notify: func(state string) { states = append(states, state) }}
	first, log := launch(t, settingsOf(t, m), options)
	waitReady(t, first)
	call(t, client(t, c), "POST", m.ClientURL+"/v3/kv/put", `{"key":"a2V5","value":"dmFsdWU="}`)
	id, cluster := first.IDs()
	stop(t, first)
	if err := first.Wait(); err != nil {
		t.Errorf("after Stop: %v", err)
	}
	if strings.Contains(log.String(), "ERROR") {
		t.Errorf("a stop in order logs errors:\n%s", log)
	}
	if last := states[len(states)-1]; !strings.Contains(last, "STOPPING=1") {
		t.Errorf("states told: %q", states)
	}

	second, _ := launch(t, settingsOf(t, m), Options{})
	waitReady(t, second)
	if newID, newCluster := second.IDs(); newID != id || newCluster != cluster {
		t.Errorf("restarted as %s of %s, was %s of %s", newID, newCluster, id, cluster)
	}
	if _, answer := call(t, client(t, c), "POST", m.ClientURL+"/v3/kv/range", `{"key":"a2V5"}`); !strings.Contains(answer, "dmFsdWU=") {
		t.Errorf("the key is gone: %s", answer)
	}
}

// TestLogRotation: upstream's log settings work, rotation among them. The member is a process of its own: upstream registers
// its rotation once a process, and keeps the first file for good.
func TestLogRotation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "etcd.log")
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{
		"--log-outputs=" + file, "--enable-log-rotation", "--log-level=warn", `--log-rotation-config-json={"maxsize": 1}`,
	}})
	c.Members[0].Stop(t)
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `{"level":"warn"`) || strings.Contains(string(text), `"level":"info"`) {
		t.Errorf("%v, log:\n%s", err, text)
	}
}

// TestLogChosen: our own log steps back where the settings name one.
func TestLogChosen(t *testing.T) {
	m := layout(t, clustertest.Options{}).Members[0]
	for args, want := range map[string]bool{"--name=m1": false, "--log-level=warn": false, "--log-outputs=stderr": true, "--log-format=json": true} {
		if got := settingsOf(t, m, args).LogChosen(); got != want {
			t.Errorf("%s chooses a log: %v, want %v", args, got, want)
		}
	}
}

// startAll starts every member of a cluster in this process and waits until all serve.
func startAll(t *testing.T, settings []*Settings) []*Server {
	t.Helper()
	servers, _ := startAllLogged(t, settings)
	return servers
}

// startAllLogged does that and returns their logs.
func startAllLogged(t *testing.T, settings []*Settings) ([]*Server, []*testLog) {
	t.Helper()
	logs := make([]*testLog, len(settings))
	servers := make([]*Server, len(settings))
	errs := make([]error, len(settings))
	var wg sync.WaitGroup
	for i, s := range settings {
		logs[i] = &testLog{}
		wg.Go(func() { servers[i], errs[i] = Start(t.Context(), s, Options{Logger: logs[i].logger}) })
	}
	wg.Wait()
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for _, srv := range servers {
			if srv != nil {
				wg.Go(func() { stop(t, srv) })
			}
		}
		wg.Wait()
	})
	for i, srv := range servers {
		if errs[i] != nil {
			t.Fatalf("member %d: %v", i, errs[i])
		}
		waitReady(t, srv)
	}
	return servers, logs
}

func TestStaticClusterMovesLeadershipFirst(t *testing.T) {
	c := layout(t, clustertest.Options{Size: 3, TLS: true})
	var settings []*Settings
	for _, m := range c.Members {
		settings = append(settings, settingsOf(t, m))
	}
	servers, logs := startAllLogged(t, settings)
	http := client(t, c)
	call(t, http, "POST", c.Members[0].ClientURL+"/v3/kv/put", `{"key":"a2V5","value":"dmFsdWU="}`)
	for _, m := range c.Members {
		if _, answer := call(t, http, "POST", m.ClientURL+"/v3/kv/range", `{"key":"a2V5"}`); !strings.Contains(answer, "dmFsdWU=") {
			t.Errorf("%s answers %s", m.Name, answer)
		}
	}
	leader := slices.IndexFunc(servers, func(s *Server) bool { return s.Etcd().Leader() == s.Etcd().MemberID() })
	term := servers[leader].Etcd().Term()
	stop(t, servers[leader])
	log := logs[leader].String()
	moved, closing := strings.Index(log, "leadership transfer finished"), strings.Index(log, "closing etcd server")
	if moved < 0 || closing < moved {
		t.Errorf("leadership was not moved before the listeners were closed:\n%s", log)
	}
	for i, srv := range servers {
		if i == leader {
			continue
		}
		// The log above tells the order; an election for want of processors may have followed since.
		if got := srv.Etcd().Leader(); got == servers[leader].Etcd().MemberID() || srv.Etcd().Term() <= term {
			t.Errorf("member %d: leader %s in term %d, was in term %d", i, got, srv.Etcd().Term(), term)
		}
	}
}

// TestStopBeforeReady: upstream's own Close would wait for ever here.
func TestStopBeforeReady(t *testing.T) {
	c := layout(t, clustertest.Options{Size: 3})
	srv, _ := launch(t, settingsOf(t, c.Members[0]), Options{})
	stop(t, srv)
	select {
	case <-srv.Ready():
		t.Error("one member of three became ready")
	default:
	}
}

func TestStopGivesUpWithItsContext(t *testing.T) {
	c := layout(t, clustertest.Options{})
	srv, _ := launch(t, settingsOf(t, c.Members[0]), Options{})
	waitReady(t, srv)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := srv.Stop(ctx)
	if hint, ok := asHint(err); err != nil && (!ok || hint.Class != ops.ClassInterrupted) {
		t.Errorf("got %v", err)
	}
}

// TestRemovedMember: etcd ends without a word; ours says that it was removed, and refuses, at each further start too.
func TestRemovedMember(t *testing.T) {
	c := layout(t, clustertest.Options{Size: 3})
	var settings []*Settings
	for _, m := range c.Members {
		settings = append(settings, settingsOf(t, m, "--strict-reconfig-check=false")) // it wants five seconds of connection first
	}
	servers := startAll(t, settings)
	stop(t, servers[2]) // learns of its removal from the others alone
	removeMember(t, c, servers[2])
	mustBeRemoved(t, restarted(t, settings[2]))
	removeMember(t, c, servers[1]) // learns of it from the log
	mustBeRemoved(t, servers[1])
	mustBeRemoved(t, restarted(t, settings[1]))
}

func restarted(t *testing.T, s *Settings) *Server {
	t.Helper()
	srv, _ := launch(t, s, Options{})
	return srv
}

// removeMember removes a server's member through the first member.
func removeMember(t *testing.T, c *clustertest.Cluster, srv *Server) {
	t.Helper()
	id, _ := srv.IDs()
	number, err := json.Marshal(map[string]string{"ID": strconv.FormatUint(uint64(id), 10)})
	if err != nil {
		t.Fatal(err)
	}
	status, answer := call(t, client(t, c), "POST", c.Members[0].ClientURL+"/v3/cluster/member/remove", string(number))
	if status != 200 {
		t.Fatalf("remove: %d %s", status, answer)
	}
}

func mustBeRemoved(t *testing.T, srv *Server) {
	t.Helper()
	select {
	case <-srv.Done():
	case <-time.After(limit):
		t.Fatal("the removed member goes on")
	}
	if hint, ok := asHint(srv.Wait()); !ok || hint.Code != "ETO-3035" || hint.Class != ops.ClassRefused {
		t.Errorf("got %v", srv.Wait())
	}
}

func asHint(err error) (*ops.HintError, bool) { return errors.AsType[*ops.HintError](err) }

// files lists everything below dir with size and time of change.
func files(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fsWalk(dir, func(path string, info os.FileInfo) {
		fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano(), info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
