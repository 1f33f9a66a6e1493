package cmd

import (
	"fmt"
	"strings"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// printHealthSimple writes one line a thing with tabs between its fields, for grep, awk and mails from cron: the verdict,
// the members, the endpoints that belong to none, the findings (unknown ones too), the count.
func printHealthSimple(s *ui.Streams, name string, r health.Report) error {
	lines := [][]string{{
		strings.ToUpper(r.Severity.String()), strings.TrimSpace(clusterLabel(name, r)), r.Summary, took(r.TookMS),
	}}
	for _, m := range r.Members {
		lines = append(lines, append([]string{"member", label(m, true), m.Role, string(m.State)}, measures(m)...))
	}
	for _, e := range r.Strays {
		lines = append(lines, []string{"endpoint", e.URL, string(e.State)})
	}
	for _, f := range r.Findings {
		line := []string{tag(f.Severity), f.Check, f.Member, f.Message}
		if f.Next != "" {
			line = append(line, "-> "+f.Next)
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		for i, field := range line {
			line[i] = oneLine(field)
		}
		if _, err := fmt.Fprintln(s.Out, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(s.Out, countLine(r.Counts))
	return err
}
