package health_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// limit is far above what anything here takes: it ends a test that hangs.
const limit = 60 * time.Second

// look judges the cluster as it is seen from the given endpoints. It is patient: the machine may be busy.
func look(t *testing.T, cfg ops.Config) health.Report {
	t.Helper()
	return lookFor(clustertest.Context(t, limit), t, cfg, 10*time.Second)
}

func lookFor(ctx context.Context, t *testing.T, cfg ops.Config, bound time.Duration) health.Report {
	t.Helper()
	facts, err := health.Collect(ctx, cfg, health.Options{Bound: bound})
	if err != nil {
		t.Fatalf("collect: %v", err)
	}
	r := health.Evaluate(facts, health.Policy{Limits: map[string]health.Limits{"read.latency": {}}})
	t.Logf("%s", tell(r, true))
	return r
}

func at(endpoints ...string) ops.Config { return ops.Config{Endpoints: endpoints} }

// tlsOf is what a client of c needs.
func tlsOf(c *clustertest.Cluster) ops.TLS {
	return ops.TLS{CACert: c.TLS.CACert, Cert: c.TLS.ClientCert, Key: c.TLS.ClientKey}
}

// member returns the report's line about the member of that name.
func member(t *testing.T, r health.Report, name string) health.MemberReport {
	t.Helper()
	i := slices.IndexFunc(r.Members, func(m health.MemberReport) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("%s is not in the report", name)
	}
	return r.Members[i]
}

// want checks the verdict and that exactly these findings are warnings or worse: "check member".
func want(t *testing.T, r health.Report, severity health.Severity, findings ...string) {
	t.Helper()
	if r.Severity != severity {
		t.Errorf("verdict is %s, want %s", r.Severity, severity)
	}
	var got []string
	for _, f := range r.Findings {
		if f.Severity >= health.SeverityWarning {
			got = append(got, strings.TrimSpace(f.Check+" "+f.Member))
		}
	}
	slices.Sort(got)
	slices.Sort(findings)
	if diff := cmp.Diff(findings, got); diff != "" {
		t.Errorf("warnings and worse (-want +got):\n%s", diff)
	}
}

// following returns the members that do not lead.
func following(t *testing.T, c *clustertest.Cluster, r health.Report) []*clustertest.Member {
	t.Helper()
	var out []*clustertest.Member
	for _, m := range r.Members {
		if m.Role == "follower" {
			out = append(out, c.Member(t, m.Name))
		}
	}
	return out
}

func leading(t *testing.T, c *clustertest.Cluster, r health.Report) *clustertest.Member {
	t.Helper()
	for _, m := range r.Members {
		if m.Role == "leader" {
			return c.Member(t, m.Name)
		}
	}
	t.Fatal("the report names no leader")
	return nil
}

