package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// verifyJSON is schema etcdops.backup_verify/v1.
type verifyJSON struct {
	Schema  string        `json:"schema"`
	Level   int           `json:"level"`
	Good    bool          `json:"good"` // every backup reached the level, and the archives
	Backups []verifiedRow `json:"backups"`
	// Archives are the changes between backups, one for each cluster that has any; empty where backups were named, and for
	// level 0.
	Archives []verifiedArchive `json:"archives"`
}

// verifiedArchive is an archive's outcome.
type verifiedArchive struct {
	ClusterID ops.ClusterID `json:"cluster_id"`
	archive.Checked
}

// verifiedRow is one backup's outcome.
type verifiedRow struct {
	ID      backup.ID    `json:"id"`
	Reached backup.Level `json:"reached"`
	Error   string       `json:"error"` // empty: the level was reached
	Code    ops.Code     `json:"code"`
	TookMS  int64        `json:"took_ms"`
}

func newBackupVerifyCmd(a *app) *cobra.Command {
	var o backupOptions
	var level int
	cmd := &cobra.Command{
		Use:   "verify [ID...]",
		Short: "Check backups: their bytes, their content, or a server started on them",
		Long: `Checks backups to a level, all of them unless IDs are given:

  0  every part is there and has its size
  1  every part and document has its hash: needs no key, finds every flipped bit and names the object
  2  decrypted and decompressed, the database has its hash
  3  the database is read whole: pages, keys, revisions without a gap, and etcd's own hash as when it was taken
  4  a server is started on it, away from everything, and serves the same (etcdops backup drill)

Unless IDs are given, archived changes (etcdops backup archive) are checked too, from level 1 on: their bytes, and from level 2
on every change that they hold.

What is found is kept beside the backup, so that list shows it and prune counts on it.

Exit codes: 0 all reached the level; 1 something could not be checked; 2 usage; 3 a backup is damaged; 4 the key given opens
none; 130 interrupted.`,
	}
	o.addRepo(cmd.Flags())
	o.addKeys(cmd.Flags())
	o.addSpool(cmd.Flags())
	cmd.Flags().IntVar(&level, "level", 3, "0 to 4")
	cmd.RunE = a.withRepository(&o, func(cmd *cobra.Command, repo *backup.Repository, args []string) error {
		if level < 0 || level > int(backup.LevelDrill) {
			return usageError(cmd, fmt.Errorf("--level is 0 to 4, not %d", level))
		}
		return a.runBackupVerify(cmd, repo, &o, backup.Level(level), args)
	})
	return cmd
}

