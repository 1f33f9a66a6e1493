package cmd

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/internal/ui"
)

// Tree returns the whole tree of commands for generators of documentation and completion. Its commands read nothing
// and write nowhere.
func Tree() *cobra.Command {
	root := newRoot(&app{io: &ui.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}})
	for _, cmd := range root.Commands() {
		if cmd.Name() == "serve" {
			declareServeFlags(cmd, root)
		}
	}
	return root
}

// declareServeFlags shows cobra the flags that etcd's own parser reads, and hides those of the root, which it does not.
func declareServeFlags(serve, root *cobra.Command) {
	serve.Flags().AddGoFlagSet(server.Flags(serveAdditions()...))
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if serve.Flags().Lookup(f.Name) == nil {
			hidden := *f
			hidden.Hidden, hidden.Shorthand = true, ""
			serve.Flags().AddFlag(&hidden)
		}
	})
}
