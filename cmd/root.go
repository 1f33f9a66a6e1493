// Package cmd is the command line: each command parses its input, makes one library call and renders the result.
package cmd

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/lazymetrics"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// app is what every command is given: the streams and the settings of the connection. One is made per run.
type app struct {
	io    *ui.Streams
	first string // word of the command line, which may be a flag; empty when none or not known
	conn  connFlags
	out   string // -w/--write-out as typed; empty means the command's own default

	resolved *config.Resolved // how to reach the cluster, once a command has asked
}

// Main runs the program named by args[0] and returns its exit code.
func Main(args []string) int {
	lazymetrics.Started()
	postponeGC()
	if upstream, ok := upstreamArgs(args); ok {
		return runUpstream(upstream)
	}
	streams := ui.NewStreams(os.Stdin, os.Stdout, os.Stderr)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process, also where it waits for what cannot be cancelled
	return run(ctx, streams, args)
}

// run is Main with its surroundings handed in, for tests.
func run(ctx context.Context, streams *ui.Streams, args []string) int {
	cobra.EnablePrefixMatching = false // etcdctl's code switches it on; here a mistyped word must not run another command
	out := &ui.StickyWriter{W: streams.Out}
	kept := *streams
	kept.Out = out
	a := &app{io: &kept}
	if len(args) > 1 {
		a.first = args[1]
	}
	root := newRoot(a) //nolint:contextcheck // commands get theirs from ExecuteContext
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if err == nil && out.Err != nil {
		err = &ops.HintError{Op: "write the report", Err: out.Err}
	}
	return a.finish(ctx, err)
}

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "etcdops",
		Short: "The etcd datastore, its client, and the operations layer above both",
		Long: `etcdops runs etcd, talks to it, and mends it.

  etcdops serve      start a datastore, exactly as etcd does
  etcdops health     is the cluster healthy, what is wrong, what to type next`,
		Args:          cobra.ArbitraryArgs,
		RunE:          needSubcommand,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.io.In)
	root.SetOut(a.io.Out)
	root.SetErr(a.io.Err)
	root.SetFlagErrorFunc(flagError)
	a.conn.addTo(root.PersistentFlags())
	root.PersistentFlags().StringVarP(&a.out, "write-out", "w", "", "output format: table, wide, json, yaml, simple, fields (each command's help lists its own)")
	root.PersistentFlags().StringVarP(&a.out, "output", "o", "", "second name of --write-out")
	addExitCodes(root)
	root.AddCommand(commands(a)...)
	checkArguments(root)
	group(root)
	return root
}

// commands lists the tree's first level, in the order of the help page.
func commands(a *app) []*cobra.Command {
	cmds := []*cobra.Command{
		newServeCmd(a),
		newHealthCmd(a),
		newStatusCmd(a),
		newExplainCmd(a),
		newContextCmd(a),
		newConfigCmd(a),
		newVersionCmd(a),
	}
	// Building etcdctl's commands takes longer than running some of ours.
	if a.first != "" && slices.ContainsFunc(cmds, func(c *cobra.Command) bool { return c.Name() == a.first }) {
		return cmds
	}
	cmds = append(cmds, newClientCmds(a)...)
	return append(cmds, newUpstreamCmds()...)
}
