package cmd

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

func newRecoverCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Replace failed members, one safe and resumable plan",
		Long: `Replaces members whose machine, disk or data is lost, while the others have a quorum. Every change is planned, printed,
confirmed, journalled and verified; a run that was stopped or killed anywhere goes on with --resume, or is given up with recover abandon.`,
		RunE: needSubcommand,
	}
	cmd.AddCommand(newRecoverMemberCmd(a), newRecoverListCmd(a), newRecoverCleanCmd(a), newRecoverAbandonCmd(a))
	return cmd
}

// stateOptions say where journals are.
type stateOptions struct{ dir string }

func (o *stateOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.dir, "state-dir", "", "directory of the journals (default $XDG_STATE_HOME/etcdops; without that /var/lib/etcdops for root, ~/.local/state/etcdops for others)")
}

func (o *stateOptions) open() recovery.StateDir {
	if o.dir != "" {
		return recovery.StateDir{Path: o.dir}
	}
	return recovery.DefaultStateDir(os.Geteuid() == 0, os.Getenv)
}

// named lets the command to go on with name the directory too, where it is not the usual one.
func (o *stateOptions) named(err error) error {
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || o.dir == "" {
		return err
	}
	told := *hint
	told.Hint = strings.NewReplacer("--resume", "--resume"+o.flag(), "recover abandon", "recover abandon"+o.flag()).Replace(told.Hint)
	return &told
}

// flag is the flag as it was given, to be put behind a command; empty when it was not.
func (o *stateOptions) flag() string {
	if o.dir == "" {
		return ""
	}
	return " --state-dir " + o.dir
}
