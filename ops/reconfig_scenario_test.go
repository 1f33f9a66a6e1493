package ops_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/etcdops/etcdops/internal/clustertest/golden"
	"github.com/etcdops/etcdops/ops"
)

// TestReconfigScenarios thinks changes through on the clusters described in testdata/reconfig: each golden file tells
// what it shows.
func TestReconfigScenarios(t *testing.T) {
	t.Parallel()
	golden.Run(t, "testdata/reconfig", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		switch d.Cmd {
		case "check":
			return check(t, d)
		case "json":
			p, _ := prove(t, d)
			return golden.JSON(t, p)
		case "majorities":
			return majorityTable(t)
		case "strict":
			return strictTable(t, d)
		}
		return golden.Unknown(t, d)
	})
}

// check tells the proof of a scenario. A line of the input is a member:
//
//	NAME [leader] [learner] [live|dead|unstarted|leaderless|unproven] [age=D] [applied=N] [version=V] [corrupt] [differs]
//
// or, after ">", a change: add-voter NAME, add-learner NAME, remove NAME, promote NAME, stop NAME, start NAME,
// update NAME STATE (of the new address), move-leader NAME. The leader's commit index is 100.
func check(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	p, err := prove(t, d)
	var out strings.Builder
	fmt.Fprintf(&out, "now:    %s\n", p.Now)
	for _, s := range p.Steps {
		fmt.Fprintf(&out, "%s: %s", s.Text, s.After)
		if s.Server.Verdict != ops.ServerNotAsked {
			fmt.Fprintf(&out, "; server %s", s.Server.Verdict)
			if s.Server.Reason != "" {
				fmt.Fprintf(&out, " (%s)", s.Server.Reason)
			}
		}
		out.WriteByte('\n')
	}
	if len(p.Steps) > 0 {
		fmt.Fprintf(&out, "worst:  %s\nhealed: %s\n", p.Worst, p.Healed)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&out, "note:   %s\n", n)
	}
	if err == nil {
		fmt.Fprintf(&out, "safe: %v\n", p.Safe)
		return out.String()
	}
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassRefused {
		t.Errorf("%s: %v is no refusal", d.Pos, err)
	}
	fmt.Fprintf(&out, "refused: %v\n  -> %s\n", err, hint.Hint)
	return out.String()
}

func prove(t *testing.T, d *datadriven.TestData) (ops.Proof, error) {
	t.Helper()
	o, changes := parseScenario(t, d.Input)
	opts := ops.CheckOptions{WhatIf: d.HasArg("whatif")}
	for _, arg := range d.CmdArgs {
		if arg.Key == "accept" {
			opts.Accept = arg.Vals
		}
		if arg.Key == "strict" {
			o.Strict = ops.Strictness(arg.Vals[0])
		}
	}
	return ops.CheckChange(o, o.TakenAt, opts, changes...)
}

const scenarioCommit = 100

func parseScenario(t *testing.T, input string) (ops.Observation, []ops.Change) {
	t.Helper()
	o := ops.Observation{
		TakenAt: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), ClusterID: 1, Term: 5, Commit: scenarioCommit,
		Members: []ops.MemberState{}, Alarms: []ops.Alarm{}, Disagree: []string{},
	}
	var changes []ops.Change
	for line := range strings.SplitSeq(strings.TrimSpace(input), "\n") {
		if text, ok := strings.CutPrefix(line, "> "); ok {
			changes = append(changes, scenarioChange(t, &o, strings.Fields(text)))
		} else if line != "" {
			scenarioMember(t, &o, strings.Fields(line))
		}
	}
	return o, changes
}

func scenarioMember(t *testing.T, o *ops.Observation, words []string) {
	t.Helper()
	m := ops.MemberState{
		Member: ops.Member{
			ID: ops.MemberID(0xa01 + len(o.Members)), Name: words[0], PeerURLs: []string{"http://" + words[0] + ":2380"},
			ClientURLs: []string{"http://" + words[0] + ":2379"},
		},
		Condition: ops.Live, ProbedAt: o.TakenAt, Version: "3.7.3", Commit: scenarioCommit, Applied: scenarioCommit,
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "leader":
			o.Leader = m.ID
		case "learner":
			m.Learner = true
		case "age":
			age, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			m.ProbedAt = o.TakenAt.Add(-age)
		case "applied":
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			m.Applied, m.Commit = n, n
		case "version":
			m.Version = value
		case "corrupt":
			o.Alarms = append(o.Alarms, ops.Alarm{Member: m.ID, Type: "CORRUPT"})
		case "differs":
			o.Disagree = append(o.Disagree, m.Name)
		case "unstarted":
			m.Name, m.ClientURLs, m.Commit, m.Applied, m.Condition = "", []string{}, 0, 0, ops.Unstarted
		case "dead":
			m.Commit, m.Applied, m.Version, m.Condition = 0, 0, "", ops.Dead
		default:
			m.Condition = ops.Condition(key)
		}
	}
	o.Members = append(o.Members, m)
}

