package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// reportPrinter writes one report in one format.
type reportPrinter func(s *ui.Streams, name string, r health.Report) error

func nothingYet(*ui.Streams, result) error    { return nil }
func nothingMore(*ui.Streams, []result) error { return nil }

// textPrinter writes each report as it arrives; of several, the slowest and therefore sickest come last, and the count
// of the verdicts at the end.
func textPrinter(show reportPrinter, several bool) healthPrinter {
	if !several {
		return healthPrinter{func(s *ui.Streams, r result) error { return show(s, r.name, r.report) }, nothingMore}
	}
	each := func(s *ui.Streams, r result) error {
		var err error
		if r.err != nil {
			fmt.Fprintln(s.Out, s.Paint(ui.ColorYellow, "UNKNOWN")+"  "+oneLine(r.name)+"  "+oneLine(r.err.Error())+nextLine("", hintOf(r.err)))
		} else {
			err = show(s, r.name, r.report)
		}
		fmt.Fprintln(s.Out)
		return err
	}
	return healthPrinter{each, func(s *ui.Streams, results []result) error {
		_, err := fmt.Fprintln(s.Out, tally(results))
		return err
	}}
}

// tally counts the verdicts: "3 clusters: 2 ok, 1 critical (prod)".
func tally(results []result) string {
	var parts []string
	for _, want := range []health.Severity{
		health.SeverityOK, health.SeverityWarning, health.SeverityUnknown, health.SeverityCritical,
	} {
		var names []string
		for _, r := range results {
			if r.severity() == want {
				names = append(names, oneLine(r.name))
			}
		}
		if len(names) == 0 {
			continue
		}
		part := fmt.Sprintf("%d %s", len(names), want)
		if want != health.SeverityOK {
			part += " (" + strings.Join(names, ", ") + ")"
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("%d clusters: %s", len(results), strings.Join(parts, ", "))
}

func hintOf(err error) string {
	if hint, ok := err.(*ops.HintError); ok { //nolint:errorlint // what resolve and Collect return is one itself
		return hint.Hint
	}
	return ""
}

// healthListJSON is schema etcdops.health_list/v1: the reports of several clusters.
type healthListJSON struct {
	Schema   string              `json:"schema"`
	Severity health.Severity     `json:"severity"` // the worst
	Clusters []healthClusterJSON `json:"clusters"` // in the order of the contexts
}

// healthClusterJSON is one cluster of several.
type healthClusterJSON struct {
	Context string         `json:"context"`
	Error   string         `json:"error"`  // why there is no report; empty when there is one
	Report  *health.Report `json:"report"` // null when there is none
}

// documentPrinter writes one document at the end.
func documentPrinter(write func(io.Writer, any) error, several bool) healthPrinter {
	return healthPrinter{nothingYet, func(s *ui.Streams, results []result) error {
		if !several {
			return write(s.Out, results[0].report)
		}
		list := healthListJSON{Schema: "etcdops.health_list/v1", Clusters: []healthClusterJSON{}}
		for i := range results {
			r := &results[i]
			if verdictRank(r.severity()) > verdictRank(list.Severity) {
				list.Severity = r.severity()
			}
			c := healthClusterJSON{Context: r.name}
			if r.err != nil {
				c.Error = r.err.Error()
			} else {
				c.Report = &r.report
			}
			list.Clusters = append(list.Clusters, c)
		}
		return write(s.Out, list)
	}}
}
