package health_test

import (
	"strings"
	"testing"

	"github.com/etcdops/etcdops/health"
)

// TestVerdictNeedsALook wants nothing called well that no check looked at, whichever checks are wanted.
func TestVerdictNeedsALook(t *testing.T) {
	t.Parallel()
	lost := "m1 refused\nm2 refused\nm3 leaderless"
	for _, c := range []struct {
		name, facts string
		policy      health.Policy
		want        health.Severity
	}{
		{"a check that this look does not make", "m1\nm2\nm3", health.Policy{Only: []string{"data.hash"}}, health.SeverityUnknown},
		{"a check that sees nothing", "m1\nm2\nm3", health.Policy{Only: []string{"backup.age"}}, health.SeverityUnknown},
		{"nobody answers", "m1 refused", health.Policy{Only: []string{"raft.lag"}}, health.SeverityCritical},
		{"lost quorum left out", lost, health.Policy{Skip: []string{"quorum", "leader.present"}}, health.SeverityCritical},
		{"lost quorum not wanted", lost, health.Policy{Only: []string{"membership.even"}}, health.SeverityCritical},
		{"one that sees something", "m1\nm2\nm3", health.Policy{Only: []string{"quorum", "backup.age"}}, health.SeverityOK},
	} {
		r := health.Evaluate(describe(t, c.facts), c.policy)
		if r.Severity != c.want {
			t.Errorf("%s: %v, not %v: %s", c.name, r.Severity, c.want, r.Summary)
		}
	}
}

// TestStoppedMemberOfThisMachine wants no other cluster judged in the place of the one that this machine's own member is of.
func TestStoppedMemberOfThisMachine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		own   health.LocalMember
		facts string
		want  health.Severity
	}{
		{"not listed", health.LocalMember{Name: "cp-1", ClientURLs: []string{"https://10.0.0.11:2379"}}, "m1\nm2\nm3", health.SeverityCritical},
		{"another name at the same address", health.LocalMember{Name: "cp-1", ClientURLs: []string{"https://m1:2379"}}, "m1\nm2\nm3", health.SeverityCritical},
		{"a data directory alone", health.LocalMember{}, "m1\nm2\nm3", health.SeverityUnknown},
		{"listed", health.LocalMember{Name: "m3", PeerURLs: []string{"https://m3:2380"}}, "m1\nm2\nm3 refused", health.SeverityWarning},
		{"listed, its name not known", health.LocalMember{ClientURLs: []string{"https://m3:2379"}}, "m1\nm2\nm3 refused", health.SeverityWarning},
		{"nobody answers", health.LocalMember{Name: "cp-1", ClientURLs: []string{"https://m1:2379"}}, "m1 refused", health.SeverityCritical},
	} {
		f := describe(t, c.facts)
		c.own.Source, c.own.Stopped = "/etc/kubernetes/manifests/etcd.yaml", true
		f.Local = append(f.Local, c.own)
		if r := health.Evaluate(f, health.Policy{}); r.Severity != c.want {
			t.Errorf("%s: %v, not %v: %s", c.name, r.Severity, c.want, r.Summary)
		}
	}
}

// TestQuotaOfMetrics wants the quota of members before 3.6 taken from their metrics: a full database must not be called well
// because the status does not tell how much it may hold.
func TestQuotaOfMetrics(t *testing.T) {
	t.Parallel()
	f := describe(t, "m1 quota=0 size=960000\nm2 quota=0 size=960000\nm3 quota=0 size=960000")
	f.Depth = health.DepthNormal
	ms, err := health.ParseMetrics(strings.NewReader("etcd_server_quota_backend_bytes 1e+06\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Endpoints[:2] {
		f.Endpoints[i].Metrics = &health.MetricsAnswer{Metrics: ms}
	}
	r := health.Evaluate(f, health.Policy{Only: []string{"quota.headroom"}})
	c := check(t, r, "quota.headroom")
	if r.Severity != health.SeverityCritical || c.Looked != 2 || c.Unknown != 1 || r.Members[0].DBQuota == nil || r.Members[2].DBQuota != nil {
		t.Errorf("%v: %+v, %+v", r.Severity, c, r.Findings)
	}
}

// TestFeaturesDuringUpgrade wants no advice to set features alike while members of two minor versions have other defaults.
func TestFeaturesDuringUpgrade(t *testing.T) {
	t.Parallel()
	features := map[bool]string{true: `etcd_server_feature_enabled{name="CompactHashCheck",stage="ALPHA"} 1`, false: `etcd_server_feature_enabled{name="CompactHashCheck",stage="ALPHA"} 0`}
	for _, tc := range []struct {
		members string
		on      []bool
		odd     int
	}{
		{"m1 version=3.7.3\nm2 version=3.6.11\nm3 version=3.6.11", []bool{true, false, false}, 0},
		{"m1 version=3.7.3\nm2 version=3.7.3\nm3 version=3.6.11", []bool{true, true, false}, 0},
		{"m1 version=3.7.3\nm2 version=3.7.2\nm3 version=3.6.11", []bool{true, false, false}, 1},
		{"m1\nm2\nm3", []bool{true, false, true}, 1},
	} {
		f := describe(t, tc.members)
		f.Depth = health.DepthNormal
		for i, on := range tc.on {
			ms, err := health.ParseMetrics(strings.NewReader(features[on] + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			f.Endpoints[i].Metrics = &health.MetricsAnswer{Metrics: ms}
		}
		if got := found(health.Evaluate(f, health.Policy{}), "version.features"); len(got) != tc.odd {
			t.Errorf("%q: %+v", tc.members, got)
		}
	}
}

// TestAdviceIsSafe wants no member called to be stopped that another cluster may live by, and what is to be typed for a full
// database ready to be typed.
func TestAdviceIsSafe(t *testing.T) {
	t.Parallel()
	full := describe(t, "m1 quota=1000000 size=960000")
	full.Endpoints[0].Statuses[0].Status.Revision = 4711
	if got := found(health.Evaluate(full, health.Policy{}), "quota.headroom"); len(got) != 1 || !strings.HasPrefix(got[0].Next, "etcdops compact --physical 4711; ") {
		t.Errorf("a full database: %+v", got)
	}
	f := describe(t, "m1\nm2\nm3")
	other := describe(t, "x1 cluster=0x99 url=https://elsewhere:2379")
	f.Endpoints = append(f.Endpoints, other.Endpoints...)
	for _, finding := range found(health.Evaluate(f, health.Policy{}), "cluster.id") {
		if finding.Severity == health.SeverityCritical && strings.Contains(finding.Next, "stop it") {
			t.Errorf("another cluster that was named: %q", finding.Next)
		}
	}
}
