package cmd

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3/command"

	"github.com/etcdops/etcdops/internal/server"
)

// verify says what is wrong with a command line: no such command or flag, a flag without its value, a value that the flag
// does not take. A strict line is typed as it stands, so that its number of arguments must be right too.
func (c typedCommand) verify(strict bool) error {
	root, args := programTree(c)
	if root == nil {
		return verifyServer(args, strict)
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd.Name() == "serve" && cmd.Parent() == root {
		return verifyServer(rest, strict, serveAdditions()...)
	}
	words, err := verifyFlags(cmd, rest)
	if errors.Is(err, errNoValue) && !strict {
		return nil // the flag is spoken of
	}
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.CommandPath(), err)
	}
	switch {
	case isProse(words):
		return nil
	case cmd.HasSubCommands() && len(words) > 0 && !isPlaceholder(words[0]):
		return fmt.Errorf("%s has no command %q", cmd.CommandPath(), words[0])
	case strict && !cmd.HasSubCommands():
		return cmd.ValidateArgs(words)
	}
	return nil
}

var errNoValue = errors.New("the flag needs a value")

// isProse tells `etcdops is one binary`, a sentence.
func isProse(words []string) bool { return len(words) > 0 && words[0] == "is" }

// programTree is the tree of a program's commands, and the arguments for it; nil stands for the server.
func programTree(c typedCommand) (*cobra.Command, []string) {
	program, args := c.program, c.args
	if program == "etcdops" && len(args) > 0 {
		if name, ok := upstreamWords()[args[0]]; ok {
			program, args = name, args[1:]
		}
	}
	switch program {
	case programEtcd:
		return nil, args
	case programEtcdutl:
		return newEtcdutl([]string{programEtcdutl}), args
	case programEtcdctl:
		return etcdctlTree(), args
	}
	return Tree(), args
}

// etcdctlTree is etcdctl's tree, which upstream keeps to itself, made of its commands.
func etcdctlTree() *cobra.Command {
	root := &cobra.Command{Use: programEtcdctl, Args: cobra.ArbitraryArgs}
	root.AddGroup(command.NewKVGroup(), command.NewClusterMaintenanceGroup(), command.NewConcurrencyGroup(),
		command.NewAuthenticationGroup(), command.NewUtilityGroup())
	root.AddCommand(command.NewGetCommand(), command.NewPutCommand(), command.NewDelCommand(), command.NewTxnCommand(),
		command.NewCompactionCommand(), command.NewAlarmCommand(), command.NewDefragCommand(), command.NewEndpointCommand(),
		command.NewMoveLeaderCommand(), command.NewWatchCommand(), command.NewVersionCommand(), command.NewLeaseCommand(),
		command.NewMemberCommand(), command.NewSnapshotCommand(), command.NewMakeMirrorCommand(), command.NewLockCommand(),
		command.NewElectCommand(), command.NewAuthCommand(), command.NewUserCommand(), command.NewRoleCommand(),
		command.NewCheckCommand(), command.NewDowngradeCommand())
	own := []string{"context", "no-discover", "show-origin", "password-file", "tls-server-name", "output"}
	Tree().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(own, f.Name) {
			root.PersistentFlags().AddFlag(f)
		}
	})
	return root
}

// verifyFlags checks the flags among args and returns the other words.
func verifyFlags(cmd *cobra.Command, args []string) (words []string, err error) {
	cmd.InitDefaultHelpFlag()
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(words, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' || strings.HasPrefix(arg, "-.") {
			words = append(words, arg)
			continue
		}
		f, value, complete, err := findFlag(cmd, arg)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		if !complete && f.NoOptDefVal == "" {
			if i++; i >= len(args) {
				return nil, fmt.Errorf("%s: %w", arg, errNoValue)
			}
			value, complete = args[i], true
		}
		if complete && !isPlaceholder(value) {
			if err := f.Value.Set(value); err != nil {
				return nil, fmt.Errorf("%s %s: %w", arg, value, err)
			}
		}
	}
	return words, nil
}

