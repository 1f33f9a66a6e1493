package cmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// print writes the result of a command that knows tables, JSON and YAML: v is the document, table writes the rest.
func (a *app) print(cmd *cobra.Command, v any, table func() error) error {
	switch a.out {
	case "", "table", "wide", "simple":
		return table()
	case "json":
		return ui.JSON(a.io.Out, v)
	case "yaml":
		return ui.YAML(a.io.Out, v)
	}
	return badFormat(cmd, a.out, "table", "json", "yaml")
}

// badFormat refuses an output format that a command does not know.
func badFormat(cmd *cobra.Command, got string, known ...string) error {
	return &ops.HintError{
		Code: codeFormat, Class: ops.ClassUsage, Op: cmd.CommandPath(),
		Err: fmt.Errorf("there is no output format %q here", got), Hint: "choose one with -w: " + strings.Join(known, ", "),
	}
}