// TestThreeMembers takes a cluster of three from health to the loss of its quorum.
func TestThreeMembers(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})

	r := look(t, at(c.Members[0].ClientURL))
	want(t, r, health.SeverityOK)
	if r.Summary != "3 of 3 voters healthy, can lose 1 more" {
		t.Errorf("summary %q", r.Summary)
	}
	for _, m := range r.Members {
		if m.State != health.StateOK || m.Lag == nil || m.DBQuota == nil || m.ReadMS == nil {
			t.Errorf("incomplete line about %s: %+v", m.Name, m)
		}
	}
	followers := following(t, c, r)

	t.Run("hung", func(t *testing.T) {
		followers[0].Pause(t)
		defer followers[0].Resume(t)
		r := lookFor(t.Context(), t, at(c.Endpoints()...), 5*time.Second) // how long it took is the benchmark's
		want(t, r, health.SeverityWarning, "reachability "+followers[0].Name, "tolerance")
		if m := member(t, r, followers[0].Name); m.State != health.StateHung || m.Code != ops.CodeSilent {
			t.Errorf("state %q, code %s", m.State, m.Code)
		}
	})
	t.Run("refused", func(t *testing.T) {
		followers[0].Stop(t)
		r := look(t, at(leading(t, c, r).ClientURL))
		want(t, r, health.SeverityWarning, "reachability "+followers[0].Name, "tolerance")
		if r.Votes.Tolerance != 0 {
			t.Errorf("can lose %d, want 0", r.Votes.Tolerance)
		}
		if m := member(t, r, followers[0].Name); m.State != health.StateRefused || m.Code != ops.CodeRefused {
			t.Errorf("state %q, code %s", m.State, m.Code)
		}
	})
	t.Run("no quorum", func(t *testing.T) {
		followers[1].Stop(t)
		left := leading(t, c, r)
		waitForNoLeader(t, left)
		r := look(t, at(left.ClientURL))
		want(t, r, health.SeverityCritical, "quorum", "leader.present", "tolerance",
			"reachability "+followers[0].Name, "reachability "+followers[1].Name)
		if class, failed := r.Class(false); !failed || class != ops.ClassUnreachable {
			t.Errorf("class %v", class)
		}
		if len(r.Members) != 3 {
			t.Errorf("%d members listed, want 3", len(r.Members))
		}
		// The clocks need no quorum: the one that is left is read, the others are named as not read.
		r = judge(t, collect(t, at(left.ClientURL), patient(health.DepthNormal)), nil)
		if k := member(t, r, left.Name).Clock; k == nil || !k.Reference {
			t.Errorf("the clock of %s: %+v", left.Name, k)
		}
		f := found(r, "clock.skew")
		if len(f) != 2 || f[0].Severity != health.SeverityUnknown || !strings.Contains(f[0].Message, "its clock was not read") {
			t.Errorf("the clocks of the others: %+v", f)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		leading(t, c, r).Stop(t)
		r := look(t, at(c.Endpoints()...))
		if class, _ := r.Class(false); class != ops.ClassUnreachable || r.Reached || len(r.Strays) != 3 {
			t.Errorf("class %v, reached %v, %d endpoints", class, r.Reached, len(r.Strays))
		}
	})
}

// until asks again and again for something that takes the cluster a moment.
func until(t *testing.T, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx := clustertest.Context(t, limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		switch ok, err := done(ctx); {
		case err != nil:
			t.Fatalf("%s: %v", what, err)
		case ok:
			return
		}
		<-tick.C
	}
}

func waitForNoLeader(t *testing.T, m *clustertest.Member) {
	t.Helper()
	client := m.Client(t)
	until(t, "status of "+m.Name, func(ctx context.Context) (bool, error) {
		s, err := client.Status(ctx, m.ClientURL)
		return err == nil && s.Leader == 0, err
	})
}

// TestNoProposals looks at a cluster twenty times and wants every member's count of committed proposals unchanged.
func TestNoProposals(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	settle(t, c)
	before := proposals(t, c)
	for range 20 {
		collect(t, at(c.Endpoints()...), patient(health.DepthDeep))
	}
	if diff := cmp.Diff(before, proposals(t, c)); diff != "" {
		t.Errorf("proposals committed (-before +after):\n%s", diff)
	}
}

// settle waits until the cluster has made its own proposals: it sets its version some seconds after the start.
func settle(t *testing.T, c *clustertest.Cluster) {
	t.Helper()
	for _, m := range c.Members {
		client := m.Client(t)
		until(t, "status of "+m.Name, func(ctx context.Context) (bool, error) {
			s, err := client.Status(ctx, m.ClientURL)
			return err == nil && strings.HasPrefix(s.StorageVersion, "3.7"), err
		})
	}
}