// findFlag finds the flag that arg is, --name, --name=value, -n or -nvalue. A name that is left open, --..., is no flag.
func findFlag(cmd *cobra.Command, arg string) (f *pflag.Flag, value string, complete bool, err error) {
	name, isLong := strings.CutPrefix(arg, "--")
	if isLong {
		name, value, complete = strings.Cut(name, "=")
		if isPlaceholder(name) {
			return nil, "", false, nil
		}
		f = cmd.Flag(name)
	} else {
		letter := arg[1:2]
		if f = cmd.Flags().ShorthandLookup(letter); f == nil {
			f = cmd.InheritedFlags().ShorthandLookup(letter)
		}
		value = strings.TrimPrefix(arg[2:], "=")
		complete = value != "" && f != nil && f.NoOptDefVal == ""
	}
	if f == nil {
		return nil, "", false, fmt.Errorf("no flag %s", arg)
	}
	return f, value, complete, nil
}

// verifyServer checks etcd's own flags, which may begin with one dash.
func verifyServer(args []string, strict bool, additions ...func(*flag.FlagSet)) error {
	known := server.Flags(additions...)
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "-")
		name, value, complete := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		if !isFlag || isPlaceholder(name) || name == "help" || name == "h" || name == "version" {
			continue
		}
		f := known.Lookup(name)
		if f == nil {
			return fmt.Errorf("the server has no flag %s", args[i])
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); !complete && (!ok || !b.IsBoolFlag()) {
			if i++; i >= len(args) && !strict {
				return nil
			} else if i >= len(args) {
				return fmt.Errorf("--%s: %w", name, errNoValue)
			}
			value, complete = args[i], true
		}
		if complete && !isPlaceholder(value) {
			if err := f.Value.Set(value); err != nil {
				return fmt.Errorf("--%s %s: %w", name, value, err)
			}
		}
	}
	return nil
}

// isPlaceholder tells what the reader replaces: N, DIR, http://HOST:2379, $n, %s, ...
func isPlaceholder(word string) bool {
	return regexp.MustCompile(`[A-Z$%]|\.\.\.|\|`).MatchString(word)
}

func TestVerifyTypedCommand(t *testing.T) {
	for _, tc := range []struct {
		line, problem string
		strict        bool
	}{
		{line: "etcdops health -w wide --deep"},
		{line: "etcdops --endpoints https://FOLLOWER:2379 defrag", strict: true},
		{line: "etcdops recover member m3 --via systemd:etcd --dry-run", strict: true},
		{line: "etcdops compact REVISION", strict: true},
		{line: "etcdops get k --limit=N"},
		{line: "etcdops serve -name m1 --data-dir=DIR --enable-v2-keys"},
		{line: "etcdops ctl get k --prefix"},
		{line: "etcdutl snapshot restore db --data-dir DIR --bump-revision 1000000000 --mark-compacted"},
		{line: "etcdops healht", problem: "no command"},
		{line: "etcdops recover membr m3", problem: "no command"},
		{line: "etcdops recover member m3 --dryrun", problem: "no flag --dryrun"},
		{line: "etcdops health -Z", problem: "no flag -Z"},
		{line: "etcdops get k --limit=many", problem: "--limit=many"},
		{line: "etcdops recover member m3 --via", problem: "needs a value", strict: true},
		{line: "etcdops serve --name", problem: "needs a value", strict: true},
		{line: "etcdops move-leader", problem: "is missing", strict: true},
		{line: "etcdops serve --no-such-setting x", problem: "no flag --no-such-setting"},
		{line: "etcd --enable-v2-keys", problem: "no flag --enable-v2-keys"},
		{line: "etcdctl get k --context prod", problem: "no flag --context"},
		{line: "etcdutl snapshot restore db --data-dri DIR", problem: "no flag --data-dri"},
		{line: "docker run ghcr.io/etcdops/etcdops serve --quota 1", problem: "no flag --quota"},
	} {
		err := verifyShell(tc.line, tc.strict)
		if tc.problem == "" && err != nil || tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) {
			t.Errorf("%s\nproblem: %v, want %q", tc.line, err, tc.problem)
		}
	}
}

// verifyShell checks all commands of ours in a piece of shell.
func verifyShell(text string, strict bool) error {
	found, err := shellCommands(text)
	for _, command := range found {
		err = errors.Join(err, command.verify(strict))
	}
	return err
}
