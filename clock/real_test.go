package clock_test

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/network"
)

// targets are the members of a cluster as its member list has them.
func targets(c *clustertest.Cluster) []clock.Target {
	var out []clock.Target
	for _, m := range c.Members {
		out = append(out, clock.Target{Name: m.Name, ClientURLs: []string{m.ClientURL}, PeerURLs: []string{m.PeerURL}})
	}
	return out
}

func audit(t *testing.T, c *clustertest.Cluster, opts clock.Options) clock.Report {
	t.Helper()
	report, err := clock.Audit(clustertest.Context(t, time.Minute), targets(c), opts, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// want fails the test unless the report has the verdict, and every clock was read from the source.
func want(t *testing.T, r clock.Report, verdict clock.Verdict, source clock.Kind) {
	t.Helper()
	if r.Verdict != verdict {
		t.Errorf("%s: %s; wanted %s", r.Verdict, r.Summary, verdict)
	}
	for _, c := range r.Clocks {
		if c.Source != source {
			t.Errorf("%s was read by %q at %s, not by %s: %+v", c.Name, c.Source, c.URL, source, c.Failures)
		}
	}
}

// within fails the test unless the pair's bounds hold the truth and are no wider than told.
func within(t *testing.T, r clock.Report, a, b string, truth, bound time.Duration) {
	t.Helper()
	i, ok := r.Between(a, b)
	if !ok || truth < time.Duration(i.LoNS) || truth > time.Duration(i.HiNS) {
		t.Errorf("%s - %s is told as %s, and is %v", a, b, clock.Around(i), truth)
	}
	if width := time.Duration(i.HiNS - i.LoNS); width > 2*bound {
		t.Errorf("%s - %s is told to +-%v; wanted +-%v", a, b, width/2, bound)
	}
}

// TestSources reads members with TLS on all URLs, with and without a certificate for their peer URLs, and without quorum.
func TestSources(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true})
	known := c.ClientTLS(t)
	r := audit(t, c, clock.Options{TLS: known})
	want(t, r, clock.Pass, clock.KindProbing)
	within(t, r, "m1", "m3", 0, 300*time.Millisecond)
	if n := len(r.Clocks[0].Failures); n != 0 {
		t.Errorf("%d sources failed: %+v", n, r.Clocks[0].Failures)
	}
	stranger := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: known.RootCAs}
	r = audit(t, c, clock.Options{TLS: known, Peer: stranger})
	want(t, r, clock.Pass, clock.KindDate)
	within(t, r, "m1", "m3", 0, 500*time.Millisecond)
	if f := r.Clocks[0].Failures; len(f) != 1 || f[0].Source != clock.KindProbing || !strings.Contains(f[0].Cause, "certificate") {
		t.Errorf("why the peer URL was not read: %+v", f)
	}
	r = audit(t, c, clock.Options{TLS: known, Peer: stranger, Quick: true})
	want(t, r, clock.Inconclusive, clock.KindDate) // the second alone does not tell enough
	c.Members[0].Kill(t)
	c.Members[1].Pause(t)
	r = audit(t, c, clock.Options{TLS: known})
	if r.Verdict != clock.Inconclusive || r.Clocks[2].State != clock.Measured {
		t.Errorf("without quorum: %s: %s; %+v", r.Verdict, r.Summary, r.Clocks[2])
	}
	for i, cause := range []string{"", "no answer for 1s"} {
		if got := r.Clocks[i]; got.State != clock.Missing || !strings.Contains(got.Cause, cause) {
			t.Errorf("%s is %s: %s", got.Name, got.State, got.Cause)
		}
	}
}

