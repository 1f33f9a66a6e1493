package cmd

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// sampleFacts are those of three members of which one lies in its name and one is down.
func sampleFacts(name string) health.Facts {
	members := []ops.Member{
		{ID: 1, Name: name, PeerURLs: []string{"https://a:2380"}, ClientURLs: []string{"https://a:2379"}},
		{ID: 2, Name: "ip-10-0-12-34.eu-central-1.compute.internal", PeerURLs: []string{"https://b:2380"}, ClientURLs: []string{"https://b:2379"}},
		{ID: 3, Name: "日本", PeerURLs: []string{"https://c:2380"}, ClientURLs: []string{"https://c:2379"}},
	}
	f := health.Facts{TakenAt: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), TookUS: 8400}
	for i, m := range members[:2] {
		f.Endpoints = append(f.Endpoints, health.Endpoint{
			URL: m.ClientURLs[0], WantsClient: true,
			Certificate:  &health.Certificate{NotAfter: f.TakenAt.AddDate(0, 0, 211)},
			Linearizable: &health.Answer{TookUS: 1000}, Serializable: &health.Answer{TookUS: 800},
			Members: &health.MembersAnswer{Membership: &ops.Membership{ClusterID: 0x7b48afc4, Members: members}},
			Statuses: []health.StatusAnswer{{Answer: health.Answer{SentUS: int64(i) * 9}, Status: &ops.Status{
				ClusterID: 0x7b48afc4, MemberID: m.ID, Version: "3.7.3", StorageVersion: "3.7.0", Leader: 1, RaftTerm: 7,
				RaftIndex: 90312211, RaftApplied: 90312211, DBSize: 5 << 30, DBSizeInUse: 2 << 30, DBQuota: 8 << 30,
				Errors: []string{"\x1b[2Jgotcha\r\n" + name},
			}}},
		})
	}
	f.Endpoints = append(f.Endpoints, health.Endpoint{
		URL: "https://c:2379",
		Connect: health.Answer{Failure: &health.Failure{
			Kind: health.KindRefused, Code: ops.CodeRefused, Message: "TCP: connection refused: nothing listens on c:2379",
			Hint: "on c: is etcd running? systemctl status etcd; crictl ps -a --name etcd; ss -ltn 'sport = :2379'",
		}},
	})
	return f
}

// TestHealthFormats wants text from servers escaped in every form, and tables of at most 100 columns.
func TestHealthFormats(t *testing.T) {
	t.Parallel()
	r := health.Evaluate(sampleFacts("\x1b[31mevil\u202e\n\tOK"+strings.Repeat("x", 300)), health.Policy{})
	for name, print := range map[string]reportPrinter{
		"table": printHealthTable, "wide": printHealthWide, "simple": printHealthSimple,
	} {
		a, out, _ := testApp()
		if err := print(a.io, "prod", r); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s:\n%s", name, out)
		for _, bad := range []string{"\x1b", "\r", "\u202e", "\nOK"} {
			if strings.Contains(out.String(), bad) {
				t.Errorf("%s lets %q through", name, bad)
			}
		}
		if name != "table" {
			continue
		}
		for line := range strings.Lines(out.String()) {
			if n := ui.Columns(strings.TrimRight(line, "\n")); n > ui.MaxColumns && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

// TestHealthTable holds the form that people read against a golden text.
func TestHealthTable(t *testing.T) {
	t.Parallel()
	a, out, _ := testApp()
	facts := sampleFacts("m1")
	for i := range facts.Endpoints[:2] {
		facts.Endpoints[i].Statuses[0].Status.Errors = nil
	}
	if err := printHealthTable(a.io, "prod", health.Evaluate(facts, health.Policy{})); err != nil {
		t.Fatal(err)
	}
	want := `WARNING  prod (7b48afc4)  2 of 3 voters healthy, can lose 0 more            8 ms
MEMBER                        ROLE      STATE    VERSION  LAG  DB/QUOTA  FRAG  READ   CERT
ip-10-0-12-34.…pute.internal  follower  ok       3.7.3    0    5G/8G     60%   1.0ms  211d
m1                            leader    ok       3.7.3    0    5G/8G     60%   1.0ms  211d
日本                          voter     refused  -        -    -         -     -      -
`
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestHealthColour(t *testing.T) {
	t.Parallel()
	a, out, _ := testApp()
	a.io.Color = true
	if err := printHealthTable(a.io, "", health.Evaluate(sampleFacts("m1"), health.Policy{})); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "\x1b[33mWARNING\x1b[0m  7b48afc4  ") {
		t.Errorf("got %q", out.String()[:60])
	}
}

// TestHealthUsage wants what is typed wrongly refused before anything is asked.
func TestHealthUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"health", "-w", "fields"},
		{"health", "--fail-on", "never"},
		{"health", "--endpoints", "::"},
		{"health", "m1"},
		{"health", "--member-timeout", "0s"},
		{"status", "--member-timeout", "-1s"},
		{"status", "-w", "fields"},
		{"health", "--endpoints", "https://127.0.0.1:1", "--cacert", "/no/such/file"},
		{"health", "--only", "data.hash"},
		{"health", "--only", "quorum,disk.fsync"},
		{"health", "--fast", "--only", "clock.skew"},
	} {
		if out, errOut, code := testRun(t, args...); code != 2 || out != "" || errOut == "" {
			t.Errorf("%q: exit %d, %q, %q", args, code, out, errOut)
		}
	}
}

// TestHealthPlugin wants what is typed wrongly told as plugins do, also where the flags' parser finds it: exit code 2 means
// critical to whoever runs them.
func TestHealthPlugin(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"health", "--no-such-flag", "-w", "nagios"},
		{"-w=nagios", "health", "--no-such-flag"},
		{"health", "-w", "nagios", "m1"},
		{"health", "-w", "nagios", "--only", "data.hash"},
	} {
		if out, errOut, code := testRun(t, args...); code != 3 || !strings.HasPrefix(out, "ETCD UNKNOWN - ") || errOut != "" {
			t.Errorf("%q: exit %d, %q, %q", args, code, out, errOut)
		}
	}
	if out, _, code := testRun(t, "health", "-w", "nagios", "--only", "raft.lag", "--endpoints", "http://127.0.0.1:1"); code != 2 {
		t.Errorf("nobody answers: exit %d, %q", code, out)
	}
}

// TestHealthPage wants docs/health.md to name every check as the table has it; make docs writes it.
func TestHealthPage(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	if err := HealthPage(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../docs/health.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want.String() {
		t.Error("docs/health.md is not what the table of checks says: make docs")
	}
	for _, c := range health.Checks() {
		if !strings.Contains(want.String(), "\n### "+c.ID+"\n") {
			t.Errorf("%s has no section", c.ID)
		}
	}
}