func (a *app) runBackupVerify(cmd *cobra.Command, repo *backup.Repository, o *backupOptions, level backup.Level, args []string) error {
	if err := a.documentFormat(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	progress := a.progress(ctx, cmd.CommandPath(), o.quiet)
	defer progress.end()
	entries, err := a.chosenBackups(cmd, repo, o, args)
	if err != nil {
		return err
	}
	opts := backup.VerifyOptions{Level: level}
	if opts.Keys, err = o.keys(); err != nil {
		return err
	}
	if opts.SpoolDir, err = o.spoolDir(); err != nil {
		return err
	}
	opts.Progress = progress.show
	doc := verifyJSON{Schema: "etcdops.backup_verify/v1", Level: int(level), Good: true, Backups: []verifiedRow{}, Archives: []verifiedArchive{}}
	var worst error
	if level >= backup.LevelStored && len(args) == 0 {
		worst = repo.VerifyDocuments(ctx)
	}
	for _, e := range entries {
		progress.about(e.ID)
		err := a.verifyRow(cmd, repo, e, opts, &doc)
		if ctx.Err() != nil {
			return err
		}
		if found := verifyOutcome(err); err != nil && (worst == nil || classify(ctx, found) == ops.ClassCritical) {
			worst = exitSilentError{classify(ctx, found)} // the report has it
		}
	}
	if level >= backup.LevelStored && len(args) == 0 {
		progress.about("")
		err := doc.checkArchives(ctx, repo, archive.CheckOptions{Level: level, Keys: opts.Keys, Progress: progress.show})
		if ctx.Err() != nil {
			return err
		}
		if found := verifyOutcome(err); err != nil && (worst == nil || classify(ctx, found) == ops.ClassCritical) {
			worst = found
		}
	}
	progress.end()
	if err := a.print(cmd, doc, func() error { return a.tellVerified(doc, o.quiet) }); err != nil {
		return err
	}
	return verifyOutcome(worst)
}

// verifyRow checks one backup and adds what was found to the report.
func (a *app) verifyRow(cmd *cobra.Command, repo *backup.Repository, e backup.Entry, opts backup.VerifyOptions, doc *verifyJSON) error {
	begin := time.Now()
	reached, err := a.verifyOne(cmd, repo, e, opts)
	row := verifiedRow{ID: e.ID, Reached: reached, TookMS: time.Since(begin).Milliseconds()}
	if err != nil {
		row.Error, row.Code, doc.Good = err.Error(), ops.CodeOf(err), false
	}
	doc.Backups = append(doc.Backups, row)
	return err
}

// checkArchives reads what lies between backups. Damage is in the report and the error.
func (doc *verifyJSON) checkArchives(ctx context.Context, repo *backup.Repository, o archive.CheckOptions) error {
	clusters, err := archive.Clusters(ctx, repo.Store())
	if err != nil {
		return archiveError(repo, err)
	}
	for _, cluster := range clusters {
		got, checkErr := archive.Check(ctx, repo.Store(), cluster, o)
		doc.Archives = append(doc.Archives, verifiedArchive{cluster, got})
		if checkErr != nil {
			doc.Good = false
			err = errors.Join(err, checkErr)
		}
		if len(got.Problems) > 0 {
			doc.Good = false
			err = errors.Join(err, exitSilentError{ops.ClassCritical}) // the report has it
		}
	}
	return err
}

// verifyOutcome makes the exit code of what was found: damage is critical.
func verifyOutcome(err error) error {
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok {
		return err
	}
	if hint.Code == backup.CodeDamaged || hint.Code == backup.CodeNotSound || hint.Code == backup.CodeDrillFailed {
		found := *hint
		found.Class = ops.ClassCritical
		return &found
	}
	return err
}

// verifyOne checks one backup and keeps what was found.
func (a *app) verifyOne(cmd *cobra.Command, repo *backup.Repository, e backup.Entry, opts backup.VerifyOptions) (backup.Level, error) {
	reached, err := repo.VerifyAndRecord(cmd.Context(), e, opts)
	if err == nil && opts.Level == backup.LevelDrill {
		var server []string
		if server, err = drillServer(""); err == nil {
			_, err = repo.Drill(cmd.Context(), e, backup.DrillOptions{Server: server, Dir: opts.SpoolDir, Keys: opts.Keys, Progress: opts.Progress})
		}
		if err == nil {
			reached = backup.LevelDrill
		}
	}
	if noteErr := new(backup.RecordError); errors.As(err, &noteErr) {
		fmt.Fprintln(a.io.Err, "warning: what was found could not be kept in the repository:", ui.Safe(noteErr.Error()))
		err = noteErr.Found
	}
	return reached, err
}

// chosenBackups are those named, or all.
func (a *app) chosenBackups(cmd *cobra.Command, repo *backup.Repository, o *backupOptions, refs []string) ([]backup.Entry, error) {
	if len(refs) == 0 {
		return repo.List(cmd.Context())
	}
	var out []backup.Entry
	for _, ref := range refs {
		e, err := a.findBackup(cmd, repo, o, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (a *app) tellVerified(doc verifyJSON, quiet bool) error {
	good := 0
	for _, b := range doc.Backups {
		if b.Error == "" {
			good++
		}
	}
	if quiet && doc.Good {
		return nil
	}
	fmt.Fprintf(a.io.Out, "%d of %d backups reached level %d\n", good, len(doc.Backups), doc.Level)
	for _, c := range doc.Archives {
		fmt.Fprintf(a.io.Out, "archive of cluster %s: %d segments, %s\n", c.ClusterID, c.Segments, health.Bytes(c.Bytes))
		for _, p := range c.Problems {
			fmt.Fprintf(a.io.Out, "CRIT  %s\n", ui.Wrap(p.Object+"  "+oneLine(p.Error), indent, ui.MaxColumns, indent))
		}
	}
	for _, b := range doc.Backups {
		if b.Error == "" {
			fmt.Fprintf(a.io.Out, "OK    %s  %s in %v\n", b.ID.Short(), b.Reached, (time.Duration(b.TookMS) * time.Millisecond).Round(time.Millisecond))
			continue
		}
		fmt.Fprintf(a.io.Out, "CRIT  %s\n", ui.Wrap(b.ID.Short()+"  "+oneLine(b.Error), indent, ui.MaxColumns, indent))
	}
	return nil
}
