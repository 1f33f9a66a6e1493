package recovery

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/etcdops/etcdops/internal/clustertest/golden"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// TestRebuildScenarios runs testdata/rebuild/*: candidates, one a line, and the plan that is made of them.
//
//	m1 member=1 term=41 last=100 commit=97 applied=97 rev=500 [terms=1:40,90:41] [voters=1,2,3] [learners=4]
//	   [removed=5] [cluster=c1] [state=torn] [broken] [first=50] [fork=90] [changes=98:remove:3] [alarm=CORRUPT:1]
//	   [hash=7] [version=3.4] [running] [snapshot]
//	seed m2 | servers 3.4.23 | members m1,m4=http://m4:2380 | quorum
func TestRebuildScenarios(t *testing.T) {
	t.Parallel()
	golden.Run(t, "testdata/rebuild", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		facts := RebuildFacts{Servers: []Server{{Version: "3.7.3"}}}
		opts := RebuildOptions{Now: time.Unix(0, 0), Operation: "op", Token: "tok"}
		for line := range strings.Lines(d.Input) {
			scenarioLine(t, strings.Fields(line), &facts, &opts)
		}
		plan, err := PlanRebuild(facts, opts)
		if err != nil {
			hint, ok := errors.AsType[*ops.HintError](err)
			if !ok || hint.Class != ops.ClassRefused || hint.Hint == "" {
				t.Fatalf("no refusal with a hint: %v", err)
			}
			return "refused: " + err.Error() + "\n"
		}
		if err := plan.Verify(); err != nil {
			t.Fatal(err)
		}
		return scenarioResult(plan, d.Cmd == "steps")
	})
}

