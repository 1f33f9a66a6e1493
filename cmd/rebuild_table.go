package cmd

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// ioForRefusal are the streams for what explains an error: it goes where the error goes, and not into JSON.
func (a *app) ioForRefusal() *ui.Streams {
	s := *a.io
	s.Out = s.Err
	if a.out == "json" || a.out == "yaml" {
		s.Out = io.Discard
	}
	return &s
}

// printCandidates shows all sources side by side.
func printCandidates(s *ui.Streams, facts recovery.RebuildFacts) error {
	rows := make([][]string, 0, len(facts.Candidates))
	for i := range facts.Candidates {
		rows = append(rows, candidateRow(&facts.Candidates[i]))
	}
	if err := ui.Table(s.Out, []string{"SOURCE", "MEMBER", "LAST TERM", "LAST INDEX", "COMMIT", "REVISION", "KEYS", "STATE"}, rows); err != nil {
		return err
	}
	for i := range facts.Candidates {
		c := &facts.Candidates[i]
		if c.Info == nil {
			field(s, "LOST", c.Name+": "+c.Problem)
			continue
		}
		for _, p := range c.Info.Problems {
			if p.Severity != datadir.SeverityNote {
				field(s, map[bool]string{true: "LOST", false: "WARN"}[p.Severity == datadir.SeverityDamage], c.Name+": "+strings.TrimPrefix(p.Where+": "+p.Text, ": "))
			}
		}
	}
	for _, endpoint := range facts.Answers {
		field(s, "WARN", endpoint+" answers: a member of the cluster still runs")
	}
	return nil
}

func candidateRow(c *recovery.Candidate) []string {
	row := []string{ui.Shorten(oneLine(c.Name), 24), "-", "-", "-", "-", "-", "-", "unreadable"}
	i := c.Info
	if i == nil {
		return row
	}
	row[7] = string(i.State)
	if i.Running {
		row[7] += ", running"
	}
	if i.MemberID != 0 {
		row[1] = i.MemberID.String()
	}
	if w := i.WAL; w != nil {
		row[2], row[3], row[4] = number(w.LastTerm), number(w.LastIndex), number(w.Commit)
	}
	if d := i.DB; d != nil && d.Revision > 0 {
		row[5], row[6] = strconv.FormatInt(d.Revision, 10), strconv.FormatInt(d.Keys, 10)
		if w := i.WAL; w != nil && w.Writes > 0 {
			row[5] += "+" + number(w.Writes)
		}
	}
	return row
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// printRebuildPlan shows a plan on one screen: verdict, ranking, steps, what to know.
func printRebuildPlan(s *ui.Streams, p *recovery.Plan) error {
	r := p.Rebuild
	word, color := "complete", ui.ColorGreen
	if !r.Verdict.Complete {
		word, color = "possibly lossy", ui.ColorRed
		if r.Verdict.Missing > 0 {
			word = "lossy"
		}
	}
	rest := strings.TrimPrefix(r.Verdict.Text, word) + " (" + cmp.Or(r.Verdict.Theorem, "a backup") + ")"
	fmt.Fprintln(s.Out, s.Paint(color, strings.ToUpper(word))+wrapAfter(word, rest))
	if err := ui.Table(s.Out, []string{"RANK", "SOURCE", "LAST TERM", "LAST INDEX", "COMMIT", "REVISION", "STATE"}, rankingRows(r)); err != nil {
		return err
	}
	for _, row := range r.Ranking {
		switch {
		case row.Seed:
			field(s, "seed", row.Name+": "+row.Reason)
		case row.Rank == 0:
			field(s, "out", row.Name+": "+row.Lacks)
		case row.Lacks != "":
			field(s, "lacks", row.Name+": "+row.Lacks)
		}
	}
	for _, note := range p.Notes {
		field(s, "note", note)
	}
	for i, step := range p.Steps {
		field(s, strconv.Itoa(i+1), step.Text)
	}
	field(s, "worst", "once it serves: "+p.Quorum.Worst.String())
	field(s, "plan", p.Operation+", hash "+p.Hash[:16])
	return nil
}

func rankingRows(r *recovery.RebuildPlan) [][]string {
	var rows [][]string
	for _, row := range r.Ranking {
		rank := "-"
		if row.Rank > 0 {
			rank = strconv.Itoa(row.Rank)
		}
		if row.Seed {
			rank += " *"
		}
		revision := strconv.FormatInt(row.Revision, 10)
		if row.Writes > 0 {
			revision += "+" + number(row.Writes)
		}
		state := string(row.State)
		if row.Kind != datadir.KindDirectory && row.Kind != "" {
			state = string(row.Kind) + ", " + state
		}
		term, index, commit := number(row.LastTerm), number(row.LastIndex), number(row.Commit)
		if row.Kind != datadir.KindDirectory {
			term, index, commit = "-", "-", "-"
		}
		if row.Kind == "" {
			revision = "-"
		}
		rows = append(rows, []string{rank, ui.Shorten(oneLine(row.Name), 24), term, index, commit, revision, cmp.Or(state, "unreadable")})
	}
	return rows
}

// isDamaged says whether an inspection found damage.
func isDamaged(i *datadir.Info) bool {
	return i.State == datadir.StateDamaged || i.State == datadir.StateUnreadable
}

// wrapAfter wraps what follows a word in the first line; a colon right behind the word stays there.
func wrapAfter(word, rest string) string {
	whole := ui.Wrap(word+oneLine(rest), 0, ui.MaxColumns, 2)
	return whole[len(word):]
}
