package health_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest/golden"
	"github.com/etcdops/etcdops/ops"
)

// TestScenarios evaluates the clusters described in testdata: each golden file tells what it shows.
func TestScenarios(t *testing.T) {
	t.Parallel()
	golden.Run(t, "testdata/scenarios", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		switch d.Cmd {
		case "health":
			return tell(health.Evaluate(describe(t, d.Input), health.Policy{}), d.HasArg("all"))
		case "json":
			return golden.JSON(t, health.Evaluate(describe(t, d.Input), health.Policy{}))
		case "facts":
			return golden.JSON(t, describe(t, d.Input))
		case "majorities":
			return majorities(t)
		}
		return golden.Unknown(t, d)
	})
}

// majorities tells, for clusters of one to nine voters, what is left with some of them down.
func majorities(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for voters := 1; voters <= 9; voters++ {
		for down := 0; down <= voters; down++ {
			var lines []string
			for i := range voters {
				state := ""
				if i >= voters-down {
					state = " refused"
				}
				if down > voters-ops.Quorum(voters) && state == "" {
					state = " leaderless"
				}
				lines = append(lines, fmt.Sprintf("m%d%s", i+1, state))
			}
			r := health.Evaluate(describe(t, strings.Join(lines, "\n")), health.Policy{})
			fmt.Fprintf(&out, "%d voters, %d down: %s\n", voters, down, verdict(r))
		}
	}
	return out.String()
}

func verdict(r health.Report) string {
	code := "exit 0"
	switch class, failed := r.Class(false); {
	case failed && class == ops.ClassUnreachable:
		code = "exit 5"
	case failed:
		code = "exit 3"
	}
	return fmt.Sprintf("%s, %s, %s", strings.ToUpper(r.Severity.String()), r.Summary, code)
}

// tell writes the verdict, the members and what was found; what is unknown of silent members only with all set.
func tell(r health.Report, all bool) string {
	var out strings.Builder
	fmt.Fprintln(&out, verdict(r))
	for _, m := range r.Members {
		name := m.Name
		if name == "" {
			name = m.ID.String()
		}
		fmt.Fprintf(&out, "%s %s: %s\n", m.Role, name, m.State)
	}
	for _, e := range r.Strays {
		fmt.Fprintf(&out, "stray %s: %s\n", e.URL, e.State)
	}
	for _, f := range r.Findings {
		if f.Severity == health.SeverityUnknown && !f.Needed && !all {
			continue
		}
		fmt.Fprintf(&out, "%s %s %s: %s\n", f.Severity, f.Check, f.Member, f.Message)
	}
	c := r.Counts
	fmt.Fprintf(&out, "checks: %d warning, %d critical, %d unknown\n", c.Warning, c.Critical, c.Unknown)
	return out.String()
}

// describe builds facts of a cluster from one line a member:
//
//	NAME [learner] [STATE] [KEY=VALUE...]
//
// STATE is ok (left out), unstarted, leaderless, stale (follows an older leader), unlisted, or the kind of a failure.
// Keys: index, applied, term, size, inuse, quota (bytes), version, storage, cluster, url, leads (the member that answers
// at its URL), mtls (off), error, read (milliseconds), linear (ok or the kind of a failure), list (names in its own member list),
// downgrade, taken (microseconds at which its status was sampled). The first member that is ok leads.
func describe(t *testing.T, input string) health.Facts {
	t.Helper()
	var lines []*scenarioLine
	for i, text := range strings.Split(strings.TrimSpace(input), "\n") {
		lines = append(lines, parseScenarioLine(t, i+1, text))
	}
	s := &scenario{t: t, lines: lines}
	return s.facts()
}

type scenarioLine struct {
	id      ops.MemberID
	name    string
	learner bool
	state   string
	set     map[string]string
}

func parseScenarioLine(t *testing.T, n int, text string) *scenarioLine {
	t.Helper()
	fields := strings.Fields(text)
	l := &scenarioLine{id: ops.MemberID(0xa00 + n), name: fields[0], state: "ok", set: map[string]string{}}
	for _, field := range fields[1:] {
		key, value, isSet := strings.Cut(field, "=")
		switch {
		case isSet:
			l.set[key] = strings.ReplaceAll(value, "_", " ")
		case field == "learner":
			l.learner = true
		default:
			l.state = field
		}
	}
	return l
}

// number reads a key; a scenario with nonsense in it ends the test run.
func (l *scenarioLine) number(key string, initial int64) int64 {
	text, ok := l.set[key]
	if !ok {
		return initial
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		panic(fmt.Sprintf("%s of %s: %v", key, l.name, err))
	}
	return n
}

func (l *scenarioLine) text(key, initial string) string {
	if v, ok := l.set[key]; ok {
		return v
	}
	return initial
}

func (l *scenarioLine) url() string { return l.text("url", "https://"+l.name+":2379") }

