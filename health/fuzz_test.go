package health_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/health"
)

// FuzzEvaluate wants a report of any facts that can be read, and one that can be written.
func FuzzEvaluate(f *testing.F) {
	for _, input := range scenarioInputs(f) {
		text, err := json.Marshal(describe(&testing.T{}, input))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	rich, err := json.Marshal(richFacts())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rich)
	f.Add([]byte(`{"endpoints":[{"statuses":[{"sent_us":1}],"members":{"membership":{"members":[{},{}]}}},{"connect":{"failure":{}}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var facts health.Facts
		if json.Unmarshal(text, &facts) != nil {
			return
		}
		r := health.Evaluate(facts, health.Policy{})
		c := r.Counts
		if c.Total != len(health.Checks()) || c.OK+c.Warning+c.Critical+c.Unknown+c.Skipped != c.Total {
			t.Errorf("the counts do not add up: %+v", c)
		}
		if r.Severity == health.SeverityOK && (c.Critical > 0 || c.Warning > 0 || r.Available == nil || !*r.Available) {
			t.Errorf("well in spite of %+v", c)
		}
		if _, err := json.Marshal(r); err != nil && !strings.Contains(err.Error(), "year outside of range") {
			t.Errorf("the report cannot be written: %v", err)
		}
	})
}

// richFacts are of a deep look in which everything was asked, so that mutations reach every check.
func richFacts() health.Facts {
	f := describe(&testing.T{}, "m1 size=300000000 inuse=100000000\nm2 error=memberID:2562_alarm:NOSPACE\nm3 learner index=5000\nm4 refused\nm5 unstarted")
	f.Depth = health.DepthDeep
	keys := int64(7)
	for i := range f.Endpoints {
		e := &f.Endpoints[i]
		if e.Connect.Failure != nil {
			continue
		}
		e.Certificate = &health.Certificate{Subject: "CN=m", NotAfter: f.TakenAt.AddDate(0, 0, i*10), Usages: []string{"server"}, Names: []string{"m1"}}
		e.Hashes = []health.HashAnswer{{Revision: 9, Hash: uint32(i), Compact: 1, Keys: &keys}}
		e.Metrics = &health.MetricsAnswer{Metrics: health.Metrics{
			{Name: "etcd_server_quota_backend_bytes", Value: 2e9},
			{Name: "process_open_fds", Value: 90},
			{Name: "process_max_fds", Value: 100},
			{Name: "etcd_disk_wal_fsync_duration_seconds_bucket", Labels: []health.Label{{Name: "le", Value: "0.5"}}, Value: float64(i)},
		}}
	}
	f.Earlier = f.AsEarlier(10 * time.Second)
	off := false
	f.Local = []health.LocalMember{{
		Source: "here", Name: "m1", ClientURLs: []string{"https://m1:2379"}, StrictReconfig: &off,
		Disks: []health.Disk{{Path: "/", Bytes: 100, BytesFree: 9, Inodes: 10, InodesFree: 1}},
	}}
	latest := f.TakenAt.Add(-72 * time.Hour)
	f.Backup = &health.BackupState{Repository: "r", IntervalSeconds: 86400, LatestAt: &latest, ArchivedTo: &latest, Looked: 3, Damaged: 1}
	f.Peers = []health.Peer{{Member: 0xa01, URL: "https://m1:2380", Certificate: f.Endpoints[0].Certificate}}
	f.Files = []health.CertificateFile{{Path: "ca.crt", Use: "authority", Certificates: []health.Certificate{*f.Endpoints[0].Certificate}}}
	f.Clock = &clock.Readings{StartedAt: f.TakenAt, Clocks: []clock.Reading{
		{ID: "a01", Name: "m1", Series: []clock.Series{{Source: clock.KindProbing, Samples: []clock.Sample{{SentNS: 1, ReceivedNS: 9, FirstNS: 5, LastNS: 5}}}}},
		{ID: "a02", Name: "m2", Series: []clock.Series{{Source: clock.KindDate, Samples: []clock.Sample{{SentNS: 1, ReceivedNS: 9, FirstNS: 4e9, LastNS: 4e9, QuantumNS: 1e9}}}}},
	}}
	return f
}

// scenarioInputs picks the clusters out of the golden files.
func scenarioInputs(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/scenarios/*")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no scenarios: %v", err)
	}
	var inputs []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\nhealth") {
			_, block, _ = strings.Cut(block, "\n")
			if input, _, ok := strings.Cut(block, "\n----"); ok && !strings.HasPrefix(input, "#") && input != "majorities" {
				inputs = append(inputs, input)
			}
		}
	}
	return inputs
}
