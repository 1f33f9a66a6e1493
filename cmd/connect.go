package cmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
)

// resolve finds out how to reach the cluster, password included, once for a run of the program. What the user should
// know of it is told on the error stream.
func (a *app) resolve(cmd *cobra.Command) (config.Resolved, error) {
	if a.resolved != nil {
		return *a.resolved, nil
	}
	r, err := config.Resolve(cmd.Context(), config.Request{Flags: cmd.Flags()})
	if err != nil {
		return r, err
	}
	if a.conn.showOrigin {
		if err := a.printOrigins(r); err != nil {
			return r, err
		}
	}
	err = r.ReadSecrets(config.SecretInput{Stdin: a.io.In, Prompt: a.prompt(cmd.Context())})
	told := r.Notices
	if a.io.ErrTTY {
		told = append(told, r.Advice...)
	}
	for _, line := range told {
		fmt.Fprintln(a.io.Err, ui.Safe(line))
	}
	if err == nil {
		a.resolved = &r
	}
	return r, err
}

// prompt returns a way to ask for a secret, nil where there is nobody to ask.
func (a *app) prompt(ctx context.Context) func(string) (string, error) {
	if !a.io.InTTY || !a.io.ErrTTY {
		return nil
	}
	return func(question string) (string, error) { return ui.Secret(ctx, a.io, question) }
}

// printOrigins tells where each setting that is in force came from.
func (a *app) printOrigins(r config.Resolved) error {
	var rows [][]string
	for _, s := range r.Settings {
		if s.Value != "" {
			rows = append(rows, []string{s.Name, s.Value, s.Origin.String()})
		}
	}
	return ui.Table(a.io.Err, []string{"SETTING", "VALUE", "FROM"}, rows)
}
