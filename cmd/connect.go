package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// resolve finds out how to reach the cluster. What the user should know of it is told on the error stream.
func (a *app) resolve(cmd *cobra.Command) (config.Resolved, error) {
	r, err := config.Resolve(cmd.Context(), config.Request{Flags: cmd.Flags()})
	if err != nil {
		return r, err
	}
	for _, notice := range r.Notices {
		fmt.Fprintln(a.io.Err, ui.Safe(notice))
	}
	return r, nil
}

// dial connects to the cluster that the settings name. The caller closes the result.
func (a *app) dial(cmd *cobra.Command) (*ops.Cluster, error) {
	r, err := a.resolve(cmd)
	if err != nil {
		return nil, err
	}
	return ops.Dial(cmd.Context(), r.Config)
}
