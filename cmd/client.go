package cmd

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3/command"
)

// upstreamExitCodes stands in the help of every command that runs upstream's code, which ends the process by itself.
const upstreamExitCodes = `Exit codes are etcdctl's: 0 ok, 1 failure, 2 bad connection, 3 invalid input (txn, watch), 4 unsupported option or an error
of the server, 5 interrupted or cluster not healthy, 6 input or output, 128 bad arguments.
Before its code runs they are etcdops' own: 2 usage, 4 refused by a safety guard (nothing changed), 5 no quorum or
unreachable, 130 interrupted.`

// newClientCmds are etcdctl's commands, by etcdctl's own code under our settings and guards.
func newClientCmds(a *app) []*cobra.Command {
	get, del, snapshot := command.NewGetCommand(), command.NewDelCommand(), newSnapshotCmd(a)
	compact := command.NewCompactionCommand()
	defrag := command.NewDefragCommand()
	compact.Use, compact.Aliases = "compact [options] <revision>", []string{"compaction"}
	cmds := []*cobra.Command{
		get, command.NewPutCommand(), del, command.NewTxnCommand(), command.NewWatchCommand(), command.NewLeaseCommand(),
		compact, command.NewMakeMirrorCommand(),
		command.NewEndpointCommand(), command.NewAlarmCommand(),
		defrag, command.NewDowngradeCommand(), command.NewCheckCommand(),
		command.NewLockCommand(), command.NewElectCommand(),
		command.NewAuthCommand(), command.NewUserCommand(), command.NewRoleCommand(),
	}
	shorts := clientShorts()
	for _, cmd := range append(cmds, snapshot) {
		cmd.Short = shorts[cmd.Name()]
	}
	for _, cmd := range cmds {
		a.mount(cmd, a.prepareClient)
	}
	a.streamGet(get)
	a.guardDel(del)
	a.ownDefrag(defrag)
	member := newMemberCmd(a)
	member.Short = shorts[member.Name()]
	return append(cmds, snapshot, member, newMoveLeaderCmd(a))
}

// clientShorts say what each command is for; upstream's own lines name their subcommands' help instead.
func clientShorts() map[string]string {
	return map[string]string{
		"get":         "Print a key, or a range of keys as it comes",
		"put":         "Write a key",
		"del":         "Delete a key, or a range of keys after asking",
		"txn":         "Compare and write in one transaction, read from standard input",
		"watch":       "Print changes of keys as they happen, or run a command at each",
		"lease":       "Grant, keep alive, list and revoke leases",
		"compact":     "Forget the history before a revision",
		"make-mirror": "Copy keys to another cluster, and go on copying their changes",
		"member":      "List and change the members of the cluster",
		"endpoint":    "Ask each endpoint for its health, status and hash",
		"alarm":       "List and disarm alarms",
		"defrag":      "Give free space of the endpoints' databases back; each blocks meanwhile",
		"snapshot":    "Save a snapshot of a member, look at one, restore one",
		"downgrade":   "Prepare the cluster for an older version",
		"check":       "Put load on the cluster and see how it copes",
		"lock":        "Take a named lock, and run a command while holding it",
		"elect":       "Stand for election, or watch who is elected",
		"auth":        "Turn authentication on or off",
		"user":        "Manage users",
		"role":        "Manage roles and their permissions",
	}
}

// mount makes a command of upstream's one of ours: it runs after prepare, and its texts speak of etcdops.
func (a *app) mount(cmd *cobra.Command, prepare func(*cobra.Command) error) {
	cmd.GroupID = "" // upstream's groups are not ours; see groups.go
	for _, text := range []*string{&cmd.Short, &cmd.Long, &cmd.Example} {
		*text = strings.ReplaceAll(*text, programEtcdctl, "etcdops")
	}
	for _, sub := range cmd.Commands() {
		a.mount(sub, prepare)
	}
	upstream := cmd.Run
	if upstream == nil {
		cmd.RunE = needSubcommand
		return
	}
	cmd.Annotations = map[string]string{annotationExitCodes: upstreamExitCodes}
	cmd.Run = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := prepare(cmd); err != nil {
			return err
		}
		// Upstream's code knows no context: signals must end the process as they do etcdctl.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		upstream(cmd, args)
		return nil
	}
}

// needSubcommand runs when a command that only has subcommands is called: without arguments it shows its help; a word that is
// no subcommand is an error (cobra by itself would show the help and call that a success).
func needSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	cmd.SuggestionsMinimumDistance = 2
	err := fmt.Errorf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usageError(cmd, err)
}

// wrap puts own before a mounted command; what it leaves alone goes on to upstream's code.
func wrap(cmd *cobra.Command, own func(cmd *cobra.Command, args []string) (done bool, err error)) {
	next := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if done, err := own(cmd, args); done || err != nil {
			return err
		}
		return next(cmd, args)
	}
}
