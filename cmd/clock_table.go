package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/ui"
)

func clockColor(v clock.Verdict) ui.Color {
	switch v {
	case clock.Pass:
		return ui.ColorGreen
	case clock.Fail:
		return ui.ColorRed
	case clock.Inconclusive, clock.Unstable:
	}
	return ui.ColorYellow
}

// printClock writes the verdict, a line a member, and what asks for attention; wide adds all that is known.
func printClock(s *ui.Streams, r clock.Report, wide bool) error {
	word := string(r.Verdict)
	line := ui.Wrap(oneLine(r.Summary), len(word)+2, ui.MaxColumns, indent)
	duration := took(float64(r.TookNS) / 1e6)
	last := ui.Columns(line[strings.LastIndexByte(line, '\n')+1:]) + len(word) + 2
	if !strings.Contains(line, "\n") && last+2+len(duration) <= ui.MaxColumns {
		line += strings.Repeat(" ", min(12, ui.MaxColumns-last-len(duration))) + duration
	}
	fmt.Fprintln(s.Out, s.Paint(clockColor(r.Verdict), word)+"  "+line)
	header, rows := clockRows(r, wide)
	if len(rows) > 0 {
		if err := ui.Table(s.Out, header, rows); err != nil {
			return err
		}
	}
	if wide {
		if err := printPairs(s, r); err != nil {
			return err
		}
	}
	for _, n := range clockNotes(r, wide) {
		head := n.tag + "  "
		text := head + ui.Wrap(n.text, len(head), ui.MaxColumns, indent)
		fmt.Fprintln(s.Out, s.Paint(n.color, n.tag)+text[len(n.tag):]+nextLine(text, n.next))
	}
	return nil
}