func proposals(t *testing.T, c *clustertest.Cluster) map[string]string {
	t.Helper()
	counts := map[string]string{}
	for _, m := range c.Members {
		req, err := http.NewRequestWithContext(clustertest.Context(t, limit), http.MethodGet, m.ClientURL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("metrics of %s: %v", m.Name, err)
		}
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if value, ok := strings.CutPrefix(lines.Text(), "etcd_server_proposals_committed_total "); ok {
				counts[m.Name] = value
			}
		}
		if err := resp.Body.Close(); err != nil || counts[m.Name] == "" {
			t.Fatalf("%s has no such metric: %v", m.Name, err)
		}
	}
	return counts
}

// TestMembershipChanges adds a learner, and a voter that never starts.
func TestMembershipChanges(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, Args: []string{"--strict-reconfig-check=false"}})
	learner := c.AddMember(t, clustertest.KindEtcd, true)
	r := look(t, at(c.Members[0].ClientURL))
	want(t, r, health.SeverityOK)
	if m := member(t, r, learner.Name); m.Role != "learner" || m.State != health.StateOK {
		t.Errorf("learner is %s, %s", m.Role, m.State)
	}
	if _, err := c.Client(t).MemberAdd(clustertest.Context(t, limit), []string{"http://127.0.0.1:1"}); err != nil {
		t.Fatalf("add a voter: %v", err)
	}
	until(t, "the change to reach every member", func(context.Context) (bool, error) {
		r = look(t, at(c.Members[0].ClientURL)) //nolint:contextcheck // it has a limit of its own
		return r.Votes != nil && r.Votes.Total == 4 && len(found(r, "membership.agreement")) == 0, nil
	})
	fourth := r.Members[len(r.Members)-1].ID.String()
	want(t, r, health.SeverityWarning, "tolerance", "membership.even", "membership.unstarted "+fourth)
	if r.Summary != "3 of 4 voters healthy, can lose 0 more" {
		t.Errorf("summary %q", r.Summary)
	}
}

// TestNoSpace fills a member up to its quota.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	c := clustertest.NewUnstarted(t, clustertest.Options{Size: 3})
	full := c.Members[1]
	full.Args = append(full.Args, "--quota-backend-bytes=1048576")
	c.Start(t)
	ctx, client := clustertest.Context(t, limit), full.Client(t)
	value := strings.Repeat("x", 256<<10)
	for i := 0; ; i++ {
		if _, err := client.Put(ctx, strconv.Itoa(i), value); err != nil {
			break
		}
	}
	r := look(t, at(c.Members[0].ClientURL))
	want(t, r, health.SeverityCritical, "alarm "+full.Name, "quota.headroom "+full.Name)
}

// TestAnotherCluster wipes a member and starts it as a cluster of its own behind its old address.
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	m := c.Members[2]
	m.Stop(t)
	m.Wipe(t)
	m.InitialCluster, m.InitialState = m.Name+"="+m.PeerURL, "new"
	m.Start(t)
	r := look(t, at(c.Members[0].ClientURL))
	want(t, r, health.SeverityCritical, "cluster.id "+m.Name, "reachability "+m.Name, "tolerance")
	if got := member(t, r, m.Name).State; got != health.StateWrongCluster {
		t.Errorf("state %q", got)
	}
}

// TestAuthentication looks without a user, with one, and with one while nobody leads.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, Auth: &clustertest.Auth{}})
	r := look(t, at(c.Endpoints()...))
	want(t, r, health.SeverityUnknown)
	if class, failed := r.Class(false); !failed || class != ops.ClassCritical {
		t.Errorf("class %v, failed %v", class, failed)
	}
	for name, auth := range map[string]ops.Auth{
		"root": {User: "root", Password: c.Auth.RootPassword},
		"app":  {User: c.Auth.User, Password: c.Auth.Password}, // may not read the key: the read counts all the same
	} {
		cfg := at(c.Members[0].ClientURL)
		cfg.Auth = auth
		t.Log(name)
		want(t, look(t, cfg), health.SeverityOK)
	}
	c.Members[1].Stop(t)
	c.Members[2].Stop(t)
	cfg := at(c.Members[0].ClientURL)
	cfg.Auth = ops.Auth{User: "root", Password: c.Auth.RootPassword}
	until(t, "loss of the leader", func(ctx context.Context) (bool, error) { // which takes it an election timeout
		r = lookFor(ctx, t, cfg, time.Second)
		return r.Available != nil && !*r.Available, nil
	})
	want(t, r, health.SeverityCritical, "quorum", "leader.present")
	if class, _ := r.Class(false); class != ops.ClassUnreachable {
		t.Errorf("class %v", class)
	}
}

