package cmd

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/stores"
	"github.com/etcdops/etcdops/ops"
)

// backupOptions are the settings that all backup commands share.
type backupOptions struct {
	repo       string
	identity   string
	passphrase string
	spool      string
	cluster    string
	quiet      bool
}

func (o *backupOptions) addRepo(fs *pflag.FlagSet) {
	o.addPlace(fs)
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing but errors and the report asked for with -w")
}

func (o *backupOptions) addPlace(fs *pflag.FlagSet) {
	fs.StringVar(&o.repo, "repo", "", "repository: a directory, s3://BUCKET/PREFIX, azblob://CONTAINER/PREFIX (default $ETCDOPS_BACKUP_REPO, else etcdops/backups in the state directory)")
}

func (o *backupOptions) addKeys(fs *pflag.FlagSet) {
	fs.StringVar(&o.identity, "identity", "", "file of age identities (secret keys) that open encrypted backups (default $ETCDOPS_BACKUP_IDENTITY)")
	fs.StringVar(&o.passphrase, "passphrase-file", "", "file whose first line is the passphrase of the backups (default $ETCDOPS_BACKUP_PASSPHRASE_FILE)")
}

func (o *backupOptions) addSpool(fs *pflag.FlagSet) {
	fs.StringVar(&o.spool, "spool", "", "directory where the database waits for its verification, in a file without a name (default $ETCDOPS_BACKUP_SPOOL, else etcdops/spool in the state directory)")
}

// orEnv is a flag's value, or that of its variable.
func orEnv(flag, variable string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(variable)
}

// stateDir is where etcdops keeps what outlives a run: $XDG_STATE_HOME/etcdops, ~/.local/state/etcdops by default.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "etcdops"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", &ops.HintError{
			Code: codeUsage, Class: ops.ClassUsage, Op: "find a place for files", Err: errors.New("neither XDG_STATE_HOME nor HOME is set"),
			Hint: "name the places: --repo DIR --spool DIR",
		}
	}
	return filepath.Join(home, ".local", "state", "etcdops"), nil
}

// place is where the repository lies.
func (o *backupOptions) place() (string, error) {
	if place := orEnv(o.repo, "ETCDOPS_BACKUP_REPO"); place != "" {
		return place, nil
	}
	dir, err := stateDir()
	return filepath.Join(dir, "backups"), err
}

// spoolDir makes the directory for databases on their way.
func (o *backupOptions) spoolDir() (string, error) {
	dir := orEnv(o.spool, "ETCDOPS_BACKUP_SPOOL")
	if dir == "" {
		state, err := stateDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(state, "spool")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &ops.HintError{Code: backup.CodeSpool, Op: "make directory", Member: dir, Err: errors.Unwrap(err), Hint: "name another place: --spool DIR, or XDG_STATE_HOME=DIR for it and for locks"}
	}
	return dir, nil
}

// keys reads what opens encrypted backups.
func (o *backupOptions) keys() (backup.Identities, error) {
	identity := orEnv(o.identity, "ETCDOPS_BACKUP_IDENTITY")
	phrase := orEnv(o.passphrase, "ETCDOPS_BACKUP_PASSPHRASE_FILE")
	switch {
	case identity != "":
		return backup.ReadIdentities(identity)
	case phrase != "":
		_, ids, err := backup.ReadPassphrase(phrase)
		return ids, err
	}
	return backup.Identities{}, nil
}

// lockFile is what runs of a kind that write to a repository lock, so that only one of this machine does.
func lockFile(kind, place string) (string, error) {
	dir, err := stateDir()
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(kind + " " + canonicalPlace(place)))
	return filepath.Join(dir, "locks", fmt.Sprintf("backup-%016x", sum.Sum64())), err
}

// canonicalPlace is one spelling of a place: a directory has many.
func canonicalPlace(place string) string {
	dir := place
	switch u, err := url.Parse(place); {
	case err == nil && u.Scheme == "file":
		dir = u.Path
	case strings.Contains(place, "://"):
		return strings.TrimRight(place, "/")
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	return dir
}

// lockFile is the lock of a kind of runs on the repository that the flags name.
func (o *backupOptions) lockFile(kind string) (string, error) {
	place, err := o.place()
	if err != nil {
		return "", err
	}
	return lockFile(kind, place)
}

// clusterAndRepository connects to the cluster and opens the repository, which is made where there is none; close ends both.
func (a *app) clusterAndRepository(cmd *cobra.Command, o *backupOptions) (cluster *ops.Cluster, repo *backup.Repository, closeBoth func(), err error) {
	resolved, err := a.resolve(cmd)
	if err != nil {
		return nil, nil, nil, err
	}
	if cluster, err = ops.Dial(cmd.Context(), resolved.Config); err != nil {
		return nil, nil, nil, err
	}
	repo, closeStore, err := o.openRepository(cmd.Context(), true)
	if err != nil {
		_ = cluster.Close()
		return nil, nil, nil, err
	}
	return cluster, repo, func() { closeStore(); _ = cluster.Close() }, nil
}

// openRepository opens the repository; close ends it.
func (o *backupOptions) openRepository(ctx context.Context, create bool) (repo *backup.Repository, closeStore func(), err error) {
	place, err := o.place()
	if err != nil {
		return nil, nil, err
	}
	store, closeStore, err := stores.Open(place, create)
	if err != nil {
		return nil, nil, err
	}
	if create {
		repo, err = backup.EnsureRepository(ctx, store, time.Now())
	} else {
		repo, err = backup.OpenRepository(ctx, store)
	}
	if err != nil {
		closeStore()
		return nil, nil, err
	}
	return repo, closeStore, nil
}

// withRepository makes a command that works on one open repository.
func (a *app) withRepository(o *backupOptions, run func(cmd *cobra.Command, repo *backup.Repository, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		repo, closeStore, err := o.openRepository(cmd.Context(), false)
		if err != nil {
			return err
		}
		defer closeStore()
		return run(cmd, repo, args)
	}
}

func newBackupCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Take verified backups, look into them, restore them, prune them",
		Long: `Keeps backups of a cluster in a repository: a directory, S3 or Azure. Every backup is verified before it counts as one, and
a restore goes to any revision that it holds.

Without --repo and ETCDOPS_BACKUP_REPO the repository is the directory etcdops/backups below $XDG_STATE_HOME
(~/.local/state by default), on this machine: copy it elsewhere, or name a place that survives the machine.`,
		Example: `  etcdops backup create
  etcdops backup list
  etcdops backup restore latest --single --data-dir /var/lib/etcd-restored`,
		RunE: needSubcommand,
	}
	cmd.AddCommand(
		newBackupCreateCmd(a), newBackupListCmd(a), newBackupShowCmd(a), newBackupStatusCmd(a), newBackupVerifyCmd(a),
		newBackupDrillCmd(a), newBackupRestoreCmd(a), newBackupArchiveCmd(a), newBackupScheduleCmd(a), newBackupGetCmd(a), newBackupLsCmd(a), newBackupPruneCmd(a), newBackupHoldCmd(a),
	)
	return cmd
}