// clockRows is a line a member. What the kernels say is a column where any was asked.
func clockRows(r clock.Report, wide bool) (header []string, rows [][]string) {
	kernels := wide || slices.ContainsFunc(r.Clocks, func(c clock.Clock) bool { return c.Kernel != nil })
	header = []string{"MEMBER", "OFFSET", "SOURCE"}
	if kernels {
		header = append(header, "NTP")
	}
	if wide {
		header = append(header, "TO THIS CLOCK", "READINGS", "ID", "URL")
	}
	for _, c := range r.Clocks {
		row := []string{shown(c.Name, wide), clockOffset(c), orDash(string(c.Source))}
		if kernels {
			row = append(row, kernelText(c.Kernel))
		}
		if wide {
			local := "-"
			if c.Local != nil {
				local = clock.Around(*c.Local)
			}
			row = append(row, local, strconv.Itoa(c.Samples), orDash(c.ID), orDash(oneLine(c.URL)))
		}
		rows = append(rows, row)
	}
	return header, rows
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// clockOffset is a clock's distance from the reference, or what became of it.
func clockOffset(c clock.Clock) string {
	switch {
	case c.Truth && c.Reference:
		return "true time"
	case c.Reference:
		return "ref"
	case c.Offset != nil:
		return clock.Around(*c.Offset)
	}
	return string(c.State)
}

func kernelText(k *clock.Kernel) string {
	switch {
	case k == nil:
		return "-"
	case !k.Synchronised:
		return "not synchronised"
	}
	return "synchronised"
}

// printPairs writes the differences of all pairs, the row's clock less the column's.
func printPairs(s *ui.Streams, r clock.Report) error {
	var known []clock.Clock
	for _, c := range r.Clocks {
		if c.State == clock.Measured {
			known = append(known, c)
		}
	}
	if len(known) < 2 {
		return nil
	}
	header, rows := []string{"ROW - COLUMN"}, [][]string{}
	for _, c := range known {
		header = append(header, shown(c.Name, false))
	}
	for i, a := range known {
		row := []string{shown(a.Name, false)}
		for j := range known {
			cell := "-"
			if offset, ok := r.Between(known[i].Name, known[j].Name); ok {
				cell = clock.Around(offset)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	fmt.Fprintln(s.Out)
	return ui.Table(s.Out, header, rows)
}

// clockNote is a line below the table.
type clockNote struct {
	tag        string
	color      ui.Color
	text, next string
}

// clockNotes tells what needs attention: clocks too far off or unknown, pairs too far apart, kernels that nobody
// synchronises, and sources that could not be read.
func clockNotes(r clock.Report, wide bool) []clockNote {
	var out []clockNote
	var alone []string
	for _, c := range r.Clocks {
		name := shown(c.Name, wide)
		switch {
		case c.State == clock.Jumped:
			out = append(out, clockNote{"UNKN", ui.ColorYellow, name + ": " + oneLine(c.Cause), "audit again; on its host: chronyc tracking"})
		case c.State == clock.Missing:
			out = append(out, clockNote{"UNKN", ui.ColorYellow, name + ": not read: " + oneLine(c.Cause), ""})
		case beyond(r, c):
			out = append(out, clockNote{
				"CRIT", ui.ColorRed, fmt.Sprintf("%s: its clock is %s off %s", name, clock.Around(*c.Offset), reference(r)),
				"on its host: chronyc tracking, timedatectl",
			})
		}
		if c.Kernel != nil && !c.Kernel.Synchronised && c.Kernel.MaxErrorNS >= kernelCeiling {
			alone = append(alone, name)
		}
	}
	if !slices.ContainsFunc(out, func(n clockNote) bool { return n.tag == "CRIT" }) {
		out = append(out, pairNotes(r, wide)...)
	}
	if len(alone) > 0 {
		text := strings.Join(alone, ", ") + ": no time service synchronises the clock there"
		out = append(out, clockNote{"WARN", ui.ColorYellow, text, "on the host: timedatectl, chronyc tracking"})
	}
	return append(out, sourceNotes(r, wide)...)
}

// pairNotes names pairs too far apart: where no clock stands out, which of the two is wrong is not known.
func pairNotes(r clock.Report, wide bool) []clockNote {
	var out []clockNote
	for _, p := range r.Pairs {
		if p.Verdict != clock.Fail {
			continue
		}
		text := fmt.Sprintf("%s and %s are too far apart; each alone is within the limit of %s", shown(p.A, wide), shown(p.B, wide), reference(r))
		out = append(out, clockNote{"CRIT", ui.ColorRed, text, "on both hosts: chronyc tracking, timedatectl"})
	}
	return out
}

// sourceNotes tells why sources were not read, those of one kind and cause together unless wide is set. The last failure of
// a clock that is missing has been told already.
func sourceNotes(r clock.Report, wide bool) []clockNote {
	type group struct {
		failure clock.Failure
		names   []string
	}
	var groups []*group
	for _, c := range r.Clocks {
		for i, f := range c.Failures {
			if c.State == clock.Missing && i == len(c.Failures)-1 {
				continue
			}
			at := slices.IndexFunc(groups, func(g *group) bool {
				return !wide && g.failure.Source == f.Source && g.failure.Cause == f.Cause
			})
			if at < 0 {
				groups, at = append(groups, &group{failure: f}), len(groups)
			}
			groups[at].names = append(groups[at].names, shown(c.Name, wide))
		}
	}
	var out []clockNote
	for _, g := range groups {
		where := ""
		if len(g.names) == 1 && g.failure.URL != "" {
			where = " at " + oneLine(g.failure.URL)
		}
		next := ""
		if g.failure.Source == clock.KindProbing && strings.Contains(g.failure.Cause, "certificate") {
			next = "--peer-cacert, --peer-cert, --peer-key name those for peer URLs"
		}
		text := fmt.Sprintf("%s: not read by %s%s: %s", strings.Join(g.names, ", "), g.failure.Source, where, oneLine(g.failure.Cause))
		out = append(out, clockNote{"INFO", ui.ColorNone, text, next})
	}
	return out
}

// kernelCeiling is where the kernel stops counting the possible error of a clock that nobody synchronises.
const kernelCeiling = int64(16e9)

// beyond reports whether a clock is for sure further from the reference than two clocks may be from each other.
func beyond(r clock.Report, c clock.Clock) bool {
	if c.Offset == nil || c.Reference {
		return false
	}
	return c.Offset.LoNS >= r.LimitNS || -c.Offset.HiNS >= r.LimitNS
}

func reference(r clock.Report) string {
	for _, c := range r.Clocks {
		if c.Reference {
			return oneLine(c.Name)
		}
	}
	return "the others"
}

// printClockSimple writes tabs between the fields: the verdict, then a line a clock.
func printClockSimple(s *ui.Streams, r clock.Report) error {
	fmt.Fprintf(s.Out, "%s\t%s\n", r.Verdict, oneLine(r.Summary))
	for _, c := range r.Clocks {
		lo, hi := "-", "-"
		if c.Offset != nil {
			lo, hi = strconv.FormatFloat(float64(c.Offset.LoNS)/1e9, 'f', 9, 64), strconv.FormatFloat(float64(c.Offset.HiNS)/1e9, 'f', 9, 64)
		}
		fields := []string{"clock", oneLine(c.Name), string(c.State), orDash(string(c.Source)), lo, hi, oneLine(c.Cause)}
		if _, err := fmt.Fprintln(s.Out, strings.TrimRight(strings.Join(fields, "\t"), "\t")); err != nil {
			return err
		}
	}
	return nil
}
