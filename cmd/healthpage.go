package cmd

import (
	"bufio"
	_ "embed" // for the part that is written by hand
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/health"
)

//go:embed health_page.md
var healthPage string

// HealthPage writes the page about health, in Markdown, for docs/health.md: how to read the report, and every check of
// the table.
func HealthPage(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprint(out, healthPage, "\n| check | well when | warning, critical from |\n|---|---|---|\n")
	for _, c := range health.Checks() {
		fmt.Fprintf(out, "| [%s](#%s) | %s | %s |\n", c.ID, strings.TrimPrefix(c.Doc(), "docs/health.md#"), c.Title, thresholds(c))
	}
	for _, c := range health.Checks() {
		fmt.Fprintf(out, "\n### %s\n\n%s.\n\n", c.ID, capital(c.Title))
		fmt.Fprintf(out, "- *Looks at:* %s.\n- *Rule:* %s (%s).\n- *Cause:* %s\n- *Danger:* %s\n", c.Source, c.Rule, c.From, c.Cause, c.Danger)
		for _, fix := range c.Fix {
			fmt.Fprintf(out, "- *Fix:* %s\n", fix)
		}
		if c.Needed {
			fmt.Fprint(out, "\nWhere this is unknown, so is the verdict.\n")
		}
	}
	return out.Flush()
}

// thresholds writes the limits of a check; one without numbers has a rule.
func thresholds(c health.Check) string {
	number := func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) + c.Unit }
	switch l := c.Limits; {
	case l == health.Limits{}:
		return "see its rule"
	case l.Crit == 0:
		return number(l.Warn) + ", never"
	default:
		return number(l.Warn) + ", " + number(l.Crit)
	}
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
