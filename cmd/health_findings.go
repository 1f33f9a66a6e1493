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
func findingLines(s *ui.Streams, f finding, wide bool) string {
	head := fmt.Sprintf("%s  %-20s  ", tag(f.Severity), f.Check)
	out := head + ui.Wrap(subject(memberList(f.members, wide), f.Message), len(head), ui.MaxColumns, indent)
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

// subject puts the members before the message.
func subject(members, message string) string {
	if members == "" {
		return oneLine(message)
	}
	return members + ": " + oneLine(message)
}

// unknownGroup is everything that is not known for one reason.
type unknownGroup struct {
	members, checks []string
	message, next   string
}

// unknowns collects what is not known by its reason, and members of which the same is not known for the same reason;
// unless wide is set, only where the verdict needs it and is not known for that.
func unknowns(r health.Report, wide bool) []*unknownGroup {
	var groups []*unknownGroup
	for _, f := range r.Findings {
		if f.Severity != health.SeverityUnknown || !wide && (r.Severity != health.SeverityUnknown || !f.Needed) {
			continue
		}
		at := slices.IndexFunc(groups, func(g *unknownGroup) bool { return g.members[0] == f.Member && g.message == f.Message })
		if at < 0 {
			groups, at = append(groups, &unknownGroup{members: []string{f.Member}, message: f.Message, next: f.Next}), len(groups)
		}
		if !slices.Contains(groups[at].checks, f.Check) {
			groups[at].checks = append(groups[at].checks, f.Check)
		}
	}
	var folded []*unknownGroup
	for _, g := range groups {
		at := slices.IndexFunc(folded, func(o *unknownGroup) bool { return o.message == g.message && slices.Equal(o.checks, g.checks) })
		if at < 0 {
			folded = append(folded, g)
			continue
		}
		folded[at].members = append(folded[at].members, g.members...)
	}
	for _, g := range folded {
		slices.Sort(g.members)
	}
	return folded
}

func (g *unknownGroup) lines(s *ui.Streams, wide bool) string {
	const word = "UNKN"
	text := strings.Join(g.checks, ", ") + ": " + subject(memberList(g.members, wide), g.message)
	out := word + "  " + ui.Wrap(text, len(word)+2, ui.MaxColumns, indent)
	return s.Paint(ui.ColorYellow, word) + out[len(word):] + nextLine(out, g.next)
}

// memberList writes names of members, empty for what is about none.
func memberList(names []string, wide bool) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = shown(name, wide)
	}
	return strings.Join(out, ", ")
}

// finding is a finding about one or more members.
type finding struct {
	health.Finding
	members []string
}

// merged puts findings of several members into one where they differ in nothing else, unknown ones left out.
func merged(r health.Report) []finding {
	var out []finding
	for _, f := range r.Findings {
		if f.Severity == health.SeverityUnknown {
			continue
		}
		at := slices.IndexFunc(out, func(o finding) bool {
			return o.Check == f.Check && o.Severity == f.Severity && o.Message == f.Message && o.Next == f.Next && o.Member != "" && f.Member != ""
		})
		if at < 0 {
			out = append(out, finding{f, []string{f.Member}})
			continue
		}
		if !slices.Contains(out[at].members, f.Member) {
			out[at].members = append(out[at].members, f.Member)
		}
	}
	for _, f := range out {
		slices.Sort(f.members)
	}
	return out
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
