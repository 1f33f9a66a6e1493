package health

import (
	"math"
	"strings"
	"testing"
)

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	ms, err := ParseMetrics(strings.NewReader(`# HELP etcd_server_proposals_pending x
# TYPE etcd_server_proposals_pending gauge
etcd_server_proposals_pending 7
etcd_server_proposals_pendings 9
etcd_network_active_peers{Local="1",Remote="a\"b\\c\nd"} 1 1700000000
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 3
grpc_server_handled_total{grpc_code="OK",grpc_method="Put"} 0
grpc_server_handled_total{grpc_code="OK",grpc_method="Range"} 2
process_open_fds NaN
process_max_fds +Inf
etcd_server_slow_apply_total{broken 1
etcd_server_slow_apply_total{a="b" 1
etcd_server_slow_apply_total
go_goroutines 3
`))
	if err != nil || len(ms) != 4 {
		t.Fatalf("%v, %+v", err, ms)
	}
	if got := ms[1].label("Remote"); got != "a\"b\\c\nd" {
		t.Errorf("label %q", got)
	}
	if n, known := ms.value("etcd_server_proposals_pending"); !known || n != 7 {
		t.Errorf("pending %v %v", n, known)
	}
	for name, text := range map[string]string{
		"nothing": "", "a page": "<html>no</html>\n", "of others": "node_cpu_seconds_total 1\n",
		"a line without end": "etcd_" + strings.Repeat("x", 2<<20),
		"too many":           strings.Repeat("etcd_server_proposals_pending 1\n", maxSamples+1),
	} {
		if ms, err := ParseMetrics(strings.NewReader(text)); err == nil || ms != nil {
			t.Errorf("%s: %d samples, %v", name, len(ms), err)
		}
	}
}

// FuzzParseMetrics wants no panic, and samples that JSON can hold.
func FuzzParseMetrics(f *testing.F) {
	f.Add("etcd_network_active_peers{Local=\"1\",Remote=\"2\"} 1\n")
	f.Add("process_open_fds 1e400\nprocess_open_fds -Inf\nprocess_open_fds{a=\"\\\"} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		ms, _ := ParseMetrics(strings.NewReader(text)) // its failures are not the question here
		for _, s := range ms {
			if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) || !kept(s.Name) {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for _, tc := range []struct {
		name        string
		buckets     []bucket
		value, from float64
	}{
		{"none", nil, 0, 0},
		{"empty", []bucket{{1, 0}, {inf, 0}}, 0, 0},
		{"all in the first", []bucket{{0.001, 100}, {0.002, 100}, {inf, 100}}, 0.00099, 100},
		{"spread", []bucket{{0.1, 0}, {0.2, 100}, {inf, 100}}, 0.199, 100},
		{"beyond the last bound", []bucket{{0.1, 1}, {8, 50}, {inf, 100}}, 8, 100},
		{"only infinity", []bucket{{inf, 5}}, 0, 5},
		{"counters that fell", []bucket{{1, -3}, {inf, -3}}, 0, -3},
	} {
		value, total := quantile99(tc.buckets)
		if math.Abs(value-tc.value) > 1e-9 || total != tc.from && tc.from >= 0 {
			t.Errorf("%s: %v of %v", tc.name, value, total)
		}
	}
}

// TestWindowOfMetrics judges counters over a window: growth, restarts, and samples that came in between.
func TestWindowOfMetrics(t *testing.T) {
	t.Parallel()
	scrape := func(text string) Metrics {
		ms, err := ParseMetrics(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	before := scrape("process_start_time_seconds 100\netcd_server_proposals_failed_total 5\n" +
		"etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 1000\netcd_disk_wal_fsync_duration_seconds_bucket{le=\"1\"} 1000\n")
	now := scrape("process_start_time_seconds 100\netcd_server_proposals_failed_total 65\n" +
		"etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 1000\netcd_disk_wal_fsync_duration_seconds_bucket{le=\"1\"} 1010\n")
	if restarted(before, now) || !restarted(before, scrape("process_start_time_seconds 200\n")) {
		t.Error("a restart is not told from none")
	}
	w := window{before: before, now: now, seconds: 10}
	c := Check{Limits: Limits{Warn: 5}, Unit: "/s"}
	if o := c.rate(w, "etcd_server_proposals_failed_total", "failed", "next", nil); o.Severity != SeverityWarning || o.Value != "6/s" {
		t.Errorf("%+v", o)
	}
	c = Check{Limits: Limits{Warn: 10, Crit: 500}, Unit: " ms"}
	if o := c.p99(w, "etcd_disk_wal_fsync_duration_seconds_bucket", "fsync", "next"); o.Severity != SeverityCritical {
		t.Errorf("ten slow ones behind a thousand quick ones: %+v", o)
	}
	if o := c.p99(window{before: now, now: now, seconds: 1}, "etcd_disk_wal_fsync_duration_seconds_bucket", "fsync", "next"); o.Severity != SeverityUnknown {
		t.Errorf("nothing happened: %+v", o)
	}
	if o := c.p99(w, "etcd_no_such", "x", "next"); o.Severity != SeverityUnknown {
		t.Errorf("no metric: %+v", o)
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Limits{
		"quota.headroom=60,70": {60, 70}, "quota.headroom=60": {60, 85}, "quota.headroom=-,90": {0, 90},
		"certificate.expiry=60,14": {60, 14}, "disk.space=5": {5, 0}, "quota.headroom=90": {90, 0},
	} {
		if _, l, err := ParseLimits(text); err != nil || l != want {
			t.Errorf("%s: %+v, %v", text, l, err)
		}
	}
	for _, text := range []string{"", "quorum=1", "nobody=1", "quota.headroom=90,80", "certificate.expiry=7,30", "quota.headroom=x", "quota.headroom=-1", "quota.headroom=NaN"} {
		if _, l, err := ParseLimits(text); err == nil {
			t.Errorf("%q is accepted: %+v", text, l)
		}
	}
}
