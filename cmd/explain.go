package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/internal/suggest"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/internal/v2keys/v2import"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// explainJSON is schema etcdops.explain/v1.
type explainJSON struct {
	Schema       string            `json:"schema"`
	Explanations []explanationJSON `json:"explanations"`
}

type explanationJSON struct {
	Code   string   `json:"code"`
	Title  string   `json:"title"`
	Cause  string   `json:"cause"`
	Danger string   `json:"danger"`
	Fix    []string `json:"fix"`
}

// explanations lists what every part of the program has to explain: codes of errors in their order, then checks.
func explanations() []ops.Explanation {
	codes := slices.Concat(ops.Explanations(), config.Explanations(), server.Explanations(), backup.Explanations(), archive.Explanations(), pitr.Explanations(), recovery.Explanations(), datadir.Explanations(), v2import.Explanations(), cmdExplanations())
	slices.SortStableFunc(codes, func(a, b ops.Explanation) int { return strings.Compare(a.Code, b.Code) })
	return slices.Concat(codes, health.Explanations(), ops.Risks(), topics())
}

func newExplainCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [CODE|CHECK]",
		Short: "What an error code or a health check means, and what to do about it",
		Long: `Explains an error code (ETO-1003, or just 1003) or a health check (clock.skew); a group of checks by its first word
(quorum). Without an argument it lists everything it can explain.`,
		Example: "  etcdops explain ETO-1004\n  etcdops explain quorum",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listExplanations(cmd)
			}
			found := findExplanations(args[0])
			if len(found) == 0 {
				return unknownCode(cmd, args[0])
			}
			return a.print(cmd, explainDocument(found), func() error {
				for i, e := range found {
					if i > 0 {
						fmt.Fprintln(a.io.Out)
					}
					writeExplanation(a.io.Out, e)
				}
				return nil
			})
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return explainable(), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func (a *app) listExplanations(cmd *cobra.Command) error {
	all := explanations()
	return a.print(cmd, explainDocument(all), func() error {
		rows := make([][]string, len(all))
		for i, e := range all {
			rows[i] = []string{e.Code, e.Title}
		}
		return ui.Table(a.io.Out, []string{"CODE", "MEANING"}, rows)
	})
}

// findExplanations finds what was asked for: a code, a check, or all checks of a group.
func findExplanations(asked string) []ops.Explanation {
	var group []ops.Explanation
	for _, e := range explanations() {
		switch {
		case strings.EqualFold(e.Code, asked), strings.EqualFold(e.Code, "ETO-"+asked):
			return []ops.Explanation{e}
		case strings.HasPrefix(e.Code, strings.ToLower(asked)+"."):
			group = append(group, e)
		}
	}
	return group
}

func explainable() []string {
	all := explanations()
	out := make([]string, len(all))
	for i, e := range all {
		out[i] = e.Code
	}
	return out
}

func unknownCode(cmd *cobra.Command, asked string) error {
	hint := "etcdops explain lists all"
	if guess := suggest.Nearest(asked, explainable()); guess != "" {
		hint = "did you mean " + guess + "? " + hint
	}
	return &ops.HintError{
		Code: codeUsage, Class: ops.ClassUsage, Op: cmd.CommandPath(), Err: fmt.Errorf("nothing is called %q", asked), Hint: hint,
	}
}

func explainDocument(list []ops.Explanation) explainJSON {
	out := explainJSON{Schema: "etcdops.explain/v1", Explanations: make([]explanationJSON, len(list))}
	for i, e := range list {
		out.Explanations[i] = explanationJSON(e)
	}
	return out
}

func writeExplanation(w io.Writer, e ops.Explanation) {
	fmt.Fprintf(w, "%s  %s\n\n", e.Code, e.Title)
	const indent = 8
	line := func(label, text string) {
		fmt.Fprintf(w, "%-*s%s\n", indent, label, ui.Wrap(text, indent, ui.MaxColumns, indent))
	}
	line("cause", e.Cause)
	line("danger", e.Danger)
	label := "fix"
	for _, step := range e.Fix {
		line(label, step)
		label = ""
	}
}
