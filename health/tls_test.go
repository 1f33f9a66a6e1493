package health_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/ops"
)

// TestCertificatesInUse gives members certificates that end soon or do not fit, to clients and to peers, and wants each
// told of the member and the side that shows it.
func TestCertificatesInUse(t *testing.T) {
	t.Parallel()
	c := clustertest.NewUnstarted(t, clustertest.Options{Size: 3, TLS: true})
	hosts := func(m *clustertest.Member) []string { return []string{m.Host, "127.0.0.1", "localhost"} }
	give := func(m *clustertest.Member, flag string, opts pki.CertOptions) {
		cert, key := c.TLS.CA.Peer(t, opts)
		m.Args = append(m.Args, "--"+flag+"cert-file="+cert, "--"+flag+"key-file="+key)
	}
	five, twenty, peer := c.Members[0], c.Members[1], c.Members[2]
	give(five, "", pki.CertOptions{Name: "five", Hosts: hosts(five), Days: 5})
	give(twenty, "", pki.CertOptions{Name: "twenty", Hosts: hosts(twenty), Days: 20})
	give(peer, "peer-", pki.CertOptions{Name: "peer", Hosts: hosts(peer), Days: 6})
	c.Start(t)
	client, key := c.TLS.CA.Client(t, pki.CertOptions{Name: "me", Days: 10})
	cfg := at(c.Endpoints()...)
	cfg.TLS = ops.TLS{CACert: c.TLS.CACert, Cert: client, Key: key}
	r := judge(t, collect(t, cfg, patient(health.DepthNormal)), map[string]health.Limits{"certificate.authority": {Warn: 730, Crit: 1}})
	got := map[string]health.Severity{}
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Check, "certificate.") && f.Severity != health.SeverityUnknown {
			got[strings.TrimSpace(f.Check+" "+f.Member)] = f.Severity
		}
	}
	for what, severity := range map[string]health.Severity{
		"certificate.expiry " + five.Name: health.SeverityCritical, "certificate.expiry " + twenty.Name: health.SeverityWarning,
		"certificate.peer " + peer.Name: health.SeverityCritical, "certificate.client": health.SeverityWarning,
	} {
		if got[what] != severity {
			t.Errorf("%s is %s, want %s", what, got[what], severity)
		}
		delete(got, what)
	}
	delete(got, "certificate.authority") // as long as the harness's lasts
	if len(got) > 0 {
		t.Errorf("more than was wrong: %v", got)
	}
}

