package cmd

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

func newContextListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the contexts; * marks the current one",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file := config.File()
			all, err := config.Load(file)
			if err != nil {
				return err
			}
			return a.print(cmd, contextsDocument(file, all), func() error {
				return ui.Table(a.io.Out, []string{"CURRENT", "NAME", "ENDPOINTS", "USER"}, contextRows(all))
			})
		},
	}
}

func contextsDocument(file string, all *config.Contexts) contextsJSON {
	doc := contextsJSON{Schema: "etcdops.contexts/v1", File: file, Current: all.Current, Contexts: all.Contexts}
	if doc.Contexts == nil {
		doc.Contexts = []config.Context{}
	}
	return doc
}

func contextRows(all *config.Contexts) [][]string {
	var rows [][]string
	for _, c := range all.Contexts {
		mark := ""
		if c.Name == all.Current {
			mark = "*"
		}
		where := strings.Join(c.Endpoints, ",")
		if where == "" {
			where = "SRV " + c.DiscoverySRV
		}
		rows = append(rows, []string{mark, c.Name, where, dash(c.User)})
	}
	return rows
}

func newContextShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show the settings of a context, of the current one by default",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := config.Load(config.File())
			if err != nil {
				return err
			}
			name := all.Current
			if len(args) > 0 {
				name = args[0]
			}
			if name == "" {
				return &ops.HintError{
					Code: config.CodeNoContext, Class: ops.ClassUsage, Op: cmd.CommandPath(),
					Err: errors.New("no context is current"), Hint: "etcdops context list; etcdops context use NAME",
				}
			}
			c, err := all.Find(name)
			if err != nil {
				return err
			}
			return a.print(cmd, contextJSON{"etcdops.context/v1", name == all.Current, c}, func() error {
				return ui.Table(a.io.Out, []string{"SETTING", "VALUE"}, c.Rows())
			})
		},
		ValidArgsFunction: completeContexts,
	}
}

func newContextDiscoverCmd(a *app) *cobra.Command {
	var replace, use bool
	cmd := &cobra.Command{
		Use:   "discover [NAME]",
		Short: "Look for the etcd of this machine; with a name, keep it as a context",
		Long: `Looks where commands without settings look: a running etcd, static pods, the kube-apiserver's flags, files of services,
and the places where kubeadm, OpenShift, kubespray, kOps, k0s, k3s, rke2, Talos and Canonical Kubernetes keep
certificates. It opens no connection.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := config.Discover("")
			if err != nil {
				return err
			}
			if found.Source == "" {
				return &ops.HintError{
					Code: config.CodeNothingFound, Class: ops.ClassFailure, Op: cmd.CommandPath(),
					Err: errors.New("nothing on this machine tells of an etcd"), Hint: "run it on a control-plane node, as root; or name the endpoints: --endpoints https://HOST:2379",
				}
			}
			if len(args) == 0 {
				return a.print(cmd, foundJSON{Schema: "etcdops.found/v1", Found: found}, func() error {
					return ui.Table(a.io.Out, []string{"SETTING", "VALUE"}, found.Rows())
				})
			}
			return a.storeContext(cmd, found.Context(args[0]), replace, use)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "take the place of a context of the same name")
	cmd.Flags().BoolVar(&use, "use", false, "make it the current one")
	return cmd
}

// foundJSON is schema etcdops.found/v1.
type foundJSON struct {
	Schema string `json:"schema"`
	config.Found
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
