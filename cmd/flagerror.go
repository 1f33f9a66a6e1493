package cmd

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/internal/suggest"
	"github.com/etcdops/etcdops/ops"
)

// flagError says what was wrong with a flag, and which one was meant.
func flagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usageError(cmd, err)
	}
	name := unknown.GetSpecifiedName()
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	hint := cmd.CommandPath() + " --help"
	guess := suggest.Nearest(name, names)
	if single := unknown.GetSpecifiedShortnames(); guess == "" && single != "" {
		guess = suggest.Nearest(single, names) // -endpoints instead of --endpoints
	}
	if guess != "" {
		hint = "did you mean --" + guess + "? " + hint
	}
	return &ops.HintError{
		Code: codeUsage, Class: ops.ClassUsage, Op: cmd.CommandPath(), Err: errors.New(strings.TrimSpace(err.Error())), Hint: hint,
	}
}
