package clockwatch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// TestWatch audits two members with TLS, of which one dies: metrics show what is known, and only that; the log speaks when
// something changes, and not again.
func TestWatch(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 2, TLS: true})
	var log bytes.Buffer
	settings := c.ClientTLS(t)
	w := &Watch{
		Settings: Settings{Interval: time.Minute, Limit: time.Hour}, Name: "this member",
		Peers: func() []clock.Target {
			var out []clock.Target
			for _, m := range c.Members {
				out = append(out, clock.Target{ID: "id-" + m.Name, Name: m.Name, PeerURLs: []string{m.PeerURL}})
			}
			return out
		},
		TLS: func() (*tls.Config, error) { return settings, nil },
		Log: slog.New(slog.NewTextHandler(&log, nil)), told: map[string]mark{},
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(w)
	ctx := clustertest.Context(t, time.Minute)
	said := func(words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(log.String(), word) {
				t.Errorf("the log says nothing of %q:\n%s", word, log.String())
			}
		}
		if len(words) == 0 && log.Len() > 0 {
			t.Errorf("the log says:\n%s", log.String())
		}
		log.Reset()
	}

	w.audit(ctx)
	said()
	got := gather(t, registry)
	for _, m := range []string{"m1", "m2"} {
		lower, upper := got["etcdops_clock_peer_offset_lower_seconds/"+m], got["etcdops_clock_peer_offset_upper_seconds/"+m]
		if got["etcdops_clock_peer_read/"+m] != 1 || lower > 0 || upper < 0 || upper-lower > 1 || upper == lower {
			t.Errorf("the clock of %s, which is ours, is published as %v to %v", m, lower, upper)
		}
	}
	if got["etcdops_clock_audits_total/"] != 1 {
		t.Errorf("audits so far: %v", got["etcdops_clock_audits_total/"])
	}

	w.Limit = 1 // what no bound fits under
	w.audit(ctx)
	said("near the limit", "peer=m1", "peer=m2", "etcdops clock audit")
	w.audit(ctx)
	said()
	w.Limit = time.Hour
	c.Members[1].Kill(t)
	w.audit(ctx)
	said("close to that of this member again", "peer=m1")
	got = gather(t, registry)
	if _, stale := got["etcdops_clock_peer_offset_upper_seconds/m2"]; stale || got["etcdops_clock_peer_read/m2"] != 0 {
		t.Errorf("a dead peer is published: %v", got)
	}

	w.TLS = func() (*tls.Config, error) { return nil, errors.New("no such file") }
	w.audit(ctx)
	said("no such file")
}

// TestBeyond tells of a clock that is too far off, and of one that was set.
func TestBeyond(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := &Watch{Settings: Defaults(), Log: slog.New(slog.NewTextHandler(&log, nil)), told: map[string]mark{}}
	far := int64(3 * time.Second)
	w.tell(peer{id: "1", name: "m2", state: clock.Measured, known: true, offset: clock.Interval{LoNS: -far - 1, HiNS: -far}})
	if !strings.Contains(log.String(), "ERROR") || !strings.Contains(log.String(), "-3.000s") {
		t.Error(log.String())
	}
	w.tell(peer{id: "1", name: "m2", state: clock.Jumped, cause: "set"})
	if !strings.Contains(log.String(), "was set while it was read") {
		t.Error(log.String())
	}
}

// TestRunEnds starts the watch with nobody to watch, and ends it.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 1)
	w := &Watch{Settings: Settings{Interval: time.Second, Limit: time.Second}, Log: slog.Default(), Peers: func() []clock.Target {
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil
	}}
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	<-asked
	cancel()
	<-done
}

// gather returns the values of all metrics by their name and the label "name".
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == "name" {
					name = l.GetValue()
				}
			}
			out[f.GetName()+"/"+name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}
