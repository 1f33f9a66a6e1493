package cmd

import (
	"fmt"
	"strings"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// printHealthSimple writes one line a thing with tabs between its fields, for grep, awk and mails from cron: the verdict,
// the members, the endpoints that belong to none, the findings (what is not known for one reason on one line), the count.
func printHealthSimple(s *ui.Streams, name string, r health.Report) error {
	lines := [][]string{{
		strings.ToUpper(r.Severity.String()), strings.TrimSpace(clusterLabel(name, r)), oneLine(r.Summary), took(r.TookMS),
	}}
	for _, m := range r.Members {
		lines = append(lines, append([]string{"member", label(m, true), m.Role, string(m.State)}, measures(m)...))
	}
	for _, e := range r.Strays {
		lines = append(lines, []string{"endpoint", oneLine(e.URL), string(e.State)})
	}
	for _, f := range merged(r) {
		lines = append(lines, withNext([]string{tag(f.Severity), f.Check, memberList(f.members, true), oneLine(f.Message)}, f.Next))
	}
	for _, g := range unknowns(r, true) {
		head := []string{tag(health.SeverityUnknown), checkList(g.checks), memberList(g.members, true), oneLine(g.message)}
		lines = append(lines, withNext(head, g.next))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(s.Out, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(s.Out, countLine(r.Counts))
	return err
}

// manyChecks is from how many on checks are counted rather than named: they are many because a member is silent.
const manyChecks = 6

// checkList names checks, or counts them; json and wide name all.
func checkList(ids []string) string {
	if len(ids) >= manyChecks {
		return fmt.Sprintf("%d checks", len(ids))
	}
	return strings.Join(ids, ",")
}

func withNext(line []string, next string) []string {
	if next == "" {
		return line
	}
	return append(line, "-> "+oneLine(next))
}
