package cmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
)

// contextsJSON is schema etcdops.contexts/v1.
type contextsJSON struct {
	Schema   string           `json:"schema"`
	File     string           `json:"file"`
	Current  string           `json:"current"`
	Contexts []config.Context `json:"contexts"`
}

// contextJSON is schema etcdops.context/v1.
type contextJSON struct {
	Schema  string         `json:"schema"`
	Current bool           `json:"current"`
	Context config.Context `json:"context"`
}

func newContextCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "Name the ways to reach your clusters, and choose one",
		Long: `A context is a named set of connection settings: endpoints, certificates, user. One of them may be current: commands
use it where neither a flag nor a variable says otherwise. --context NAME uses another one for one command.

Contexts are kept in ~/.config/etcdops/config.yaml (below $XDG_CONFIG_HOME, or in the file that $ETCDOPS_CONFIG names),
readable by you alone. They hold no password, only the name of the file that it is in.`,
		Args: cobra.ArbitraryArgs,
		RunE: needSubcommand,
	}
	cmd.AddCommand(newContextAddCmd(a), newContextUseCmd(a), newContextListCmd(a), newContextShowCmd(a),
		newContextRenameCmd(a), newContextDeleteCmd(a), newContextDiscoverCmd(a))
	return cmd
}

func newContextAddCmd(a *app) *cobra.Command {
	var replace, use bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a context made of the connection flags given",
		Example: `  etcdops context add prod --endpoints https://10.0.0.1:2379,https://10.0.0.2:2379 \
    --cacert ca.crt --cert client.crt --key client.key --use`,
		Args: exactArgs("the context's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.conn.toContext(cmd, args[0])
			if err != nil {
				return err
			}
			return a.storeContext(cmd, c, replace, use)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "take the place of a context of the same name")
	cmd.Flags().BoolVar(&use, "use", false, "make it the current one")
	return cmd
}

// storeContext adds a context to the file and tells so.
func (a *app) storeContext(cmd *cobra.Command, c config.Context, replace, use bool) error {
	return a.editContexts(cmd, func(all *config.Contexts) (string, error) {
		if err := all.Add(c, replace); err != nil {
			return "", err
		}
		if use {
			all.Current = c.Name
		}
		if all.Current == c.Name {
			return fmt.Sprintf("context %s saved, and current", c.Name), nil
		}
		return fmt.Sprintf("context %s saved (etcdops context use %s makes it current)", c.Name, c.Name), nil
	})
}

// editContexts changes the file of contexts and tells what was done: in a sentence, or as all contexts that there are now.
func (a *app) editContexts(cmd *cobra.Command, edit func(*config.Contexts) (string, error)) error {
	file, done := config.File(), ""
	all, err := config.Edit(file, func(all *config.Contexts) (err error) {
		done, err = edit(all)
		return err
	})
	if err != nil {
		return err
	}
	return a.print(cmd, contextsDocument(file, all), func() error {
		_, err := fmt.Fprintln(a.io.Out, ui.Safe(done))
		return err
	})
}

// toContext makes a context of the flags that were typed. Paths are made absolute, because contexts are used from
// everywhere.
func (c *connFlags) toContext(cmd *cobra.Command, name string) (config.Context, error) {
	for _, secret := range []string{"password", "auth-jwt-token"} {
		if cmd.Flags().Changed(secret) {
			return config.Context{}, usageError(cmd, fmt.Errorf("a context keeps no secret (--%s): name the file that it is in with --password-file", secret))
		}
	}
	if strings.Contains(c.user, ":") {
		return config.Context{}, usageError(cmd, errors.New("a context keeps no password (--user NAME:PASSWORD): name the file that it is in with --password-file"))
	}
	out := config.Context{
		Name: name, ServerName: c.serverName, InsecureSkipVerify: c.insecureSkipVerify, DiscoverySRV: c.discoverySRV,
		DiscoverySRVName: c.discoverySRVName, User: c.user,
	}
	if cmd.Flags().Changed("endpoints") {
		out.Endpoints = c.endpoints
	}
	if cmd.Flags().Changed("dial-timeout") {
		out.DialTimeout = c.dialTimeout.String()
	}
	if cmd.Flags().Changed("command-timeout") {
		out.CommandTimeout = c.commandTimeout.String()
	}
	for _, file := range []struct {
		to   *string
		from string
	}{{&out.CACert, c.caCert}, {&out.Cert, c.cert}, {&out.Key, c.key}, {&out.PasswordFile, c.passwordFile}} {
		if file.from == "" || file.from == "-" {
			*file.to = file.from
			continue
		}
		path, err := filepath.Abs(file.from)
		if err != nil {
			return config.Context{}, fmt.Errorf("find %s: %w", file.from, err)
		}
		*file.to = path
	}
	return out, nil
}

func newContextUseCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "Make a context the current one",
		Args:  exactArgs("the context's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.editContexts(cmd, func(all *config.Contexts) (string, error) {
				return "context " + args[0] + " is current", all.Use(args[0])
			})
		},
		ValidArgsFunction: completeContexts,
	}
}

func newContextRenameCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rename NAME NEW-NAME",
		Short: "Give a context another name",
		Args:  exactArgs("the context's name", "its new name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.editContexts(cmd, func(all *config.Contexts) (string, error) {
				return "context " + args[0] + " is now called " + args[1], all.Rename(args[0], args[1])
			})
		},
		ValidArgsFunction: completeContexts,
	}
}

func newContextDeleteCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Forget a context; the cluster and its files are not touched",
		Args:  exactArgs("the context's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.editContexts(cmd, func(all *config.Contexts) (string, error) {
				return "context " + args[0] + " deleted", all.Delete(args[0])
			})
		},
		ValidArgsFunction: completeContexts,
	}
}

// completeContexts offers the names of contexts to the shell.
func completeContexts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := config.Load(config.File())
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range all.Contexts {
		names = append(names, c.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