func scenarioResult(p *Plan, steps bool) string {
	var b strings.Builder
	r := p.Rebuild
	for _, row := range r.Ranking {
		mark := " "
		if row.Seed {
			mark = "*"
		}
		fmt.Fprintf(&b, "%d%s %s %d/%d rev %d+%d voter=%t: %s [%s]\n", row.Rank, mark, row.Name, row.LastTerm, row.LastIndex, row.Revision, row.Writes, row.Voter, row.Reason, row.Lacks)
	}
	fmt.Fprintf(&b, "%s (%s)\nbump %d, replay %t to %d\n", r.Verdict.Text, r.Verdict.Theorem, r.Bump, r.Replay, r.Seal)
	if steps {
		for _, s := range p.Steps {
			fmt.Fprintf(&b, "- %s: %s (%d of %d)\n", s.ID, s.Text, s.After.Live, s.After.Voters)
		}
		fmt.Fprintf(&b, "worst %d of %d\n", p.Quorum.Worst.Live, p.Quorum.Worst.Voters)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

func scenarioLine(t *testing.T, words []string, facts *RebuildFacts, opts *RebuildOptions) {
	t.Helper()
	switch words[0] {
	case "seed":
		opts.Seed = words[1]
	case "servers":
		facts.Servers = nil
		for _, v := range words[1:] {
			facts.Servers = append(facts.Servers, Server{Version: v})
		}
	case "members":
		for m := range strings.SplitSeq(words[1], ",") {
			name, url, ok := strings.Cut(m, "=")
			member := NewMember{Name: name}
			if ok {
				member.PeerURLs = []string{url}
			}
			opts.Members = append(opts.Members, member)
		}
	case "quorum":
		facts.Quorum, facts.Answers = true, []string{"http://m1:2379"}
	default:
		facts.Candidates = append(facts.Candidates, scenarioCandidate(t, words))
	}
}

// scenarioCandidate builds a candidate; entries of equal index and term are equal but from fork on.
func scenarioCandidate(t *testing.T, words []string) Candidate {
	t.Helper()
	v := map[string]string{"first": "1", "voters": "1,2,3", "cluster": "c1", "state": "clean", "version": "3.7", "hash": "1"}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		v[key] = value
	}
	n := func(key string) uint64 {
		x, err := strconv.ParseUint(v[key], 10, 64)
		if err != nil && v[key] != "" {
			t.Fatalf("%s: %v", key, err)
		}
		return x
	}
	info := &datadir.Info{Kind: datadir.KindDirectory, State: datadir.State(v["state"]), MemberID: ops.MemberID(n("member")), Version: v["version"], Name: words[0]}
	info.ClusterID = 0xc1
	if v["cluster"] == "c2" {
		info.ClusterID = 0xc2
	}
	for _, list := range []struct {
		key     string
		learner bool
	}{{"voters", false}, {"learners", true}} {
		for id := range strings.SplitSeq(v[list.key], ",") {
			if id != "" {
				x, _ := strconv.ParseUint(id, 10, 64)
				info.Members = append(info.Members, datadir.Member{ID: ops.MemberID(x), Name: "m" + id, PeerURLs: []string{"http://m" + id + ":2380"}, Learner: list.learner})
			}
		}
	}
	_, info.Running = v["running"]
	if v["removed"] != "" {
		info.Removed = []ops.MemberID{ops.MemberID(n("removed"))}
	}
	if v["state"] == "damaged" {
		info.Problems = append(info.Problems, datadir.Problem{Severity: datadir.SeverityDamage, Where: "member/wal/x", Text: "a flipped byte"})
	}
	info.DB = &datadir.Database{ConsistentIndex: n("applied"), Revision: int64(n("rev")), Hash: &datadir.Hash{Hash: 1, Revision: int64(n("rev"))}}
	if member, ok := strings.CutPrefix(v["alarm"], "CORRUPT:"); ok {
		x, _ := strconv.ParseUint(member, 10, 64)
		info.DB.Alarms = []datadir.Alarm{{Member: ops.MemberID(x), Alarm: "CORRUPT"}}
	}
	c := Candidate{Source: Source{Name: words[0], Path: "/" + words[0]}, Info: info}
	if _, snapshot := v["snapshot"]; snapshot {
		info.Kind = datadir.KindSnapshot
		return c
	}
	c.Common = &datadir.Hash{Hash: uint32(n("hash")), Revision: 400}
	info.Log = scenarioLog(n("first"), n("last"), n("term"), n("fork"), v["terms"])
	info.WAL = &datadir.WAL{LastIndex: n("last"), LastTerm: n("term"), Commit: n("commit"), Term: n("hardterm"), Whole: v["state"] != "damaged"}
	if _, broken := v["broken"]; broken {
		info.WAL.Whole = false
	}
	if known := info.Known(); n("last") > known {
		info.WAL.Tail = datadir.Tail{From: known + 1, To: n("last")}
	}
	info.WAL.Unapplied = n("last") - n("applied")
	info.WAL.Writes = info.WAL.Unapplied
	for change := range strings.SplitSeq(v["changes"], ",") {
		if parts := strings.Split(change, ":"); len(parts) == 3 {
			index, _ := strconv.ParseUint(parts[0], 10, 64)
			member, _ := strconv.ParseUint(parts[2], 10, 64)
			info.Changes = append(info.Changes, datadir.Change{Index: index, Action: parts[1], Member: ops.MemberID(member)})
		}
	}
	return c
}

func scenarioLog(first, last, term, fork uint64, terms string) *datadir.Digest {
	d := &datadir.Digest{First: first}
	for run := range strings.SplitSeq(terms, ",") {
		if from, of, ok := strings.Cut(run, ":"); ok {
			f, _ := strconv.ParseUint(from, 10, 64)
			o, _ := strconv.ParseUint(of, 10, 64)
			d.Terms = append(d.Terms, datadir.TermRun{From: f, Term: o})
		}
	}
	if len(d.Terms) == 0 {
		d.Terms = []datadir.TermRun{{From: first, Term: term}}
	}
	slices.SortFunc(d.Terms, func(a, b datadir.TermRun) int { return int(a.From) - int(b.From) })
	for i := first; i <= last; i++ {
		sum := uint32(i)
		if fork != 0 && i >= fork {
			sum += 1 << 20
		}
		d.Sums = append(d.Sums, sum)
	}
	return d
}
