package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/ops"
)

// exactArgs wants one argument for each name, and says which one is missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return errors.New(names[len(args)] + " is missing")
		case len(args) > len(names):
			return fmt.Errorf("there is nothing to do with %q", args[len(names)])
		}
		return nil
	}
}

// checkArguments makes arguments that do not fit a usage error, for every command below cmd: cobra's own errors carry no
// class.
func checkArguments(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil {
				return nil
			}
			if _, told := errors.AsType[*ops.HintError](err); told {
				return err
			}
			return usageError(cmd, err)
		}
	}
	for _, sub := range cmd.Commands() {
		checkArguments(sub)
	}
}
