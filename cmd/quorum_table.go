package cmd

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// printProof writes the verdict, the members, the steps, and what speaks against them, unless an error goes on to tell that.
func printProof(s *ui.Streams, p ops.Proof, reasons bool) error {
	word, color := proofWord(p)
	fmt.Fprintln(s.Out, s.Paint(color, word)+"  "+p.String())
	if err := proofMembers(s.Out, p); err != nil {
		return err
	}
	if len(p.Steps) > 0 {
		if err := proofSteps(s.Out, p); err != nil {
			return err
		}
	}
	for _, m := range p.Members {
		if m.Condition != ops.Live && m.Cause != "" {
			proofLine(s, ui.ColorYellow, "DOWN", m.Label()+": "+m.Cause, "")
		}
	}
	for _, step := range p.Steps {
		if step.Refused != nil && reasons {
			proofLine(s, ui.ColorRed, "NO  ", step.Text+": "+step.Refused.Why, step.Refused.Hint)
		}
		for _, r := range step.Risks {
			mark, color := "RISK", ui.ColorRed
			if r.Accepted {
				mark, color = "TOOK", ui.ColorYellow
			}
			if r.Accepted || reasons {
				proofLine(s, color, mark, r.Name+": "+r.Why, "etcdops explain "+r.Name)
			}
		}
		if step.Refused == nil && step.Server.Reason != "" && step.Server.Verdict == ops.ServerUnknown {
			proofLine(s, ui.ColorNone, "NOTE", step.Text+": what the server answers is not known: "+step.Server.Reason, "")
		}
	}
	for _, n := range p.Notes {
		proofLine(s, ui.ColorNone, "NOTE", n, "")
	}
	_, err := fmt.Fprintln(s.Out, strictLine(p))
	return err
}

func proofLine(s *ui.Streams, color ui.Color, mark, text, next string) {
	out := mark + "  " + ui.Wrap(oneLine(text), indent, ui.MaxColumns, indent)
	fmt.Fprintln(s.Out, s.Paint(color, mark)+out[len(mark):]+nextLine(out, next))
}

// proofWord is the verdict of a proof.
func proofWord(p ops.Proof) (string, ui.Color) {
	switch {
	case p.Now.Tolerance < 0:
		return "NO QUORUM", ui.ColorRed
	case !p.Safe:
		for _, step := range p.Steps {
			if step.Refused != nil {
				return "REFUSED", ui.ColorRed
			}
		}
		return "RISKY", ui.ColorRed
	case len(p.Steps) > 0:
		return "SAFE", ui.ColorGreen
	case p.Now.Live < p.Now.Voters:
		return "DEGRADED", ui.ColorYellow
	}
	return "QUORUM", ui.ColorGreen
}

// strictLine says which servers check changes by themselves. Changes go through the leader: its setting is what counts.
func strictLine(p ops.Proof) string {
	var known, unknown []string
	for _, m := range p.Members {
		name := m.Label()
		if m.ID == p.Leader {
			name += " (leader)"
		}
		if m.Strict == ops.StrictUnknown {
			unknown = append(unknown, name)
			continue
		}
		known = append(known, name+" "+strings.ToUpper(string(m.Strict))+" ("+m.StrictFrom+")")
	}
	text := "strict-reconfig-check: "
	switch {
	case len(known) == 0:
		text += "unknown (it shows only on the machine that a member runs on)"
	case len(unknown) > 0:
		text += strings.Join(known, ", ") + "; unknown of " + strings.Join(unknown, ", ")
	default:
		text += strings.Join(known, ", ")
	}
	return ui.Wrap(oneLine(text), 0, ui.MaxColumns, indent)
}

func proofMembers(w io.Writer, p ops.Proof) error {
	var rows [][]string
	for _, m := range p.Members {
		role := "voter"
		switch {
		case m.Learner:
			role = "learner"
		case m.ID == p.Leader:
			role = "leader"
		}
		rows = append(rows, []string{shown(m.Label(), false), m.ID.String(), role, string(m.Condition)})
	}
	return ui.Table(w, []string{"MEMBER", "ID", "ROLE", "STATE"}, rows)
}

func proofSteps(w io.Writer, p ops.Proof) error {
	row := func(n, text string, t ops.Tally, server string) []string {
		lose := strconv.Itoa(t.Tolerance)
		if t.Tolerance < 0 {
			lose = "LOST"
		}
		return []string{n, text, strconv.Itoa(t.Voters), strconv.Itoa(t.Live), strconv.Itoa(t.Quorum), lose, server}
	}
	rows := [][]string{row("", "now", p.Now, "")}
	for i, step := range p.Steps {
		rows = append(rows, row(strconv.Itoa(i+1), ui.Shorten(oneLine(step.Text), 48), step.After, serverWord(step.Server)))
	}
	if p.Healed.Voters != p.Healed.Live || p.After != p.Healed {
		rows = append(rows, row("", "once all members work", p.Healed, ""))
	}
	return ui.Table(w, []string{"STEP", "CHANGE", "VOTERS", "LIVE", "QUORUM", "CAN LOSE", "SERVER"}, rows)
}

// serverWord is what the server will answer, for a column.
func serverWord(p ops.Prediction) string {
	if p.Verdict == ops.ServerWaits {
		return "accepts, may wait 5s"
	}
	return string(p.Verdict)
}

// joinLabels lists members by their names.
func joinLabels(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return oneLine(strings.Join(names, ", "))
}