func (l *scenarioLine) answers() bool {
	switch l.state {
	case "ok", "leaderless", "stale", "unlisted", "publishing":
		return true
	}
	return false
}

type scenario struct {
	t     *testing.T
	lines []*scenarioLine
}

func (s *scenario) facts() health.Facts {
	f := health.Facts{
		Schema: health.FactsSchema, TakenAt: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), TookUS: 9000, BoundUS: 1e6,
	}
	for _, l := range s.lines {
		if l.state != "unstarted" {
			f.Endpoints = append(f.Endpoints, s.endpoint(l))
		}
	}
	return f
}

// leader is the first voter that is ok.
func (s *scenario) leader() ops.MemberID {
	for _, l := range s.lines {
		if l.state == "ok" && !l.learner && l.number("cluster", 1) == 1 {
			return l.id
		}
	}
	return 0
}

func (s *scenario) named(name string) *scenarioLine {
	for _, l := range s.lines {
		if l.name == name {
			return l
		}
	}
	s.t.Fatalf("no member %q", name)
	return nil
}

func (s *scenario) endpoint(l *scenarioLine) health.Endpoint {
	if other, ok := l.set["leads"]; ok {
		e := s.endpoint(s.named(other))
		e.URL = l.url()
		return e
	}
	e := health.Endpoint{URL: l.url(), Given: l.id == s.lines[0].id, WantsClient: l.text("mtls", "on") == "on"}
	if !l.answers() {
		e.Connect.Failure = failed(l.state)
		return e
	}
	e.Statuses = []health.StatusAnswer{s.status(l)}
	e.Members = &health.MembersAnswer{}
	e.Serializable = &health.Answer{TookUS: 1000 * l.number("read", 1)}
	e.Linearizable = &health.Answer{TookUS: 1000 * l.number("read", 1)}
	linear := l.text("linear", "ok")
	if l.state == "leaderless" {
		linear = "no_leader"
	}
	if l.learner {
		linear = "unsupported"
		e.Members.Failure = failed("unsupported")
	} else {
		list := s.list(l)
		e.Members.Membership = &list
	}
	if linear != "ok" {
		e.Linearizable.Failure = failed(linear)
	}
	return e
}

func failed(kind string) *health.Failure {
	return &health.Failure{Kind: health.Kind(kind), Message: kind + ", says the scenario"}
}

func (s *scenario) status(l *scenarioLine) health.StatusAnswer {
	st := &ops.Status{
		ClusterID: ops.ClusterID(l.number("cluster", 1)), MemberID: l.id, Version: l.text("version", "3.7.3"),
		StorageVersion: l.text("storage", "3.7.0"), Leader: s.leader(), Learner: l.learner,
		RaftTerm: uint64(l.number("term", 5)), RaftIndex: uint64(l.number("index", 10000)),
		DBSize: l.number("size", 1<<20), DBSizeInUse: l.number("inuse", l.number("size", 1<<20)), DBQuota: l.number("quota", 2<<30),
		Downgrade: l.text("downgrade", ""), Errors: []string{},
	}
	st.RaftApplied = uint64(l.number("applied", int64(st.RaftIndex)))
	switch {
	case st.ClusterID != 1:
		st.Leader = l.id
	case l.state == "leaderless":
		st.Leader = 0
		st.Errors = append(st.Errors, "etcdserver: no leader")
	case l.state == "stale":
		st.Leader, st.RaftTerm = 0xa99, st.RaftTerm-1
	}
	if text, ok := l.set["error"]; ok {
		st.Errors = append(st.Errors, text)
	}
	taken := int64(2000)
	if l.id == s.leader() {
		taken = 1000
	}
	return health.StatusAnswer{Answer: health.Answer{SentUS: l.number("taken", taken), TookUS: 500}, Status: st}
}

// list is the member list that l knows: everybody who is listed, or those that it was told to know.
func (s *scenario) list(l *scenarioLine) ops.Membership {
	known := l.text("list", "")
	m := ops.Membership{ClusterID: ops.ClusterID(l.number("cluster", 1)), Members: []ops.Member{}}
	for _, other := range s.lines {
		switch {
		case other.state == "unlisted":
		case known != "" && !strings.Contains(","+known+",", ","+other.name+","):
		case m.ClusterID != 1 && other != l:
		default:
			m.Members = append(m.Members, other.member())
		}
	}
	return m
}

func (l *scenarioLine) member() ops.Member {
	m := ops.Member{
		ID: l.id, Name: l.name, Learner: l.learner,
		PeerURLs: []string{"https://" + l.name + ":2380"}, ClientURLs: []string{l.url()},
	}
	switch {
	case l.state == "unstarted" || l.state == "publishing":
		m.Name, m.ClientURLs = "", []string{}
	case l.number("cluster", 1) != 1:
		m.ID = l.id - 0x100 // the member that used to be there
	}
	return m
}
