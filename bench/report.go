package main

import (
	"fmt"
	"slices"
	"strings"
)

const reportHead = `# Benchmarks

<!-- Written by "make bench" out of the samples in benchmarks.json. Changes made here are lost. -->

How to read this page. Each section compares etcdops with upstream's programs, built from the same module versions with
the same flags, on one machine and in one run. The sides take turns, round by round, on the same data and after a
warm-up, so that what disturbs the machine disturbs all of them. A value is the median of the rounds, with the smallest
and the largest behind it. A ratio is the median of the rounds' own ratios to the first side. A bound is met when that
median keeps it; where the rounds did not agree, the table says in how many it held: such a bound lies within the noise,
whichever way it fell. Absolute values move by a third from machine to machine: compare ratios. MB is 1,000,000 bytes.

`

// render writes the page: definitions from the table, values from the archive. Rows without results say so.
func render(table []experiment, a *archive) string {
	var b strings.Builder
	b.WriteString(reportHead)
	renderBounds(&b, table, a)
	envs := environments(table, a)
	b.WriteString("## Machines and programs\n\n")
	for i, env := range envs {
		fmt.Fprintf(&b, "- %s: %s\n", letter(i), env)
	}
	if len(envs) == 0 {
		b.WriteString("Nothing has been measured.\n")
	}
	b.WriteString("\nEverything again: `go run ./bench -out docs/benchmarks.md`\n")
	for i := range table {
		renderRow(&b, &table[i], a.find(table[i].name), envs)
	}
	return b.String()
}

// renderBounds sums up the bounds of all rows.
func renderBounds(b *strings.Builder, table []experiment, a *archive) {
	met, all := 0, 0
	var missed, open []string
	for _, e := range table {
		r := a.find(e.name)
		if r == nil || r.Scale != 1 {
			open = append(open, e.name)
			continue
		}
		for _, bound := range e.bounds {
			all++
			v := judge(bound, r.values(e.sides[0], bound.metric), r.values(bound.side, bound.metric))
			if v.met {
				met++
				continue
			}
			missed = append(missed, fmt.Sprintf("%s, %s of %s %s: %s", e.name, bound.metric, bound.side, bound.text(e.unit(bound.metric)), v))
		}
	}
	b.WriteString("## Bounds\n\n")
	if all > 0 {
		fmt.Fprintf(b, "%d of %d met.\n", met, all)
	}
	if len(open) > 0 {
		fmt.Fprintf(b, "Not measured on all of the data: %s.\n", strings.Join(open, ", "))
	}
	if len(missed) > 0 {
		b.WriteByte('\n')
	}
	for _, m := range missed {
		fmt.Fprintf(b, "- %s\n", m)
	}
	b.WriteByte('\n')
}

// environments lists the distinct surroundings of the rows' runs, in the order of the table.
func environments(table []experiment, a *archive) []string {
	var out []string
	for _, e := range table {
		if r := a.find(e.name); r != nil && !slices.Contains(out, r.environment()) {
			out = append(out, r.environment())
		}
	}
	return out
}

// letter names an environment: A, B, ... Z, then #27.
func letter(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return fmt.Sprintf("#%d", i+1)
}

// renderRow writes one section.
func renderRow(b *strings.Builder, e *experiment, r *record, envs []string) {
	fmt.Fprintf(b, "\n## %s: %s\n\n%s\n\n", e.name, e.title, e.about)
	if r == nil {
		b.WriteString("Not measured.\n")
		return
	}
	b.WriteString("| metric | side | median (min .. max) | ratio (min .. max) | bound | verdict |\n|---|---|---|---|---|---|\n")
	for _, m := range e.metrics {
		for i, side := range e.sides {
			name := ""
			if i == 0 {
				name = m.label()
			}
			fmt.Fprintf(b, "| %s | %s |%s\n", name, side, e.cells(r, m, side))
		}
	}
	fmt.Fprintf(b, "\nMeasured %s on %s; rounds: %d; %s s; load before: %s.",
		r.Date.UTC().Format("2006-01-02 15:04 UTC"), letter(slices.Index(envs, r.environment())),
		len(r.values(e.sides[0], e.metrics[0].name)), number(r.Seconds), number(r.Load))
	if r.Scale != 1 {
		fmt.Fprintf(b, " A quick look at **%s of the data**: no basis for a verdict.", number(r.Scale))
	}
	fmt.Fprintf(b, " Again: `go run ./bench -out docs/benchmarks.md -only '^%s$'`\n", e.name)
}

// cells writes what the row's table holds behind a metric and a side.
func (e *experiment) cells(r *record, m metric, side string) string {
	base, values := r.values(e.sides[0], m.name), r.values(side, m.name)
	ratio := ""
	if side != e.sides[0] {
		ratio = span(ratios(values, base))
	}
	var bounds, verdicts []string
	for _, b := range e.bounds {
		if b.metric == m.name && b.side == side {
			bounds = append(bounds, b.text(m.unit))
			verdicts = append(verdicts, judge(b, base, values).String())
		}
	}
	cells := []string{span(values), ratio, strings.Join(bounds, "<br>"), strings.Join(verdicts, "<br>")}
	return " " + strings.Join(cells, " | ") + " |"
}

// span writes a median with the smallest and the largest value behind it, where they differ.
func span(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	mid, low, high := number(median(values)), number(slices.Min(values)), number(slices.Max(values))
	if low == high {
		return mid
	}
	return fmt.Sprintf("%s (%s .. %s)", mid, low, high)
}

func (m metric) label() string {
	if m.unit == "" {
		return m.name
	}
	return m.name + ", " + m.unit
}

// unit returns the unit of one of the row's metrics.
func (e *experiment) unit(name string) string {
	if i := slices.IndexFunc(e.metrics, func(m metric) bool { return m.name == name }); i >= 0 {
		return e.metrics[i].unit
	}
	return ""
}
