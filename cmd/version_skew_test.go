package cmd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/ops"
)

// factsOf are the facts of members that run the given versions; an empty one does not answer.
func factsOf(versions ...string) health.Facts {
	var list ops.Membership
	list.ClusterID = 1
	for i := range versions {
		list.Members = append(list.Members, ops.Member{
			ID: ops.MemberID(i + 1), Name: fmt.Sprintf("m%d", i+1), ClientURLs: []string{fmt.Sprintf("http://m%d:2379", i+1)},
		})
	}
	var facts health.Facts
	for i, m := range list.Members {
		e := health.Endpoint{URL: m.ClientURLs[0], Given: true}
		if versions[i] == "" {
			e.Connect.Failure = &health.Failure{Message: "connection refused"}
		} else {
			e.Members = &health.MembersAnswer{Membership: &list}
			e.Statuses = []health.StatusAnswer{{Status: &ops.Status{ClusterID: 1, MemberID: m.ID, Version: versions[i], Leader: 1}}}
			e.Metrics = &health.MetricsAnswer{Metrics: health.Metrics{
				{Name: "etcd_cluster_version", Labels: []health.Label{{Name: "cluster_version", Value: "3.5"}}, Value: 0},
				{Name: "etcd_cluster_version", Labels: []health.Label{{Name: "cluster_version", Value: "3.6"}}, Value: 1},
			}}
		}
		facts.Endpoints = append(facts.Endpoints, e)
	}
	return facts
}

func TestSkew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		versions      []string
		severity      health.Severity
		says          string
		exit, exitAny int // with --fail-on critical, and warn
	}{
		{[]string{"3.7.3", "3.7.3", "3.7.3"}, health.SeverityOK, "all members run one version", 0, 0},
		{[]string{"3.6.8", "3.7.3", "3.7.3"}, health.SeverityWarning, "as they may while an upgrade is under way", 0, 3},
		{[]string{"3.5.26", "3.7.3", "3.7.3"}, health.SeverityCritical, "too far apart", 3, 3},
		{[]string{"", "3.7.3", "3.7.3"}, health.SeverityUnknown, "the versions of 1 of 3 members are not known", 3, 3},
		{[]string{"", "3.6.8", "3.7.3"}, health.SeverityWarning, "differ", 3, 3},
		{[]string{"", "", ""}, health.SeverityUnknown, "no member answers", 5, 5},
	} {
		facts := factsOf(c.versions...)
		report := health.Evaluate(facts, health.Policy{Only: health.Select("version")})
		skew := skewOf(facts, report)
		if skew.Severity != c.severity {
			t.Errorf("%q: %v, want %v", c.versions, skew.Severity, c.severity)
		}
		if said := skewVerdict(report, skew); !strings.Contains(said, c.says) {
			t.Errorf("%q: it says %q, not %q", c.versions, said, c.says)
		}
		for warn, want := range map[bool]int{false: c.exit, true: c.exitAny} {
			got := 0
			if class, failed := skew.class(report.Reached, warn); failed {
				got = exitCode(class)
			}
			if got != want {
				t.Errorf("%q, --fail-on warn %v: exit %d, want %d", c.versions, warn, got, want)
			}
		}
	}
}

func TestSkewTellsWhatMembersAgreedOn(t *testing.T) {
	t.Parallel()
	facts := factsOf("3.6.8", "")
	skew := skewOf(facts, health.Evaluate(facts, health.Policy{}))
	if got := text(skew.Members[0].Cluster, oneLine); got != "3.6" {
		t.Errorf("the member that answers: %s", got)
	}
	if skew.Members[1].Cluster != nil || skew.Members[1].Server != nil {
		t.Errorf("of one that does not answer: %+v", skew.Members[1])
	}
}

// TestSkewOfSilentEndpoints: what was named and did not answer may run anything, also when all members agree.
func TestSkewOfSilentEndpoints(t *testing.T) {
	t.Parallel()
	facts := factsOf("3.7.3", "3.7.3")
	facts.Endpoints = append(facts.Endpoints, health.Endpoint{
		URL: "http://m9:2379", Given: true, Connect: health.Answer{Failure: &health.Failure{Kind: health.KindRefused, Message: "connection refused"}},
	})
	report := health.Evaluate(facts, health.Policy{Only: health.Select("version")})
	skew := skewOf(facts, report)
	if said, want := skewVerdict(report, skew), "all members run one version; what runs at http://m9:2379 is not known"; said != want {
		t.Errorf("it says %q, want %q", said, want)
	}
	if skew.Severity != health.SeverityUnknown {
		t.Errorf("severity %v", skew.Severity)
	}
	if class, failed := skew.class(report.Reached, false); !failed || exitCode(class) != 3 {
		t.Errorf("exit %d, failed %v", exitCode(class), failed)
	}
}

// TestSkewWithoutAMemberList: a member that tells its members to users only proves no agreement.
func TestSkewWithoutAMemberList(t *testing.T) {
	t.Parallel()
	refused := &health.Failure{Kind: health.KindAuth, Message: "user name is empty"}
	facts := health.Facts{Endpoints: []health.Endpoint{{
		URL: "http://m1:2379", Given: true, Members: &health.MembersAnswer{Answer: health.Answer{Failure: refused}},
		Statuses: []health.StatusAnswer{{Answer: health.Answer{Failure: refused}}},
	}}}
	report := health.Evaluate(facts, health.Policy{Only: health.Select("version")})
	skew := skewOf(facts, report)
	if said := skewVerdict(report, skew); !strings.HasPrefix(said, "the members are not known") {
		t.Errorf("it says %q", said)
	}
	if class, failed := skew.class(report.Reached, false); !failed || exitCode(class) != 3 {
		t.Errorf("exit %d, failed %v", exitCode(class), failed)
	}
}