// TestVotersAsProofsCountThem wants health to count the voters as the proofs of changes do: all at work, one that hangs, and
// without a majority, where one answers and none works.
func TestVotersAsProofsCountThem(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	cfg := at(c.Endpoints()...)
	cluster, err := ops.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	same := func(live, answering int, words string) {
		t.Helper()
		until(t, fmt.Sprintf("%d live of %d that answer", live, answering), func(ctx context.Context) (bool, error) {
			r := lookFor(ctx, t, cfg, time.Second)
			seen, err := cluster.Observe(ctx)
			if err != nil {
				return false, err
			}
			proof, err := ops.CheckChange(seen, seen.TakenAt, ops.CheckOptions{WhatIf: true})
			now := proof.Now
			t.Logf("proof: %s", now)
			return r.Votes != nil && r.Votes.Healthy == live && now.Live == live && r.Votes.Answering == answering && now.Answering == answering &&
				r.Votes.Tolerance == now.Tolerance && strings.Contains(r.Summary, words) && strings.Contains(now.String(), words), err
		})
	}
	same(3, 3, "can lose 1 more")
	c.Members[2].Pause(t)
	same(2, 2, "can lose 0 more")
	c.Members[1].Stop(t)
	same(0, 1, ", 1 answers, ")
	same(0, 1, "no quorum: 1 more needed")
}

// TestTLS looks with the right and with a wrong authority.
func TestTLS(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{TLS: true, Size: 3})
	cfg := at(c.Endpoints()...)
	cfg.TLS = tlsOf(c)
	r := look(t, cfg)
	want(t, r, health.SeverityOK)
	if end := r.Members[0].CertExpires; end == nil || !end.After(r.TakenAt) {
		t.Errorf("certificate ends %v", end)
	}
	cfg.TLS.CACert = c.TLS.ClientCert // a certificate, and none that signed theirs
	r = look(t, cfg)
	for _, e := range r.Strays {
		if e.State != health.StateTLS || e.Code != ops.CodeUnknownAuthority {
			t.Errorf("%s: %s, %s: %s", e.URL, e.State, e.Code, e.Cause)
		}
	}
	if class, _ := r.Class(false); class != ops.ClassUnreachable || len(r.Strays) != 3 {
		t.Errorf("class %v, %d endpoints", class, len(r.Strays))
	}
}

// TestOldMember looks at a member of 3.4, alone and beside one of today.
func TestOldMember(t *testing.T) {
	t.Parallel()
	old := clustertest.New(t, clustertest.Options{Kind: clustertest.KindEtcd34})
	r := look(t, at(old.Members[0].ClientURL))
	want(t, r, health.SeverityWarning, "membership.size")
	unknown := map[string]bool{}
	for _, f := range r.Findings {
		unknown[f.Check] = f.Severity == health.SeverityUnknown
	}
	for _, id := range []string{"quota.headroom", "quota.size", "version.storage", "version.downgrade"} {
		if !unknown[id] {
			t.Errorf("%s is not unknown on 3.4", id)
		}
	}
	today := clustertest.New(t, clustertest.Options{})
	both := look(t, at(today.Members[0].ClientURL, old.Members[0].ClientURL))
	want(t, both, health.SeverityCritical, "cluster.id", "membership.size")
	// Asked for everything, with the old one judged: what it does not tell stays unknown beside one that does.
	all := judge(t, collect(t, at(old.Members[0].ClientURL, today.Members[0].ClientURL), patient(health.DepthDeep)), nil)
	want(t, all, health.SeverityCritical, "cluster.id", "membership.size")
	for _, id := range []string{"quota.headroom", "quota.size"} { // its metrics tell
		if got := check(t, all, id).Severity; got != health.SeverityOK {
			t.Errorf("%s is %s on 3.4 beside 3.7", id, got)
		}
	}
	for _, id := range []string{"version.storage", "version.downgrade", "version.features"} {
		if got := check(t, all, id).Severity; got != health.SeverityUnknown {
			t.Errorf("%s is %s on 3.4 beside 3.7", id, got)
		}
	}
	if len(all.Strays) != 1 || all.Strays[0].State != health.StateWrongCluster {
		t.Errorf("the other cluster's endpoint: %+v", all.Strays)
	}
}

