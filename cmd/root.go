// Package cmd is the command line: each command parses its input, makes one library call and renders the result.
package cmd

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	a.first = firstWord(args[1:])
	root := newRoot(a) //nolint:contextcheck // commands get theirs from ExecuteContext
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if a.out == "" && wants("json", args[1:]) {
		a.out = "json" // a flag before it was wrong, and the rest was not read
	}
	err = a.asPlugin(err, args[1:])
	if lost := out.Err(); err == nil && lost != nil {
		err = &ops.HintError{Op: "write the report", Err: lost}
	}
	return a.finish(ctx, err)
}

// firstWord finds the command among the arguments: the first that is neither a flag nor a flag's value. It is empty where
// a flag is not one of the connection's, which only the whole tree can read.
func firstWord(args []string) string {
	var conn connFlags
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag {
			if strings.HasPrefix(args[i], "-") {
				return ""
			}
			return args[i]
		}
		if !fs.HasFlags() {
			conn.addTo(fs)
		}
		name, _, complete := strings.Cut(name, "=")
		f := fs.Lookup(name)
		if f == nil {
			return ""
		}
		if !complete && f.NoOptDefVal == "" {
			i++
		}
	}
	return ""
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

// ownCommand is one of our commands of the first level, which is built when it is needed.
type ownCommand struct {
	name  string
	build func(*app) *cobra.Command
	whole bool // it writes about all commands
}

// ownCommands lists them in the order of the help page.
func ownCommands() []ownCommand {
	return []ownCommand{
		{name: "serve", build: newServeCmd},
		{name: "health", build: newHealthCmd},
		{name: "status", build: newStatusCmd},
		{name: "clock", build: newClockCmd},
		{name: "quorum", build: newQuorumCmd},
		{name: "recover", build: newRecoverCmd},
		{name: "node-agent", build: newNodeAgentCmd},
		{name: "explain", build: newExplainCmd},
		{name: "backup", build: newBackupCmd},
		{name: "import", build: newImportCmd},
		{name: "context", build: newContextCmd},
		{name: "config", build: newConfigCmd},
		{name: "generate", build: newGenerateCmd, whole: true},
		{name: "version", build: newVersionCmd},
		{name: "rebuild-cluster", build: newRebuildCmd},
		{name: "inspect", build: newInspectCmd},
		{name: workerCommand, build: newInspectWorkerCmd},
	}
}

// commands lists the tree's first level. Building all of it takes longer than running some: a command that the line names
// by its first word is built alone.
func commands(a *app) []*cobra.Command {
	own := ownCommands()
	if i := slices.IndexFunc(own, func(c ownCommand) bool { return c.name == a.first && !c.whole }); i >= 0 {
		return []*cobra.Command{own[i].build(a)}
	}
	var cmds []*cobra.Command
	for _, c := range own {
		cmds = append(cmds, c.build(a))
	}
	cmds = append(cmds, newClientCmds(a)...)
	return append(cmds, newUpstreamCmds()...)
}