func scenarioChange(t *testing.T, o *ops.Observation, words []string) ops.Change {
	t.Helper()
	url := "http://" + words[1] + ":2380"
	c := ops.Change{Kind: ops.ChangeKind(strings.ReplaceAll(words[0], "-", "_")), Name: words[1]}
	for _, m := range o.Members {
		if m.PeerURLs[0] == url {
			c.Member = m.ID
		}
	}
	switch c.Kind {
	case ops.ChangeAddVoter, ops.ChangeAddLearner:
		c.Member, c.PeerURLs = 0, []string{url}
	case ops.ChangeUpdate:
		c.PeerURLs = []string{"http://new-" + words[1] + ":2380"}
		o.Addresses = append(o.Addresses, ops.PeerAddress{
			URL: c.PeerURLs[0], Member: c.Member, State: ops.AddressState(words[2]), Cause: "somebody else",
		})
	default:
		if c.Member != 0 {
			c.Name = ""
		}
	}
	return c
}

// majorityTable tells, for clusters of one to nine voters with some of them dead, what each kind of change comes to.
func majorityTable(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for voters := 1; voters <= 9; voters++ {
		for dead := 0; dead < voters; dead++ {
			fmt.Fprintf(&out, "%d voters, %d dead:", voters, dead)
			for _, change := range []string{"add-voter new", "add-learner new", "remove m1", "remove m" + strconv.Itoa(voters), "promote learner"} {
				var lines []string
				for i := range voters {
					line := "m" + strconv.Itoa(i+1)
					if i == 0 {
						line += " leader"
					}
					if i >= voters-dead {
						line += " dead"
					}
					lines = append(lines, line)
				}
				if strings.HasPrefix(change, "promote") {
					lines = append(lines, "learner learner")
				}
				o, changes := parseScenario(t, strings.Join(append(lines, "> "+change), "\n"))
				p, err := ops.CheckChange(o, o.TakenAt, ops.CheckOptions{}, changes...)
				fmt.Fprintf(&out, " %s %s,", tableHead(change, dead), outcome(p, err))
			}
			out.WriteByte('\n')
		}
	}
	return strings.ReplaceAll(out.String(), ",\n", "\n")
}

func tableHead(change string, dead int) string {
	switch {
	case change == "remove m1":
		return "remove live"
	case strings.HasPrefix(change, "remove"):
		if dead == 0 {
			return "remove live"
		}
		return "remove dead"
	}
	return strings.Fields(change)[0]
}

func outcome(p ops.Proof, err error) string {
	if err == nil {
		return fmt.Sprintf("%d->%d", p.Now.Tolerance, p.After.Tolerance)
	}
	if risks := ops.RisksOf(err); len(risks) > 0 {
		return risks[0].Name
	}
	return map[ops.Code]string{
		ops.CodeQuorumLoss: "LOSS", ops.CodeNoQuorum: "no quorum", ops.CodeServerRefuses: "server", ops.CodeCannotChange: "senseless",
	}[ops.CodeOf(err)]
}

// strictTable tells what servers of the versions given as arguments answer. A line of the input is a change and voters:
// s is started and connected for long, j just now, d is down, u never started; the first is who is asked, * is the one
// to remove.
func strictTable(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.SplitSeq(d.Input, "\n") {
		words := strings.Fields(line)
		kind := ops.ChangeKind(strings.ReplaceAll(words[0], "-", "_"))
		fmt.Fprintf(&out, "%-24s", line)
		for _, version := range d.CmdArgs {
			in := strictScenario(words[1:])
			in.Version = version.Key
			answer := ops.StrictCheck(kind, in)
			if answer == "" {
				answer = "accepted"
			}
			fmt.Fprintf(&out, " | %s: %s", version.Key, answer)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func strictScenario(words []string) ops.StrictInput {
	in := ops.StrictInput{Target: -1, Match: 100, Leader: 100}
	for i, word := range words {
		if match, ok := strings.CutPrefix(word, "match="); ok {
			in.Match, _ = strconv.ParseUint(match, 10, 64)
			continue
		}
		v := ops.StrictVoter{Self: i == 0}
		switch strings.TrimSuffix(word, "*") {
		case "s":
			v.Started, v.Active, v.Connected = true, true, time.Minute
		case "j":
			v.Started, v.Active, v.Connected = true, true, time.Second
		case "d":
			v.Started = true
		}
		if strings.HasSuffix(word, "*") {
			in.Target = i
		}
		in.Voters = append(in.Voters, v)
	}
	return in
}
