package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/pkg/v3/cobrautl"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

// The programs that upstream ships, which this binary is too when it is called by their names.
const (
	programEtcd    = "etcd"
	programEtcdctl = "etcdctl"
	programEtcdutl = "etcdutl"
)

// upstreamWords are the first words that stand for an upstream program: `etcdops ctl get k` is `etcdctl get k`. The full names
// work too, because an image's entry point puts our name before the one that was typed.
func upstreamWords() map[string]string {
	return map[string]string{
		"etcd": programEtcd, "ctl": programEtcdctl, "utl": programEtcdutl, programEtcdctl: programEtcdctl, programEtcdutl: programEtcdutl,
	}
}

// upstreamArgs finds out whether args call an upstream program, by the name of the binary (a link) or by the first word,
// and returns the arguments as that program expects them.
func upstreamArgs(args []string) ([]string, bool) {
	if len(args) == 0 {
		return nil, false
	}
	switch name := programName(args[0]); name {
	case programEtcd, programEtcdctl, programEtcdutl:
		return args, true
	}
	if len(args) > 1 {
		if program, ok := upstreamWords()[args[1]]; ok {
			return append([]string{program}, args[2:]...), true
		}
	}
	return nil, false
}

// programName is the name that a path calls a program by, on any system.
func programName(path string) string {
	base := filepath.Base(path)
	if ext := filepath.Ext(base); strings.EqualFold(ext, ".exe") {
		base = strings.TrimSuffix(base, ext)
	}
	return base
}

// runUpstream becomes the upstream program args[0]. Upstream's code reads os.Args, writes to the process's own streams
// and ends the process itself with its own exit codes; what returns is 0.
func runUpstream(args []string) int {
	os.Args = args
	program := programName(args[0])
	// Importing etcdctl's code switches prefix matching on for the whole process; etcd itself never had it.
	cobra.EnablePrefixMatching = program != programEtcd
	switch program {
	case programEtcd:
		etcdmain.Main(args)
	case programEtcdctl:
		ctlv3.MustStart()
	case programEtcdutl:
		if err := newEtcdutl(args).Execute(); err != nil {
			cobrautl.ExitWithError(cobrautl.ExitError, err)
		}
	}
	return 0
}

// newEtcdutl is etcdutl's root command: upstream keeps its own in package main, out of reach.
func newEtcdutl(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:        programEtcdutl,
		Short:      "An administrative command line tool for etcd3.",
		SuggestFor: []string{programEtcdutl},
	}
	flags := root.PersistentFlags()
	flags.DurationVar(&etcdutl.FlockTimeout, "timeout", 10*time.Second, "time to wait to obtain a file lock on db file, 0 to block indefinitely")
	flags.StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple", "set the output format (fields, json, protobuf, simple, table)")
	formats := cobra.FixedCompletions([]string{"fields", "json", "protobuf", "simple", "table"}, cobra.ShellCompDirectiveDefault)
	if err := root.RegisterFlagCompletionFunc("write-out", formats); err != nil {
		cobrautl.ExitWithError(cobrautl.ExitError, err)
	}
	root.AddCommand(etcdutl.NewDefragCommand(), etcdutl.NewSnapshotCommand(), etcdutl.NewHashKVCommand(),
		etcdutl.NewVersionCommand(), etcdutl.NewCompletionCommand(), etcdutl.NewMigrateCommand())
	root.SetHelpTemplate(`{{.UsageString}}`)
	root.SetArgs(args[1:])
	return root
}

// newUpstreamCmds list the upstream programs in the help pages. Main dispatches before cobra parses anything; these run
// only when flags of ours stand before the word, which would not reach the program.
func newUpstreamCmds() []*cobra.Command {
	about := map[string]string{
		"etcd": "Be upstream's etcd (as does a link named etcd)",
		"ctl":  "Be upstream's etcdctl (as does a link named etcdctl)",
		"utl":  "Be upstream's etcdutl (as does a link named etcdutl)",
	}
	var cmds []*cobra.Command
	for _, word := range []string{"etcd", "ctl", "utl"} {
		program := upstreamWords()[word]
		cmds = append(cmds, &cobra.Command{
			Use:   word + " [arguments of " + program + "]",
			Short: about[word],
			Long: about[word] + `.

Arguments, variables, output and exit codes are ` + program + `'s own; contexts and the discovery of certificates do not apply.
"etcdops ` + word + ` --help" lists what it takes.`,
			Annotations:        map[string]string{annotationExitCodes: "Exit codes are " + program + "'s."},
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return usageError(cmd, errors.New("the word "+word+" must come first: flags before it are not "+program+"'s"))
			},
		})
	}
	return cmds
}
