package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// tag is a severity in four letters.
func tag(s health.Severity) string {
	switch s {
	case health.SeverityCritical:
		return "CRIT"
	case health.SeverityWarning:
		return "WARN"
	case health.SeverityInfo:
		return "INFO"
	case health.SeverityOK:
		return "OK"
	case health.SeverityUnknown:
	}
	return "UNKN"
}

// indent is where lines go on that belong to the line before.
const indent = 6

// findingLines writes one finding: what it is, where, and on a line of its own when it does not fit, what to type next.
func findingLines(s *ui.Streams, f health.Finding, wide bool) string {
	head := fmt.Sprintf("%s  %-20s  ", tag(f.Severity), f.Check)
	out := head + ui.Wrap(subject(f.Member, f.Message, wide), len(head), ui.MaxColumns, indent)
	return s.Paint(colorOf(f.Severity), out[:4]) + out[4:] + nextLine(out, f.Next)
}

// nextLine goes on after text with what to type next.
func nextLine(text, next string) string {
	next = oneLine(next)
	if next == "" {
		return ""
	}
	last := text[strings.LastIndexByte(text, '\n')+1:]
	if ui.Columns(last)+len("  -> ")+ui.Columns(next) <= ui.MaxColumns {
		return "  -> " + next
	}
	return "\n" + strings.Repeat(" ", indent) + "-> " + ui.Wrap(next, indent+3, ui.MaxColumns, indent+3)
}

// subject puts the member before the message.
func subject(member, message string, wide bool) string {
	if member == "" {
		return oneLine(message)
	}
	return shown(member, wide) + ": " + oneLine(message)
}

// unknownGroup is everything that is not known for one reason.
type unknownGroup struct {
	member, message, next string
	checks                []string
}

// unknowns collects what is not known by its reason; unless wide is set, only where the verdict needs it and is not
// known for that.
func unknowns(r health.Report, wide bool) []*unknownGroup {
	var groups []*unknownGroup
	for _, f := range r.Findings {
		if f.Severity != health.SeverityUnknown || !wide && (r.Severity != health.SeverityUnknown || !f.Needed) {
			continue
		}
		at := slices.IndexFunc(groups, func(g *unknownGroup) bool { return g.member == f.Member && g.message == f.Message })
		if at < 0 {
			groups, at = append(groups, &unknownGroup{member: f.Member, message: f.Message, next: f.Next}), len(groups)
		}
		if !slices.Contains(groups[at].checks, f.Check) {
			groups[at].checks = append(groups[at].checks, f.Check)
		}
	}
	return groups
}

func (g *unknownGroup) lines(s *ui.Streams, wide bool) string {
	const word = "UNKN"
	text := strings.Join(g.checks, ", ") + ": " + subject(g.member, g.message, wide)
	out := word + "  " + ui.Wrap(text, len(word)+2, ui.MaxColumns, indent)
	return s.Paint(ui.ColorYellow, word) + out[len(word):] + nextLine(out, g.next)
}

// maxText is how much of a text from elsewhere is shown: the longest honest one takes a few lines.
const maxText = 600

// oneLine makes text from elsewhere safe, keeps it from starting a line of its own, and bounds it.
func oneLine(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return ui.Safe(strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(text))
}
