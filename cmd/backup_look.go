package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/ui"
)

// lookOptions are the settings of a look into a backup.
type lookOptions struct {
	backupOptions
	revision  int64
	prefix    bool
	valueOnly bool
}

func (o *lookOptions) addFlags(cmd *cobra.Command) {
	o.addRepo(cmd.Flags())
	o.addCluster(cmd.Flags())
	o.addKeys(cmd.Flags())
	o.addSpool(cmd.Flags())
	cmd.Flags().Int64Var(&o.revision, "revision", 0, "read the keys as they were at this revision (default the newest of the backup)")
}

func newBackupGetCmd(a *app) *cobra.Command {
	var o lookOptions
	cmd := &cobra.Command{
		Use:   "get ID KEY...",
		Short: "Print keys out of a backup, without restoring it",
		Long: `Prints keys with their values out of a backup, as etcdops get prints them from a cluster. ID is the beginning of a backup's
ID, or latest. Formats (-w): simple (default), json, fields, protobuf: etcdctl's own.

Exit codes: 0 ok; 1 failed, or none of the keys exists; 2 usage; 4 the key given does not open the backup, or it does not reach
the revision; 130 interrupted.`,
		Example: `  etcdops backup get latest /registry/secrets/default/db
  etcdops backup get 9f3a /registry/configmaps/ --prefix --revision 8123001 -w json`,
		Args: cobra.MinimumNArgs(2),
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.prefix, "prefix", false, "all keys that begin with KEY")
	cmd.Flags().BoolVar(&o.valueOnly, "print-value-only", false, "print values without their keys")
	cmd.RunE = a.withRepository(&o.backupOptions, func(cmd *cobra.Command, repo *backup.Repository, args []string) error {
		return a.runBackupGet(cmd, repo, &o, args)
	})
	return cmd
}

func (a *app) runBackupGet(cmd *cobra.Command, repo *backup.Repository, o *lookOptions, args []string) error {
	formats := map[string]ui.RangeFormat{
		"": ui.RangeSimple, "simple": ui.RangeSimple, "json": ui.RangeJSON, "fields": ui.RangeFields, "protobuf": ui.RangeProtobuf,
	}
	format, ok := formats[a.out]
	if !ok {
		return badFormat(cmd, a.out, "simple", "json", "fields", "protobuf")
	}
	if o.valueOnly && format != ui.RangeSimple {
		return usageError(cmd, errors.New("--print-value-only goes with the format simple"))
	}
	w := ui.NewRangeWriter(a.io.Out, ui.RangeOptions{Format: format, ValuesOnly: o.valueOnly})
	begun, count := false, int64(0)
	begin := func(m *backup.Manifest) error {
		begun = true
		return w.Begin(&pb.ResponseHeader{ClusterId: uint64(m.ClusterID), MemberId: uint64(m.Member.ID), Revision: m.Revision, RaftTerm: m.RaftTerm})
	}
	entry, err := a.look(cmd, repo, o, args[0], backup.LookOptions{Keys: args[1:], Prefix: o.prefix}, func(e backup.Entry, kv *mvccpb.KeyValue) error {
		count++
		if !begun {
			if err := begin(e.Manifest); err != nil {
				return err
			}
		}
		return w.Keys([]*mvccpb.KeyValue{kv})
	})
	if err != nil {
		return err
	}
	if !begun {
		if err := begin(entry.Manifest); err != nil {
			return err
		}
	}
	if err := w.End(false, count); err != nil {
		return err
	}
	if count == 0 {
		return fmt.Errorf("none of the keys exists in backup %s at that revision", entry.ID.Short())
	}
	return nil
}

// look opens a backup and reads keys out of it.
func (a *app) look(cmd *cobra.Command, repo *backup.Repository, o *lookOptions, ref string, l backup.LookOptions, yield func(backup.Entry, *mvccpb.KeyValue) error) (backup.Entry, error) {
	progress := a.progress(cmd.Context(), cmd.CommandPath(), o.quiet)
	defer progress.end()
	entry, err := a.findBackup(cmd, repo, &o.backupOptions, ref)
	if err != nil {
		return entry, err
	}
	progress.about(entry.ID)
	l.Revision = o.revision
	if l.Access, err = o.keys(); err != nil {
		return entry, err
	}
	if l.SpoolDir, err = o.spoolDir(); err != nil {
		return entry, err
	}
	l.Progress = progress.show
	_, err = repo.Look(cmd.Context(), entry, l, func(kv *mvccpb.KeyValue) error {
		progress.pause()
		return yield(entry, kv)
	})
	return entry, err
}

func newBackupLsCmd(a *app) *cobra.Command {
	var o lookOptions
	cmd := &cobra.Command{
		Use:   "ls ID [PREFIX]",
		Short: "List the keys in a backup, without restoring it",
		Long: `Lists the keys that exist in a backup, one a line, below PREFIX if one is given. ID is the beginning of a backup's ID, or latest.

Exit codes: 0 ok; 1 failed; 2 usage; 4 the key given does not open the backup, or it does not reach the revision; 130 interrupted.`,
		Args: cobra.RangeArgs(1, 2),
	}
	o.addFlags(cmd)
	cmd.RunE = a.withRepository(&o.backupOptions, func(cmd *cobra.Command, repo *backup.Repository, args []string) error {
		if a.out != "" && a.out != "simple" {
			return badFormat(cmd, a.out, "simple")
		}
		l := backup.LookOptions{Prefix: true, Keys: args[1:], KeysOnly: true}
		_, err := a.look(cmd, repo, &o, args[0], l, func(_ backup.Entry, kv *mvccpb.KeyValue) error {
			_, err := fmt.Fprintln(a.io.Out, a.shownKey(kv.Key))
			return err
		})
		return err
	})
	return cmd
}

// shownKey is a key as it is, for programs, and made safe for a terminal.
func (a *app) shownKey(key []byte) string {
	if a.io.OutTTY {
		return ui.Safe(string(key))
	}
	return string(key)
}
