package cmd

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// nameColumns is how much of a member's name the tables of at most ui.MaxColumns show.
const nameColumns = 28

// printHealthTable writes the verdict, the members and what asks for attention.
func printHealthTable(s *ui.Streams, name string, r health.Report) error {
	return printHealth(s, name, r, false)
}

// printHealthWide leaves nothing out: names in full, what is not known, what is merely worth knowing.
func printHealthWide(s *ui.Streams, name string, r health.Report) error {
	return printHealth(s, name, r, true)
}

func printHealth(s *ui.Streams, name string, r health.Report, wide bool) error {
	fmt.Fprintln(s.Out, verdictLine(s, name, r))
	if err := memberTable(s.Out, r, wide); err != nil {
		return err
	}
	for _, f := range merged(r) {
		if f.Severity >= health.SeverityWarning || wide && f.Severity == health.SeverityInfo {
			fmt.Fprintln(s.Out, findingLines(s, f, wide))
		}
	}
	for _, g := range unknowns(r, wide) {
		fmt.Fprintln(s.Out, g.lines(s, wide))
	}
	hidden := ""
	if !wide && r.Counts.Unknown > 0 {
		hidden = " (-w wide lists them)"
	}
	_, err := fmt.Fprintln(s.Out, countLine(r.Counts)+hidden)
	if wide {
		for _, line := range skippedLines(r) {
			fmt.Fprintln(s.Out, line)
		}
	}
	return err
}

// skippedLines tell which checks were not made, by their reason.
func skippedLines(r health.Report) []string {
	var reasons []string
	checks := map[string][]string{}
	for _, c := range r.Checks {
		if c.Skipped == "" {
			continue
		}
		if checks[c.Skipped] == nil {
			reasons = append(reasons, c.Skipped)
		}
		checks[c.Skipped] = append(checks[c.Skipped], c.ID)
	}
	var lines []string
	for _, reason := range reasons {
		head := "not made, " + reason + ": "
		if reason == health.NotWanted { // whoever named the others knows
			lines = append(lines, fmt.Sprintf("%s%d checks", head, len(checks[reason])))
			continue
		}
		lines = append(lines, head+ui.Wrap(strings.Join(checks[reason], ", "), len(head), ui.MaxColumns, indent))
	}
	return lines
}

func verdictLine(s *ui.Streams, name string, r health.Report) string {
	word := strings.ToUpper(r.Severity.String())
	left := word + "  " + clusterLabel(name, r) + r.Summary
	duration := took(r.TookMS)
	gap := max(2, ui.MaxColumns-ui.Columns(left)-len(duration))
	return s.Paint(colorOf(r.Severity), word) + left[len(word):] + strings.Repeat(" ", min(gap, 12)) + duration
}

// clusterLabel is "prod (7b48afc4)", or the ID alone, or nothing when neither is known.
func clusterLabel(name string, r health.Report) string {
	id := ""
	if r.ClusterID != 0 {
		id = r.ClusterID.String()
	}
	switch {
	case name != "" && id != "":
		return ui.Safe(name) + " (" + id + ")  "
	case name != "" || id != "":
		return ui.Safe(name+id) + "  "
	}
	return ""
}

func took(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
}

func countLine(c health.Counts) string {
	text := fmt.Sprintf("%d checks: %d ok, %d warning, %d critical, %d unknown", c.Total, c.OK, c.Warning, c.Critical, c.Unknown)
	if c.Skipped > 0 {
		text += fmt.Sprintf(", %d not made", c.Skipped)
	}
	return text
}

func colorOf(s health.Severity) ui.Color {
	switch s {
	case health.SeverityCritical:
		return ui.ColorRed
	case health.SeverityWarning, health.SeverityUnknown:
		return ui.ColorYellow
	case health.SeverityOK:
		return ui.ColorGreen
	case health.SeverityInfo:
	}
	return ui.ColorNone
}

// memberTable writes one line a member, and one for each endpoint that belongs to none.
func memberTable(w io.Writer, r health.Report, wide bool) error {
	header := []string{"MEMBER", "ROLE", "STATE", "VERSION", "LAG", "DB/QUOTA", "FRAG", "READ"}
	certs, read := false, 0
	for _, m := range r.Members {
		certs = certs || m.CertExpires != nil
		if m.Clock != nil {
			read++
		}
	}
	clocks := read > 1 // one has nothing to be compared with
	if certs {
		header = append(header, "CERT")
	}
	if clocks {
		header = append(header, "CLOCK")
	}
	var rows [][]string
	for _, m := range r.Members {
		row := append([]string{label(m, wide), m.Role, string(m.State)}, measures(m)...)
		if certs {
			row = append(row, daysLeft(m.CertExpires, r.TakenAt))
		}
		if clocks {
			row = append(row, text(m.Clock, clockText))
		}
		rows = append(rows, row)
	}
	for _, e := range r.Strays {
		row := []string{shown(e.URL, wide), "-", string(e.State)}
		for len(row) < len(header) {
			row = append(row, "-")
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil
	}
	return ui.Table(w, header, rows)
}

// clockText is where a member's clock stands against the others'.
func clockText(c health.ClockReport) string {
	if c.Reference {
		return "ref"
	}
	return clock.Around(c.Offset)
}

// measures are the columns of numbers; a dash stands for what is not known.
func measures(m health.MemberReport) []string {
	size := "-"
	if m.DBSize != nil {
		quota := "-"
		if m.DBQuota != nil {
			quota = health.Bytes(*m.DBQuota)
		}
		size = health.Bytes(*m.DBSize) + "/" + quota
	}
	return []string{
		text(m.Version, func(v string) string { return ui.Shorten(oneLine(v), 14) }),
		text(m.Lag, func(n uint64) string { return strconv.FormatUint(n, 10) }),
		size,
		text(m.Fragmented, func(p float64) string { return strconv.FormatFloat(p, 'f', 0, 64) + "%" }),
		text(m.ReadMS, func(ms float64) string { return strconv.FormatFloat(ms, 'f', 1, 64) + "ms" }),
	}
}

// text writes a value that may not be known.
func text[T any](v *T, format func(T) string) string {
	if v == nil {
		return "-"
	}
	return format(*v)
}

// label is a member's name, or its ID while it has none.
func label(m health.MemberReport, wide bool) string {
	if m.Name == "" {
		return m.ID.String()
	}
	return shown(m.Name, wide)
}

func shown(name string, wide bool) string {
	if wide {
		return oneLine(name)
	}
	return ui.Shorten(oneLine(name), nameColumns)
}

// daysLeft is what is left of a certificate's life when the facts were taken.
func daysLeft(end *time.Time, now time.Time) string {
	if end == nil {
		return "-"
	}
	return strconv.Itoa(int(end.Sub(now).Hours()/24)) + "d"
}
