package cmd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/ui"
)

// drillJSON is schema etcdops.drill/v1.
type drillJSON struct {
	Schema string `json:"schema"`
	backup.Drilled
}

func newBackupDrillCmd(a *app) *cobra.Command {
	var o backupOptions
	var revision int64
	var limit time.Duration
	var server string
	cmd := &cobra.Command{
		Use:   "drill [ID]",
		Short: "Prove that a backup restores: start a server on it, away from everything",
		Long: `Restores a backup (the newest good one unless an ID is given) into a directory of its own, at a revision drawn by lot among those
that it holds, starts a server on it that only this machine's loopback reaches, and compares hash and keys with the file;
then it writes and reads a key. Server and directory are gone at the end. The cluster is not touched and need not be there.

How long it took is kept beside the backup: it is what a recovery takes on a machine like this one.

Exit codes: 0 it restores; 1 the drill could not be made; 2 usage; 3 the backup does not restore; 4 the key given does not open
it, or it does not reach the revision; 130 interrupted.`,
		Args: cobra.MaximumNArgs(1),
	}
	o.addRepo(cmd.Flags())
	o.addCluster(cmd.Flags())
	o.addKeys(cmd.Flags())
	o.addSpool(cmd.Flags())
	cmd.Flags().Int64Var(&revision, "revision", 0, "revision to restore (default one drawn by lot)")
	cmd.Flags().DurationVar(&limit, "limit", 5*time.Minute, "for the server to answer")
	cmd.Flags().StringVar(&server, "server", "", "etcd program to start, for another version's (default this program)")
	cmd.RunE = a.withRepository(&o, func(cmd *cobra.Command, repo *backup.Repository, args []string) error {
		if err := a.documentFormat(cmd); err != nil {
			return err
		}
		progress := a.progress(cmd.Context(), cmd.CommandPath(), o.quiet)
		defer progress.end()
		e, err := a.findBackup(cmd, repo, &o, optional(args))
		if err != nil {
			return err
		}
		progress.about(e.ID)
		lib := backup.DrillOptions{Revision: revision, Limit: limit}
		if lib.Keys, err = o.keys(); err != nil {
			return err
		}
		if lib.Dir, err = o.spoolDir(); err != nil {
			return err
		}
		if lib.Server, err = drillServer(server); err != nil {
			return err
		}
		lib.Progress = progress.show
		got, err := repo.Drill(cmd.Context(), e, lib)
		progress.end()
		if note := new(backup.RecordError); errors.As(err, &note) {
			fmt.Fprintln(a.io.Err, "warning: the result could not be kept in the repository:", ui.Safe(note.Error()))
			err = note.Found
		}
		if err != nil {
			return verifyOutcome(err)
		}
		return a.tellDrilled(cmd, got, o.quiet)
	})
	return cmd
}

func (a *app) tellDrilled(cmd *cobra.Command, got backup.Drilled, quiet bool) error {
	return a.print(cmd, drillJSON{"etcdops.drill/v1", got}, func() error {
		if !quiet {
			fmt.Fprintf(a.io.Out, "OK  backup %s restores: revision %d, %d keys, %d leases, hash %08x, written and read\n",
				got.Backup.Short(), got.Revision, got.Keys, got.Leases, got.HashKV)
			fmt.Fprintf(a.io.Out, "    from the command to the first answer: %v\n", (time.Duration(got.TookMS) * time.Millisecond).Round(10*time.Millisecond))
		}
		return nil
	})
}

// drillServer is how to start an etcd.
func drillServer(program string) ([]string, error) {
	if program != "" {
		return []string{program}, nil
	}
	self, err := os.Executable()
	return []string{self, "etcd"}, err
}
