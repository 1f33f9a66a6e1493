package clockwatch

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/clock"
)

// metrics are the findings of the latest audit. A peer that could not be read has no bounds: an old one would pass for
// what is known now.
type metrics struct {
	mu    sync.Mutex
	peers []peer
	runs  float64
}

func (m *metrics) set(peers []peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers = peers
	m.runs++
}

// describe names a metric.
func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("etcdops_clock_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (w *Watch) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(w, ch) }

// Collect implements prometheus.Collector.
func (w *Watch) Collect(ch chan<- prometheus.Metric) {
	w.metrics.mu.Lock()
	defer w.metrics.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	flag := func(d *prometheus.Desc, set bool, labels ...string) {
		v := 0.0
		if set {
			v = 1
		}
		gauge(d, v, labels...)
	}
	runs := describe("audits_total", "Audits of the peers' clocks so far.")
	ch <- prometheus.MustNewConstMetric(runs, prometheus.CounterValue, w.metrics.runs)
	read := describe("peer_read", "1 if the latest audit could read a peer's clock, 0 if not.", "peer", "name")
	lower := describe("peer_offset_lower_seconds", "Least that a peer's clock can be ahead of this member's, in the latest audit.", "peer", "name")
	upper := describe("peer_offset_upper_seconds", "Most that a peer's clock can be ahead of this member's, in the latest audit.", "peer", "name")
	for _, p := range w.metrics.peers {
		flag(read, p.known, p.id, p.name)
		if p.known {
			gauge(lower, float64(p.offset.LoNS)/1e9, p.id, p.name)
			gauge(upper, float64(p.offset.HiNS)/1e9, p.id, p.name)
		}
	}
	if k := clock.LocalKernel(); k != nil {
		flag(describe("kernel_synchronised", "1 if a time service synchronises this machine's clock, by the kernel, 0 if not."), k.Synchronised)
		gauge(describe("kernel_offset_seconds", "Offset of this machine's clock that its time service told the kernel last."), float64(k.OffsetNS)/1e9)
		gauge(describe("kernel_max_error_seconds", "Largest error of this machine's clock that the kernel reckons with."), float64(k.MaxErrorNS)/1e9)
	}
}
