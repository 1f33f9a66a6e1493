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

// wants looks for -w FORMAT among words that the flags' parser has not come to.
func wants(format string, args []string) bool {
	for i, arg := range args {
		if arg == "--" {
			return false
		}
		for _, name := range []string{"-w", "-o", "--write-out", "--output"} {
			value, given := strings.CutPrefix(arg, name)
			switch {
			case !given:
			case value == "" && i+1 < len(args) && args[i+1] == format, strings.TrimPrefix(value, "=") == format:
				return true
			}
		}
	}
	return false
}
