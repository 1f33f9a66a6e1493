package cmd

import (
	"cmp"
	"context"
	"errors"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// workerCommand is the hidden command that parses files in a process of its own.
const workerCommand = "inspect-worker"

// inspectJSON is the document of etcdops inspect.
type inspectJSON struct {
	Schema    string         `json:"schema"`
	Inspected []datadir.Info `json:"inspected"`
}

// inspectOptions are the settings of one inspection.
type inspectOptions struct {
	walDir string
	hashAt int64
	noHash bool
}

func newInspectCmd(a *app) *cobra.Command {
	var opts inspectOptions
	cmd := &cobra.Command{
		Use:   "inspect DATA-DIR|SNAPSHOT...",
		Short: "What a data directory or snapshot holds, and whether it is whole",
		Long: `Reads data directories of members and snapshots, of etcd 3.4 to 3.7, without a server.

Told are identity, member list, the log from its first to its last entry, what stands beyond the commit index and what
each of those entries would do, the database with its revision and hash, and every damage: a last write that was cut off
is told apart from bytes that changed. Nothing is written and no lock is taken; a directory that a member is using
is read all the same, with a warning. The files are parsed in a child process with limits, so that no file can do harm.

Formats (-w): table, json and yaml (schema etcdops.inspect/v1).

Exit codes: 0 everything reads; 3 damage was found; 1 a path is no data of etcd or cannot be opened; 2 usage.`,
		Example: `  etcdops inspect /var/lib/etcd
  etcdops inspect /var/lib/etcd --wal-dir /var/lib/etcd-wal
  etcdops inspect backup.db -w json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("DATA-DIR is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.runInspect(cmd, args, opts) },
	}
	cmd.Flags().StringVar(&opts.walDir, "wal-dir", "", "where the log is, when it is not in the data directory")
	cmd.Flags().Int64Var(&opts.hashAt, "rev", 0, "compute the hash at this revision instead of the latest")
	cmd.Flags().BoolVar(&opts.noHash, "no-hash", false, "leave the keys unread: no revision, count and hash")
	return cmd
}

func (a *app) runInspect(cmd *cobra.Command, args []string, opts inspectOptions) error {
	if opts.walDir != "" && len(args) > 1 {
		return usageError(cmd, errors.New("--wal-dir belongs to one data directory: name a single one"))
	}
	infos, err := inspectAll(cmd.Context(), args, datadir.Options{WALDir: opts.walDir, HashAt: opts.hashAt, NoHash: opts.noHash})
	if err != nil {
		return err
	}
	if err := a.print(cmd, inspectJSON{datadir.Schema, infos}, func() error { return printInspections(a.io, infos) }); err != nil {
		return err
	}
	for i := range infos {
		if isDamaged(&infos[i]) {
			return exitSilentError{ops.ClassCritical}
		}
	}
	return nil
}

// sandbox is this program as a child process that parses files.
func sandbox() (datadir.Sandbox, error) {
	self, err := os.Executable()
	return datadir.Sandbox{Path: self, Args: []string{os.Args[0], workerCommand}}, err
}

// inspectAll inspects every path, two at a time, in the order given.
func inspectAll(ctx context.Context, paths []string, opts datadir.Options) ([]datadir.Info, error) {
	box, err := sandbox()
	if err != nil {
		return nil, err
	}
	infos, errs := make([]datadir.Info, len(paths)), make([]error, len(paths))
	turn := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i, path := range paths {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			infos[i], errs[i] = box.Inspect(ctx, path, opts)
		})
	}
	wg.Wait()
	return infos, cmp.Or(errs...)
}

// newInspectWorkerCmd is the child process that parses files that are not trusted.
func newInspectWorkerCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    workerCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return datadir.Work(cmd.Context(), a.io.In, a.io.Out) },
	}
}
