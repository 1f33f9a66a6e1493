package cmd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/stores"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// spoolSuffix ends the name of a backup that is one file; a place without it is a repository.
const spoolSuffix = ".snapshot.db"

// backupPlace is where a run's backup goes, as the plan says it: a file in a directory, or a repository.
func (r *recoverRun) backupPlace(operation string) (string, error) {
	to := r.opts.backupTo
	if !strings.Contains(to, "://") {
		if to == "" {
			to = r.opts.state.open().Path
		}
		return filepath.Abs(filepath.Join(to, operation+spoolSuffix))
	}
	_, closeStore, err := stores.Open(to, false)
	if ops.CodeOf(err) == backup.CodeNoRepository {
		return to, nil // it is made with the first backup
	}
	if err == nil {
		closeStore()
	}
	return to, err
}

// backupOf is how the backup of a plan is taken.
func (r *recoverRun) backupOf(journal *recovery.Journal) recovery.Backup {
	to := journal.Plan.Member.BackupTo
	switch {
	case to == "":
		return nil
	case strings.HasSuffix(to, spoolSuffix):
		return recovery.Spool{Path: to}
	}
	return repositoryBackup{cmd: r.cmd, journal: journal, place: to, spool: filepath.Join(filepath.Dir(journal.Path()), "spool")}
}

// repositoryBackup takes a backup as `backup create` does: all of it is read and checked before it counts.
type repositoryBackup struct {
	cmd          *cobra.Command
	journal      *recovery.Journal
	place, spool string
}

// Done implements recovery.Backup: the journal has the backup only once it is in the repository.
func (b repositoryBackup) Done(context.Context) (bool, error) {
	var taken string
	return b.journal.Get("backup", &taken)
}

// Take implements recovery.Backup.
func (b repositoryBackup) Take(ctx context.Context, cluster *ops.Cluster, endpoint string, size int64, tell recovery.Tell) (string, error) {
	o := createOptions{rate: "0", minRate: "64KiB", liveHash: "auto"}
	o.repo, o.spool = b.place, orEnv("", "ETCDOPS_BACKUP_SPOOL")
	if o.spool == "" {
		o.spool = b.spool
	}
	opts, err := o.library(b.cmd)
	if err != nil {
		return "", err
	}
	opts.Member = endpoint
	begun := time.Now()
	opts.Progress = func(p backup.Progress) { tell(p.Stage, transferOf(p, size, time.Since(begun))) }
	repo, closeStore, err := o.openRepository(ctx, true)
	if err != nil {
		return "", err
	}
	defer closeStore()
	m, err := repo.Create(ctx, cluster, opts)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s in %s, %s, revision %d, verified", m.ID, b.place, humanize.IBytes(uint64(m.Stored.Size)), m.Revision), nil
}

// transferOf tells a backup's progress as that of a transfer.
func transferOf(p backup.Progress, size int64, took time.Duration) *recovery.Transfer {
	t := &recovery.Transfer{Bytes: p.Done, Total: p.Total}
	if t.Total == 0 && p.Stage == "snapshot" {
		t.Total = size
	}
	if s := took.Seconds(); s > 0 && p.Stage == "snapshot" {
		t.PerSecond = float64(p.Done) / s
	}
	return t
}
