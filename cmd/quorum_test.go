package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// TestProofTable wants text from members escaped, and at most 100 columns, whatever they call themselves.
func TestProofTable(t *testing.T) {
	t.Parallel()
	evil := "\x1b[31mevil\u202e\n\tOK" + strings.Repeat("x", 300)
	o := ops.Observation{TakenAt: time.Unix(1, 0), Leader: 1, Commit: 9, Disagree: []string{}, Alarms: []ops.Alarm{{Member: 2, Type: evil}}}
	for i, name := range []string{"m1", evil, "日本"} {
		m := ops.MemberState{
			Member:    ops.Member{ID: ops.MemberID(0xfffffffffffffff0 + uint64(i)), Name: name, PeerURLs: []string{"http://" + name}},
			Condition: ops.Live, ProbedAt: o.TakenAt, Version: "3.7.3", Strict: ops.StrictOn, StrictFrom: evil,
		}
		if i == 0 {
			m.ID = 1
		}
		if i == 2 {
			m.Condition, m.Cause = ops.Dead, evil
		}
		o.Members = append(o.Members, m)
	}
	p, err := ops.CheckChange(o, o.TakenAt, ops.CheckOptions{WhatIf: true},
		ops.Change{Kind: ops.ChangeRemove, Member: o.Members[1].ID}, ops.Change{Kind: ops.ChangeAddVoter, Name: evil, PeerURLs: []string{evil}})
	if err != nil {
		t.Fatal(err)
	}
	a, out, _ := testApp()
	if err := printProof(a.io, p, true); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", out)
	for _, bad := range []string{"\x1b", "\r", "\u202e", "\nOK"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q comes through", bad)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := ui.Columns(strings.TrimRight(line, "\n")); n > ui.MaxColumns {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
