package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// createOptions are the settings of one backup.
type createOptions struct {
	backupOptions
	member     string
	recipients string
	rate       string
	minRate    string
	liveHash   string
	wait       time.Duration
}

func newBackupCreateCmd(a *app) *cobra.Command {
	var o createOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Take a backup, verify it, and keep it in the repository",
		Long: `Reads the database of a member (a healthy follower unless --member says otherwise), compares it with the hash that the member
sends, reads all of it, compresses it (zstd), encrypts it (age, with --recipients-file or --passphrase-file), uploads it
and writes its manifest. Only then is there a backup: whatever goes wrong before leaves the repository as it was.

From cron: --quiet prints nothing when all is well, and one run at a time is made sure of on each machine.

Exit codes: 0 the backup is there and verified; 1 it failed; 2 usage; 3 the snapshot is not what its member serves; 4 refused
(another one is under way, or the repository is not ours); 5 no member to take it from; 130 interrupted.`,
		Example: `  etcdops backup create
  etcdops backup create --repo s3://etcd-backups/prod --recipients-file /etc/etcdops/backup.pub
  0 */6 * * * root etcdops backup create --quiet --repo /mnt/backups/etcd`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runBackupCreate(cmd, &o) },
	}
	o.addCreate(cmd.Flags())
	return cmd
}

func (o *createOptions) addCreate(fs *pflag.FlagSet) {
	o.addRepo(fs)
	o.addSpool(fs)
	fs.StringVar(&o.member, "member", "", "member to take it from: name, ID or URL")
	fs.StringVar(&o.recipients, "recipients-file", "", "file of age recipients (public keys) to encrypt for (default $ETCDOPS_BACKUP_RECIPIENTS_FILE)")
	fs.StringVar(&o.passphrase, "passphrase-file", "", "file whose first line is a passphrase to encrypt with (default $ETCDOPS_BACKUP_PASSPHRASE_FILE)")
	fs.StringVar(&o.rate, "rate", "0", "read at most so many bytes a second, as in 50MB; 0 for as fast as it comes")
	fs.StringVar(&o.minRate, "min-rate", "64KiB", "give up below so many bytes a second, over 30 s")
	fs.StringVar(&o.liveHash, "live-hash", "auto", "compare with the member's own hash, for which its writes wait: auto (followers, up to 256 MiB), always, never")
	fs.DurationVar(&o.wait, "wait", 0, "wait so long for another run of this machine to end")
}

// library reads the flags.
func (o *createOptions) library(cmd *cobra.Command) (backup.CreateOptions, error) {
	out := backup.CreateOptions{Member: o.member, Program: version}
	var err error
	if out.Rate, err = parseBytes(o.rate); err != nil {
		return out, usageError(cmd, fmt.Errorf("--rate: %w", err))
	}
	if out.MinRate, err = parseBytes(o.minRate); err != nil {
		return out, usageError(cmd, fmt.Errorf("--min-rate: %w", err))
	}
	switch o.liveHash {
	case "auto":
	case "always", "never":
		out.LiveHash = backup.LiveHash(o.liveHash)
	default:
		return out, usageError(cmd, fmt.Errorf("--live-hash is auto, always or never, not %q", o.liveHash))
	}
	if out.Encryption, err = o.encryption(); errors.Is(err, errTwoKeys) {
		return out, usageError(cmd, err)
	}
	if err == nil {
		out.SpoolDir, err = o.spoolDir()
	}
	return out, err
}

var errTwoKeys = errors.New("recipients and a passphrase exclude each other")

// encryption reads the files that say whom a backup is encrypted for.
func (o *createOptions) encryption() (e backup.Encryption, err error) {
	recipients := orEnv(o.recipients, "ETCDOPS_BACKUP_RECIPIENTS_FILE")
	phrase := orEnv(o.passphrase, "ETCDOPS_BACKUP_PASSPHRASE_FILE")
	switch {
	case recipients != "" && phrase != "":
		return e, errTwoKeys
	case recipients != "":
		return backup.ReadRecipients(recipients)
	case phrase != "":
		e, _, err = backup.ReadPassphrase(phrase)
	}
	return e, err
}

// backupJSON is schema etcdops.backup/v1.
type backupJSON struct {
	Schema string `json:"schema"`
	backupView
}

func (a *app) runBackupCreate(cmd *cobra.Command, o *createOptions) error {
	ctx := cmd.Context()
	if err := a.documentFormat(cmd); err != nil {
		return err
	}
	opts, err := o.library(cmd)
	if err != nil {
		return err
	}
	lock, err := o.lockFile("backup")
	if err != nil {
		return err
	}
	progress := a.progress(ctx, cmd.CommandPath(), o.quiet)
	defer progress.end()
	unlock, err := backup.Lock(ctx, lock, o.wait)
	if err != nil {
		return err
	}
	defer unlock()
	cluster, repo, closeBoth, err := a.clusterAndRepository(cmd, &o.backupOptions)
	if err != nil {
		return err
	}
	defer closeBoth()
	if err := repo.SweepDebris(ctx, time.Now().Add(-backup.DebrisAge)); err != nil {
		fmt.Fprintln(a.io.Err, "warning: what earlier runs left behind could not be swept:", ui.Safe(err.Error()))
	}
	opts.Progress = progress.show
	m, err := repo.Create(ctx, cluster, opts)
	progress.end()
	if err != nil {
		return err
	}
	entry := backup.Entry{Manifest: m, ID: m.ID, Dir: m.Dir(), Bytes: m.Stored.Size}
	return a.print(cmd, backupJSON{"etcdops.backup/v1", viewOf(entry)}, func() error {
		if !o.quiet {
			a.tellCreated(m, repo.Store().String())
		}
		return nil
	})
}

// documentFormat refuses formats that the command cannot print, before anything is done.
func (a *app) documentFormat(cmd *cobra.Command) error {
	switch a.out {
	case "", "table", "wide", "simple", "json", "yaml":
		return nil
	}
	return badFormat(cmd, a.out, "table", "json", "yaml")
}

// tellCreated reports a backup to people.
func (a *app) tellCreated(m *backup.Manifest, place string) {
	encrypted := "not encrypted"
	if m.Encryption != "" {
		encrypted = "encrypted"
	}
	fmt.Fprintf(a.io.Out, "saved     %s  revision %d  %s -> %s in %v\n",
		m.ID.Short(), m.Revision, health.Bytes(m.Plain.Size), health.Bytes(m.Stored.Size), (time.Duration(m.TookMS) * time.Millisecond).Round(100*time.Millisecond))
	fmt.Fprintf(a.io.Out, "from      %s (%s, %s) of cluster %s\n", oneLine(m.Member.Label()), m.Member.Role, oneLine(m.Member.Version), m.ClusterID)
	fmt.Fprintf(a.io.Out, "verified  %d keys, %d entries, hash %08x (member's own: %s)\n", m.Keys, m.Entries, m.Hash.Value, oneLine(m.Hash.Live))
	fmt.Fprintf(a.io.Out, "restores  any revision from %d to %d\n", max(m.CompactRevision, 1), m.Revision)
	fmt.Fprintf(a.io.Out, "where     %s (%s)\n", ui.Safe(place), encrypted)
}
