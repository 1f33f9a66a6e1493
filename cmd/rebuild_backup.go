package cmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// fetchBackups reads the databases of --backup out of the repository, each into a file of the spool directory: a plan must
// find them there when it is carried out. What is there already, with the right checksum, is not read again.
func (a *app) fetchBackups(cmd *cobra.Command, opts rebuildOptions) ([]recovery.Source, error) {
	wanted := opts.backups
	if len(wanted) == 0 && opts.repo.repo != "" {
		wanted = []string{"latest"}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	repo, closeStore, err := opts.repo.openRepository(cmd.Context(), false)
	if err != nil {
		return nil, err
	}
	defer closeStore()
	keys, err := opts.repo.keys()
	if err != nil {
		return nil, err
	}
	dir, err := opts.repo.spoolDir()
	if err == nil {
		dir, err = filepath.Abs(dir) // a run that resumes may stand in another directory
	}
	if err != nil {
		return nil, err
	}
	var out []recovery.Source
	for _, ref := range wanted {
		entry, err := a.findBackup(cmd, repo, &opts.repo, ref)
		if err != nil {
			return nil, err
		}
		source := recovery.Source{Name: "backup " + entry.ID.Short(), Path: filepath.Join(dir, "rebuild-"+string(entry.ID)+".db"), Backup: string(entry.ID)}
		if err := a.fetchBackup(cmd.Context(), repo, entry, keys, source.Path); err != nil {
			return nil, err
		}
		source.Cluster, source.Taken = entry.Manifest.ClusterID, entry.Manifest.TakenAt
		out = append(out, source)
	}
	return out, nil
}

// fetchBackup writes one backup's database to a file, which gets its name when the content is what was verified when the
// backup was made.
func (a *app) fetchBackup(ctx context.Context, repo *backup.Repository, entry backup.Entry, keys backup.Identities, path string) error {
	database, err := repo.OpenDatabase(ctx, entry, keys)
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }() // only read
	if sum, err := fileSum(path); err == nil && sum == entry.Manifest.Plain.SHA256 {
		return nil
	}
	part := path + ".partial"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.CopyBuffer(f, contextReader{ctx, database}, make([]byte, 1<<20)) // its end checks the sha256
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	switch {
	case err == nil || ops.CodeOf(err) != "":
		return err
	case ctx.Err() != nil:
		return &ops.HintError{Class: ops.ClassInterrupted, Op: "read backup", Member: entry.ID.Short(), Err: context.Cause(ctx)}
	}
	return &ops.HintError{Code: backup.CodeSpool, Op: "read backup into", Member: path, Err: errors.Join(err, os.Remove(part)), Hint: "name a directory with room: --spool DIR"}
}

// fileSum is the sha256 of a file.
func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context // of the one reading
	r   io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// forgetBackups removes what was read out of repositories for a rebuild that is done.
func forgetBackups(p *recovery.RebuildPlan) {
	for _, s := range p.Sources {
		if s.Backup != "" {
			_ = os.Remove(s.Path) // it can be read again
		}
	}
}
