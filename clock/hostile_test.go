package clock_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestHostileAnswers reads from servers that answer with something else than the time: each is told as what it is, soon,
// and without keeping what it sends.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}
	for name, tt := range map[string]struct {
		serve http.HandlerFunc
		cause string
	}{
		"no JSON":    {say("hello"), "not that of an etcd member"},
		"no time":    {say(`{"OK":true}`), "carries no time"},
		"zero time":  {say(`{"Now":"0001-01-01T00:00:00Z"}`), "carries no time"},
		"far future": {say(`{"Now":"9999-12-31T23:59:59Z"}`), "shows the year 9999"},
		"year 10000": {say(`{"Now":"10000-12-31T23:59:59Z"}`), "not that of an etcd member"},
		"escapes":    {say("{\"Now\":\"\x1b[2J\xff\"}"), "not that of an etcd member"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "it answers 302 Found"},
		"refusal":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "it answers 403 Forbidden"},
		"endless":     {endless, "not that of an etcd member"},
		"silence":     {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer for 300ms"},
		"much header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "header"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(tt.serve)
			t.Cleanup(s.Close)
			target := []clock.Target{{ID: "a01", Name: "m1", PeerURLs: []string{s.URL}}}
			r, err := clock.Audit(clustertest.Context(t, time.Minute), target, clock.Options{
				Sources: []clock.Kind{clock.KindProbing}, Bound: 300 * time.Millisecond,
			}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if c := r.Clocks[0]; c.State != clock.Missing || !strings.Contains(c.Cause, tt.cause) || r.Verdict == clock.Pass {
				t.Errorf("%s, %s: %s; want %q", r.Verdict, c.State, c.Cause, tt.cause)
			}
		})
	}
}

// TestWrongMember asks the endpoint of another member than the one that is meant.
func TestWrongMember(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(clock.Handler(func() string { return "b02" }))
	t.Cleanup(s.Close)
	ctx := clustertest.Context(t, time.Minute)
	see := func(id string) clock.Clock {
		t.Helper()
		target := []clock.Target{{ID: id, Name: "m1", ClientURLs: []string{s.URL}}}
		r, err := clock.Audit(ctx, target, clock.Options{Sources: []clock.Kind{clock.KindServe}, Self: "us"}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return r.Clocks[0]
	}
	if c := see("b02"); c.State != clock.Measured || c.Source != clock.KindServe {
		t.Errorf("%+v", c)
	}
	if c := see("a01"); c.State != clock.Missing || !strings.Contains(c.Cause, `leads to member "b02"`) {
		t.Errorf("%+v", c)
	}
	resp, err := http.Post(s.URL+clock.Path, "text/plain", strings.NewReader("x")) //nolint:noctx // a server in this process
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a POST: %v, %v", resp, err)
	}
	if err == nil {
		_ = resp.Body.Close()
	}
}

// TestOldEtcd reads the clock of Debian's etcd 3.4.
func TestOldEtcd(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindEtcd34, Size: 2})
	want(t, audit(t, c, clock.Options{}), clock.Pass, clock.KindProbing)
	want(t, audit(t, c, clock.Options{Sources: []clock.Kind{clock.KindDate}}), clock.Pass, clock.KindDate)
}