// TestEachFailureHasItsName wants every way not to reach a member told by a message and a code of its own.
func TestEachFailureHasItsName(t *testing.T) {
	t.Parallel()
	c := clustertest.NewUnstarted(t, clustertest.Options{TLS: true})
	m := c.Members[0]
	c.Start(t)
	plain := clustertest.New(t, clustertest.Options{})
	serve := func(opts pki.CertOptions) string {
		c := clustertest.NewUnstarted(t, clustertest.Options{TLS: true})
		cert, key := c.TLS.CA.Peer(t, opts)
		c.Members[0].Args = append(c.Members[0].Args, "--cert-file="+cert, "--key-file="+key)
		c.Members[0].Launch(t)
		return c.Members[0].ClientURL + "|" + c.TLS.CACert
	}
	good := tlsOf(c)
	other := pki.NewCA(t, pki.CAOptions{Dir: t.TempDir(), Name: "another"})
	silent := silentListener(t)
	seen := map[ops.Code]string{}
	for name, tc := range map[string]struct {
		url   string
		tls   ops.TLS
		codes []ops.Code
		state health.State
	}{
		"wrong authority":         {m.ClientURL, ops.TLS{CACert: other.CertFile}, []ops.Code{ops.CodeUnknownAuthority}, health.StateTLS},
		"no client certificate":   {m.ClientURL, ops.TLS{CACert: c.TLS.CACert}, []ops.Code{ops.CodeClientCertNeeded}, health.StateTLS},
		"wrong name":              {serve(pki.CertOptions{Hosts: []string{"elsewhere.example"}}), good, []ops.Code{ops.CodeWrongName}, health.StateTLS},
		"expired":                 {serve(pki.CertOptions{Days: -3}), good, []ops.Code{ops.CodeServerExpired}, health.StateTLS},
		"plaintext to a TLS port": {strings.Replace(m.ClientURL, "https", "http", 1), ops.TLS{}, []ops.Code{ops.CodeTLSServer}, health.StateTLS},
		"TLS to a plaintext port": {strings.Replace(plain.Members[0].ClientURL, "http", "https", 1), good, []ops.Code{ops.CodePlainServer}, health.StateTLS},
		"no such name":            {"https://no-such-host.invalid:2379", good, []ops.Code{ops.CodeDNS}, health.StateNoName},
		"refused":                 {"https://127.0.0.1:1", good, []ops.Code{ops.CodeRefused}, health.StateRefused},
		"silent":                  {"https://" + silent, good, []ops.Code{ops.CodeSilent}, health.StateHung},
	} {
		url, ca, own := strings.Cut(tc.url, "|")
		if own {
			tc.tls.CACert = ca
		}
		cfg := at(url)
		cfg.TLS = tc.tls
		bound := 10 * time.Second
		if name == "silent" {
			bound = 300 * time.Millisecond
		}
		var r health.Report
		until(t, name, func(ctx context.Context) (bool, error) {
			r = lookFor(ctx, t, cfg, bound)
			return len(r.Strays) == 1 && (!own || r.Strays[0].Code != ops.CodeRefused), nil // it may be starting
		})
		e := r.Strays[0]
		if !slices.Contains(tc.codes, e.Code) || e.State != tc.state || e.Cause == "" {
			t.Errorf("%s: %s, %s: %s", name, e.State, e.Code, e.Cause)
		}
		if before, taken := seen[e.Code]; taken {
			t.Errorf("%s and %s have one code: %s", name, before, e.Code)
		}
		seen[e.Code] = name
		if f := found(r, "reachability"); len(f) != 1 || f[0].Next == "" || f[0].Severity != health.SeverityCritical {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// silentListener accepts connections and never says a word.
func silentListener(t *testing.T) string {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// TestCorruptAlarm raises an alarm for one member and wants that member named.
func TestCorruptAlarm(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	m := c.Members[1]
	ctx, client := clustertest.Context(t, limit), c.Client(t)
	s, err := m.Client(t).Status(ctx, m.ClientURL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pb.NewMaintenanceClient(client.ActiveConnection()).Alarm(ctx, &pb.AlarmRequest{
		Action: pb.AlarmRequest_ACTIVATE, MemberID: s.Header.MemberId, Alarm: pb.AlarmType_CORRUPT,
	}); err != nil {
		t.Fatal(err)
	}
	r := look(t, at(c.Endpoints()...))
	f := found(r, "alarm")
	if r.Severity != health.SeverityCritical || len(f) != 1 || f[0].Member != m.Name || f[0].Value != "CORRUPT" {
		t.Errorf("%s: %+v", r.Severity, f)
	}
}

// TestMixedVersions asks a member of today and one of 3.4 of one cluster for everything: what 3.4 does not tell is
// unknown, and nothing is called ok for that.
func TestMixedVersions(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindEtcd34})
	r := judge(t, collect(t, at(c.Members[0].ClientURL), patient(health.DepthDeep)), nil)
	for _, id := range []string{"version.features", "version.storage", "version.downgrade"} {
		if check(t, r, id).Severity != health.SeverityUnknown {
			t.Errorf("%s is %s on 3.4", id, check(t, r, id).Severity)
		}
	}
	for _, id := range []string{"process.files", "peer.active", "compaction.progress", "quota.headroom", "quota.size", "data.hash", "data.keys"} {
		if check(t, r, id).Severity != health.SeverityOK {
			t.Errorf("%s is %s on 3.4: %+v", id, check(t, r, id).Severity, found(r, id))
		}
	}
}

// TestLocalMembers judges what this machine knows of a member, and leaves others unknown.
func TestLocalMembers(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	m := c.Members[0]
	facts := collect(t, at(m.ClientURL), patient(health.DepthNormal))
	off := false
	full := health.Disk{Path: "/full", Bytes: 1000, BytesFree: 90, Inodes: 10, InodesFree: 10}
	facts.Local = []health.LocalMember{{
		Source: "a test", Name: m.Name, ClientURLs: []string{m.ClientURL}, StrictReconfig: &off, Disks: []health.Disk{health.ReadDisk(m.DataDir), full},
	}}
	r := judge(t, facts, nil)
	if f := found(r, "disk.space"); len(f) != 1 || f[0].Severity != health.SeverityCritical || !strings.Contains(f[0].Message, "9% of the space") {
		t.Errorf("%+v", f)
	}
	if f := found(r, "member.strict"); len(f) != 1 || f[0].Severity != health.SeverityWarning || f[0].Member != m.Name {
		t.Errorf("%+v", f)
	}
	facts.Local[0].Name = "another"
	if check(t, judge(t, facts, nil), "member.strict").Severity != health.SeverityUnknown {
		t.Error("what is known of another member counts")
	}
}
