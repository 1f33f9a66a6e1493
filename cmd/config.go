package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// configJSON is schema etcdops.config/v1.
type configJSON struct {
	Schema   string           `json:"schema"`
	File     string           `json:"file"`
	Context  string           `json:"context"`
	Settings []config.Setting `json:"settings"`
}

func newConfigCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings in force and where they come from; check the file of contexts",
		Args:  cobra.ArbitraryArgs,
		RunE:  needSubcommand,
	}
	cmd.AddCommand(newConfigViewCmd(a), newConfigValidateCmd(a))
	return cmd
}

func newConfigViewCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "view",
		Short: "Show every setting of the connection, its value, and where it came from",
		Long: `Shows what the other commands would use, given the same flags: flag over ETCDOPS_ variable over ETCDCTL_ variable over
context over discovery on this machine over default. Secrets are masked; nothing is connected to.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := config.Resolve(cmd.Context(), config.Request{Flags: cmd.Flags()})
			if err != nil {
				return err
			}
			doc := configJSON{Schema: "etcdops.config/v1", File: config.File(), Context: r.Context, Settings: r.Settings}
			return a.print(cmd, doc, func() error {
				rows := make([][]string, len(r.Settings))
				for i, s := range r.Settings {
					rows[i] = []string{s.Name, dash(s.Value), s.Origin.String()}
				}
				return ui.Table(a.io.Out, []string{"SETTING", "VALUE", "FROM"}, rows)
			})
		},
	}
}

func newConfigValidateCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check the file of contexts; what is wrong is told with its line",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := config.File()
			if len(args) > 0 {
				file = args[0]
			}
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return &ops.HintError{
					Code: config.CodeFileAccess, Class: ops.ClassUsage, Op: "read contexts", Member: file, Err: fs.ErrNotExist,
					Hint: "etcdops context add makes it; commands work without it",
				}
			}
			all, err := config.Load(file)
			if err != nil {
				return err
			}
			return a.print(cmd, contextsDocument(file, all), func() error {
				_, err := fmt.Fprintf(a.io.Out, "%s: ok, %d contexts, current: %s\n", ui.Safe(file), len(all.Contexts), dash(all.Current))
				return err
			})
		},
	}
}