// TestLocalhostAdvertised lets one of three advertise localhost where another advertises a name.
func TestLocalhostAdvertised(t *testing.T) {
	t.Parallel()
	c := clustertest.NewUnstarted(t, clustertest.Options{Size: 3})
	named, local := c.Members[0], c.Members[2]
	named.Args = append(named.Args, "--advertise-client-urls="+named.ClientURL+",http://etcd-1.invalid:2379")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(local.ClientURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	local.Args = append(local.Args, "--advertise-client-urls="+local.ClientURL+",http://localhost:"+port)
	c.Start(t)
	r := look(t, at(c.Endpoints()...))
	told := found(r, "membership.loopback")
	i := slices.IndexFunc(told, func(f health.Finding) bool { return f.Member == local.Name })
	if i < 0 || told[i].Severity != health.SeverityWarning || !strings.Contains(told[i].Next, "--advertise-client-urls") {
		t.Errorf("%+v", told)
	}
}

// TestCutOff cuts a member off its peers: it answers, and follows nobody.
func TestCutOff(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	m := following(t, c, look(t, at(c.Endpoints()...)))[0]
	c.Isolate(t, m.Name)
	waitForNoLeader(t, m)
	r := look(t, at(c.Endpoints()...))
	want(t, r, health.SeverityCritical, "leader.agreement "+m.Name, "tolerance")
	if got := member(t, r, m.Name).State; got != health.StateNoLeader {
		t.Errorf("state %q", got)
	}
}

// TestFactsRoundTrip writes facts down, reads them again and wants the same report.
func TestFactsRoundTrip(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	c.Members[2].Kill(t)
	facts, err := health.Collect(clustertest.Context(t, limit), at(c.Members[0].ClientURL), health.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	var again health.Facts
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(facts, again); diff != "" {
		t.Errorf("facts changed on the way (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(health.Evaluate(facts, health.Policy{}), health.Evaluate(again, health.Policy{})); diff != "" {
		t.Errorf("so did the report:\n%s", diff)
	}
}

// TestAdvertisedURLs swaps what two members advertise and lets the third advertise an address where nobody listens.
func TestAdvertisedURLs(t *testing.T) {
	t.Parallel()
	c := clustertest.NewUnstarted(t, clustertest.Options{Size: 3})
	a, b, dead := c.Members[0], c.Members[1], c.Members[2]
	a.Args = append(a.Args, "--advertise-client-urls="+b.ClientURL)
	b.Args = append(b.Args, "--advertise-client-urls="+a.ClientURL)
	dead.Args = append(dead.Args, "--advertise-client-urls=http://127.0.0.1:1")
	c.Start(t)
	r := look(t, at(c.Endpoints()...))
	want(t, r, health.SeverityCritical,
		"endpoint.identity "+a.Name, "endpoint.identity "+b.Name, "reachability "+dead.Name)
	if r.Votes.Healthy != 3 {
		t.Errorf("%d voters work, want 3", r.Votes.Healthy)
	}
}
