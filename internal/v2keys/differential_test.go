package v2keys_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestDifferential sends the same random requests to etcd 3.4 and to us and compares all that comes back.
func TestDifferential(t *testing.T) {
	t.Parallel()
	differential(t, 1500, 3)
}

// TestLongDifferential is the same with more.
func TestLongDifferential(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	differential(t, 8000, 8)
}

// differential compares at least so many answers, waiting requests among them, with some rounds in which nodes expire.
func differential(t *testing.T, requests, expiries int) {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("ETCDOPS_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("ETCDOPS_SEED=%d", seed)
	b := start(t)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), both: b}
	run := &comparison{t: t, both: b, ctx: clustertest.Context(t, 4*time.Minute)}
	run.request(ask{method: "GET", path: "/"})
	for round := 0; run.sent < requests && run.failed < 10; round++ {
		if round%max(1, requests/60/expiries) == 1 {
			run.expiry()
		}
		run.round(g)
	}
	t.Logf("%d requests, %d waiting ones, %d of those answered", run.sent, run.waited, run.woken)
	if run.woken == 0 {
		t.Error("no waiting request was ever answered: the test proves nothing about them")
	}
}

// comparison is one run.
type comparison struct {
	*both
	t      *testing.T
	ctx    context.Context
	sent   int
	waited int
	woken  int
	failed int
	recent []string
}

// request compares one request.
func (c *comparison) request(a ask) {
	c.sent++
	found := c.compare(c.ctx, a)
	c.recent = append(c.recent, a.String())
	if len(found) > 0 {
		c.fail(a, found)
	}
}

func (c *comparison) fail(a ask, found []string) {
	c.failed++
	c.recent = c.recent[max(0, len(c.recent)-25):]
	c.t.Errorf("request %d: %s\n  (etcd 3.4, ours)\n  %s\nbefore it:\n  %s", c.sent, a, strings.Join(found, "\n  "),
		strings.Join(c.recent, "\n  "))
}

// round sends 60 requests, with some waiting beside them.
func (c *comparison) round(g *generator) {
	var waiting []*waitingPair
	for range 60 {
		if g.IntN(8) == 0 {
			waiting = append(waiting, c.startWait(g.wait(c.sent)))
		}
		c.request(g.request())
	}
	for _, w := range waiting {
		c.endWait(w)
	}
}

// waitingPair is a request that waits at both.
type waitingPair struct {
	ask    ask
	cancel context.CancelFunc
	mu     sync.Mutex
	lines  [2][][]byte
	done   [2]chan answer
	first  [2]chan struct{} // closed with the first line
}

// startWait begins to wait and returns when both have answered that they do.
func (c *comparison) startWait(a ask) *waitingPair {
	ctx, cancel := context.WithCancel(c.ctx)
	w := &waitingPair{ask: a, cancel: cancel}
	begun := make(chan struct{}, 2)
	for side := range w.done {
		w.done[side], w.first[side] = make(chan answer, 1), make(chan struct{})
		go func() {
			w.done[side] <- c.sendWait(ctx, a, side, begun, func(line []byte) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.lines[side] = append(w.lines[side], line); len(w.lines[side]) == 1 {
					close(w.first[side])
				}
			})
		}()
	}
	<-begun
	<-begun
	c.waited++
	return w
}

// endWait compares what came: both have been answered or neither has.
func (c *comparison) endWait(w *waitingPair) {
	limit := time.After(time.Minute)
	grace := time.After(20 * time.Millisecond)
	for pending := true; pending; {
		w.mu.Lock()
		x, y := len(w.lines[0]) > 0, len(w.lines[1]) > 0
		w.mu.Unlock()
		switch {
		case x && y:
			pending = false
		case x || y:
			select {
			case <-w.first[0]:
				select {
				case <-w.first[1]:
				case <-limit:
					pending = false
				}
			case <-w.first[1]:
				select {
				case <-w.first[0]:
				case <-limit:
					pending = false
				}
			}
		default:
			select {
			case <-w.first[0]:
			case <-w.first[1]:
			case <-grace:
				pending = false
			}
		}
	}
	w.cancel()
	got := [2]answer{<-w.done[0], <-w.done[1]}
	for side := range got {
		got[side].body = nil
		if len(w.lines[side]) > 0 {
			got[side].body = w.lines[side][0] // of a stream, the others differ by what docs/v2-keys.md lists
		}
	}
	if len(got[0].body) > 0 {
		c.woken++
	}
	if found := c.differ(got); len(found) > 0 {
		c.fail(w.ask, found)
	}
}

// expiry lets nodes expire at both and compares how those who wait hear of it.
func (c *comparison) expiry() {
	dir := fmt.Sprintf("/ttl%d", c.sent)
	set := func(p string, fields ...string) {
		c.request(ask{method: "PUT", path: p, form: values(fields...)})
	}
	expect := func(p string, recursive bool) *waitingPair {
		return c.startWait(ask{method: "GET", path: p, query: values("wait", "true", "recursive", strconv.FormatBool(recursive))})
	}
	set(dir+"/file", "value", "x", "ttl", "2")
	set(dir+"/refreshed", "value", "y", "ttl", "2")
	set(dir+"/refreshed", "refresh", "true", "prevExist", "true", "ttl", "500")
	waiting := []*waitingPair{expect(dir, true), expect(dir+"/file", false)}
	for _, w := range waiting {
		c.awaitBoth(w)
	}
	set(dir+"/now", "value", "gone", "ttl", "0")
	c.awaitAbsence(dir + "/now")

	set(dir+"/dir", "dir", "true", "ttl", "2")
	set(dir+"/dir/a", "value", "1")
	set(dir+"/dir/sub/b", "value", "2", "ttl", "500")
	waiting = []*waitingPair{expect(dir, true), expect(dir+"/dir/a", false), expect(dir+"/dir/sub/b", false), expect(dir+"/dir", false)}
	for _, w := range waiting {
		c.awaitBoth(w)
	}
	set(dir+"/dir/sub/c", "value", "3") // nothing of before may come back
	c.request(ask{method: "GET", path: dir, query: values("recursive", "true", "sorted", "true")})
	c.request(ask{method: "DELETE", path: dir, query: values("recursive", "true")})
}

// awaitAbsence waits until a node is gone at both.
func (c *comparison) awaitAbsence(p string) {
	for side := range c.urls {
		for c.ctx.Err() == nil {
			if got := c.send(c.ctx, ask{method: "GET", path: p}, side); got.status == http.StatusNotFound {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	c.request(ask{method: "GET", path: p})
}

// awaitBoth waits for both to be answered, and compares.
func (c *comparison) awaitBoth(w *waitingPair) {
	for side := range w.first {
		select {
		case <-w.first[side]:
		case <-time.After(time.Minute):
		}
	}
	c.endWait(w)
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}