// TestAsymmetricPath reads a clock through a path that takes 5 ms one way and 45 ms the other, a hundred times: its offset
// from this machine's own is 0, and must be within the bounds each time.
func TestAsymmetricPath(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 1})
	_, direct, _ := strings.Cut(c.Members[0].PeerURL, "://")
	n := network.New()
	n.Delay("us", "member", 5*time.Millisecond)
	n.Delay("member", "us", 45*time.Millisecond)
	p := n.Proxy("member", direct, func(net.Conn) string { return "us" })
	address, err := p.Open("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	target := []clock.Target{{Name: "m1", PeerURLs: []string{"http://" + address}}}
	ctx := clustertest.Context(t, time.Minute)
	var lanes sync.WaitGroup
	var lopsided atomic.Int64
	const runs = 100
	for lane := range 4 {
		lanes.Go(func() {
			for run := lane; run < runs; run += 4 {
				r, err := clock.Audit(ctx, target, clock.Options{
					Sources: []clock.Kind{clock.KindProbing}, Samples: 2, Self: "us", Bound: 20 * time.Second,
				}, time.Second)
				i, ok := r.Between("m1", "us")
				if err != nil || !ok || i.LoNS > 0 || i.HiNS < 0 {
					t.Errorf("run %d: %v, %s", run, err, clock.Around(i))
				}
				if middle := time.Duration(i.LoNS+i.HiNS) / 2; middle.Abs() > 10*time.Millisecond {
					lopsided.Add(1)
				}
			}
		})
	}
	lanes.Wait()
	if n := lopsided.Load(); n < runs/2 {
		t.Errorf("the bounds lie lopsided in %d of %d runs only: the path was not", n, runs)
	}
}

// TestURLOfAnother audits members of which one's peer URL leads to something else than its client URL, which tells another
// time.
func TestURLOfAnother(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	wrong := liar(t, -time.Hour)
	target := []clock.Target{
		{Name: "m1", ClientURLs: []string{wrong}, PeerURLs: []string{c.Members[0].PeerURL}},
		{Name: "m2", PeerURLs: []string{c.Members[0].PeerURL}},
	}
	r, err := clock.Audit(clustertest.Context(t, time.Minute), target, clock.Options{}, time.Second)
	if err != nil || r.Verdict != clock.Unstable || !strings.Contains(r.Clocks[0].Cause, "contradict") ||
		!strings.Contains(r.Clocks[0].Cause, wrong) {
		t.Errorf("%v; %s: %s; %s", err, r.Verdict, r.Summary, r.Clocks[0].Cause)
	}
}

// TestSSH asks date on this very machine, by the system's own ssh.
func TestSSH(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ssh", "ssh-keygen", "/usr/sbin/sshd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here: %v", program, err)
		}
	}
	config := serveSSH(t)
	target := []clock.Target{{Name: "m1", PeerURLs: []string{"http://clock-test:2380"}}}
	opts := clock.Options{Sources: []clock.Kind{clock.KindSSH}, SSH: clock.SSH{Config: config}, Self: "us"}
	ctx := clustertest.Context(t, time.Minute)
	r, err := clock.Audit(ctx, target, opts, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != clock.Pass || r.Clocks[0].Source != clock.KindSSH {
		t.Fatalf("%s: %s; %+v", r.Verdict, r.Summary, r.Clocks[0])
	}
	within(t, r, "m1", "us", 0, 450*time.Millisecond)
	target[0].PeerURLs[0] = "http://unknown.invalid:2380"
	if r, err = clock.Audit(ctx, target, opts, time.Second); err != nil || r.Clocks[0].State != clock.Missing {
		t.Errorf("%v; a host that is not there: %+v", err, r.Clocks[0])
	}
	t.Log(r.Clocks[0].Cause)
}

// TestTimeServer compares a member with a time server, and with one that is off.
func TestTimeServer(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	offset := time.Duration(rand.Int64N(int64(time.Minute))) + 2*time.Second
	for _, tt := range []struct {
		offset  time.Duration
		verdict clock.Verdict
	}{{0, clock.Pass}, {offset, clock.Fail}} {
		server := timeServer(t, tt.offset)
		r := audit(t, c, clock.Options{NTP: server})
		if r.Verdict != tt.verdict {
			t.Errorf("off by %v: %s: %s; %+v", tt.offset, r.Verdict, r.Summary, r.Clocks)
		}
		within(t, r, "m1", server, -tt.offset, 450*time.Millisecond)
	}
	r := audit(t, c, clock.Options{NTP: "127.0.0.1:1", Bound: 100 * time.Millisecond})
	if r.Verdict != clock.Inconclusive {
		t.Errorf("a time server that is not there: %s: %s", r.Verdict, r.Summary)
	}
}

// TestCancelled ends an audit that would go on for long.
func TestCancelled(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	opts := clock.Options{Samples: 1 << 20}
	opts.OnSample(func(string, int) { cancel() })
	begun := time.Now()
	_, err := clock.Audit(ctx, targets(c), opts, time.Second)
	if err == nil {
		t.Errorf("it went on to its end, in %v", time.Since(begun))
	}
}
