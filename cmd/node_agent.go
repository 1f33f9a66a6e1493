package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/node"
	"github.com/etcdops/etcdops/internal/node/wire"
	"github.com/etcdops/etcdops/recovery"
)

// newNodeAgentCmd is the other end of ssh: recovery runs it on the member's machine, one request a run.
func newNodeAgentCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "node-agent MEMBER [DRIVER]",
		Short:  "Answer one request of a recovery that runs on another machine",
		Hidden: true,
		Args:   cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			via := ""
			if len(args) > 1 {
				via = args[1]
			}
			shop, err := bench(nil)
			if err != nil {
				return err
			}
			driver := func(ctx context.Context) (recovery.Node, error) { return node.Here(ctx, via, args[0]) }
			return wire.Serve(cmd.Context(), wire.Machine{Driver: driver, Workshop: shop}, a.io.In, a.io.Out)
		},
	}
}
