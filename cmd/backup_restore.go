package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/client/pkg/v3/types"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/backup/rewind"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// defaultBump is by how much revisions are raised: more than a cluster writes in years, far below what fits.
const defaultBump = 1_000_000_000

// restoreOptions are the settings of a restore.
type restoreOptions struct {
	backupOptions
	dataDir, walDir string
	name            string
	initialCluster  string
	peerURLs        []string
	token           string
	single, all     bool
	toRevision      int64
	toTime          string
	timeline        string
	leases          string
	leaseTTL        time.Duration
	bump            uint64
	owner           string
	dryRun          bool
}

func (o *restoreOptions) addFlags(fs *pflag.FlagSet) {
	o.addRepo(fs)
	o.addCluster(fs)
	o.addKeys(fs)
	fs.StringVar(&o.dataDir, "data-dir", "", "data directory to write; it must not exist, or be empty (with --all: a directory NAME below it for each member)")
	fs.StringVar(&o.walDir, "wal-dir", "", "directory of the write-ahead log, if it is not to lie in the data directory")
	fs.BoolVar(&o.single, "single", false, "a new cluster of this one member")
	fs.StringVar(&o.initialCluster, "initial-cluster", "", "all members of the new cluster: m1=https://10.0.0.1:2380,m2=...")
	fs.BoolVar(&o.all, "all", false, "write the directories of all members of --initial-cluster")
	fs.StringVar(&o.name, "name", "default", "name of the member, as in its --name")
	fs.StringSliceVar(&o.peerURLs, "initial-advertise-peer-urls", nil, "peer URLs of the member (default those in --initial-cluster; with --single http://localhost:2380)")
	fs.StringVar(&o.token, "initial-cluster-token", "", "makes the new cluster's ID; the same for all members (default made of the backup's ID and the revision)")
	fs.Int64Var(&o.toRevision, "to-revision", 0, "restore this revision: of the backup's own history, or of what etcdops backup archive kept after it (default the newest of the backup)")
	fs.StringVar(&o.toTime, "to-time", "", "restore the state of this time (RFC 3339, as in 2026-11-22T14:03:00Z), by the clock of the archiver")
	fs.StringVar(&o.timeline, "timeline", "", "which archived history is meant, where there are several (default the newest that has it)")
	fs.StringVar(&o.leases, "leases", "regrant", "what becomes of leases that ended after --to-revision: regrant, strip (off their keys), or fail")
	fs.DurationVar(&o.leaseTTL, "lease-ttl", time.Hour, "time to live of leases that are made again and that nothing tells of")
	fs.Uint64Var(&o.bump, "bump-revision", defaultBump, "raise the revision by so much and mark history as compacted, so that watchers and caches of before start anew; 0 for not")
	fs.StringVar(&o.owner, "owner", "", "USER or USER:GROUP that owns the files (default, for root: the owner of an empty --data-dir, else of its parent)")
	fs.BoolVar(&o.dryRun, "dry-run", false, "show what would be written, and write nothing")
}

func newBackupRestoreCmd(a *app) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore [ID]",
		Short: "Write the data directory of a new cluster from a backup, at any revision that it holds",
		Long: `Writes the data directory that a member of a new cluster starts with: for one member (--single, or --name in --initial-cluster),
or for all of them (--all). ID is the beginning of a backup's ID, or latest (the default): the newest good one.

Nothing is written over: a directory that is not empty is refused, and a new one appears under its name when it is
complete. Run it on every member's machine with the same --initial-cluster and the same backup: the cluster's ID is then
the same. It differs from that of before, so that members which still run cannot join by mistake.

The revision is raised (--bump-revision), because API servers, controllers and watchers remember revisions of before: at a
lower one they would wait for revisions that never come, or take old state for new. Raised and compacted, they read anew.

With --to-revision or --to-time and without ID the best way there is chosen: the newest backup before it and the archived
changes from there on (etcdops backup archive), else an older one, else back within a later one. What does not read is told,
and the next way is taken.

Users and roles are as in the backup, whatever --to-revision and --to-time say.

Exit codes: 0 written; 1 failed; 2 usage; 4 refused: something is in the way, the key does not fit, or the backup does not
reach the revision (nothing was written); 130 interrupted.`,
		Example: `  etcdops backup restore latest --single --data-dir /var/lib/etcd-restored
  etcdops backup restore 9f3a --to-revision 8123001 --name cp-1 --data-dir /var/lib/etcd \
    --initial-cluster cp-1=https://10.0.0.1:2380,cp-2=https://10.0.0.2:2380,cp-3=https://10.0.0.3:2380`,
		Args: cobra.MaximumNArgs(1),
	}
	o.addFlags(cmd.Flags())
	cmd.RunE = a.withRepository(&o.backupOptions, func(cmd *cobra.Command, repo *backup.Repository, args []string) error {
		return a.runBackupRestore(cmd, repo, &o, optional(args))
	})
	return cmd
}

// restoreJSON is schema etcdops.restore/v1.
type restoreJSON struct {
	Schema    string           `json:"schema"`
	DryRun    bool             `json:"dry_run"`
	Backup    backup.ID        `json:"backup"`
	Revision  int64            `json:"revision"`   // of the data
	RaisedTo  int64            `json:"raised_to"`  // revision that the cluster begins with
	Token     string           `json:"token"`      // --initial-cluster-token
	ClusterID string           `json:"cluster_id"` // of the new cluster; empty for a dry run
	HashKV    string           `json:"hash_kv"`    // of the data at Revision; empty for a dry run
	Keys      int64            `json:"keys"`
	Leases    []string         `json:"leases"` // that were missing
	Members   []restoredMember `json:"members"`
}

type restoredMember struct {
	Name    string `json:"name"`
	DataDir string `json:"data_dir"`
	ID      string `json:"id"`
}

func (a *app) runBackupRestore(cmd *cobra.Command, repo *backup.Repository, o *restoreOptions, ref string) error {
	if err := a.documentFormat(cmd); err != nil {
		return err
	}
	policy, err := rewind.ParsePolicy(o.leases)
	if err != nil {
		return usageError(cmd, err)
	}
	if err := o.check(); err != nil {
		return usageError(cmd, err)
	}
	progress := a.progress(cmd.Context(), cmd.CommandPath(), o.quiet)
	defer progress.end()
	if o.toTime != "" || o.toRevision != 0 {
		return a.runPointRestore(cmd, repo, o, ref, policy, progress)
	}
	entry, err := a.findBackup(cmd, repo, &o.backupOptions, ref)
	if err != nil {
		return err
	}
	if entry.Manifest == nil {
		return fmt.Errorf("backup %s cannot be read: %s", entry.ID.Short(), entry.Problem)
	}
	revision := entry.Manifest.Revision // runPointRestore does others
	if o.token == "" {
		o.token = fmt.Sprintf("etcdops-%s-%d", entry.ID, revision)
	}
	targets, err := o.targets()
	if err != nil {
		return err
	}
	doc := o.document(entry, revision, targets)
	lib := backup.RestoreOptions{Targets: targets, Leases: policy, LeaseTTL: int64(o.leaseTTL.Seconds())}
	if lib.Keys, err = o.keys(); err != nil {
		return err
	}
	if o.dryRun {
		if err := repo.CheckRestore(cmd.Context(), entry, lib); err != nil {
			return err
		}
		return a.print(cmd, doc, func() error { return a.tellRestore(doc, entry, o) })
	}
	progress.about(entry.ID)
	lib.Progress = progress.show
	got, err := repo.Restore(cmd.Context(), entry, lib)
	progress.end()
	if err != nil {
		return err
	}
	doc.take(got)
	return a.print(cmd, doc, func() error {
		if o.quiet {
			return nil
		}
		return a.tellRestore(doc, entry, o)
	})
}

// document says what is going to be written.
func (o *restoreOptions) document(entry backup.Entry, revision int64, targets []memberdir.Options) restoreJSON {
	doc := restoreJSON{
		Schema: "etcdops.restore/v1", DryRun: o.dryRun, Backup: entry.ID, Revision: revision, RaisedTo: revision + int64(o.bump),
		Token: o.token, Leases: []string{}, Keys: entry.Manifest.Keys,
	}
	for _, t := range targets {
		doc.Members = append(doc.Members, restoredMember{Name: t.Name, DataDir: t.Dir})
	}
	return doc
}

// take notes what was written.
func (doc *restoreJSON) take(got backup.Restored) {
	doc.HashKV, doc.Keys = fmt.Sprintf("%08x", got.HashKV), got.Keys
	for _, id := range got.Leases {
		doc.Leases = append(doc.Leases, strconv.FormatInt(id, 16))
	}
	for i, m := range got.Members {
		doc.Members[i].ID = types.ID(m.ID).String()
		doc.ClusterID = types.ID(m.ClusterID).String()
	}
}

// check refuses flags that contradict each other.
func (o *restoreOptions) check() error {
	switch {
	case o.dataDir == "":
		return errors.New("--data-dir is needed: where to write to")
	case o.single == (o.initialCluster != ""):
		return errors.New("either --single (a cluster of one member) or --initial-cluster (all its members) is needed")
	case o.all && o.single, o.all && o.walDir != "":
		return errors.New("--all goes with --initial-cluster only, and not with --wal-dir")
	case o.bump > 1<<62:
		return errors.New("--bump-revision is too large")
	case o.toTime != "" && o.toRevision != 0:
		return errors.New("--to-time and --to-revision exclude each other")
	case o.toRevision < 0:
		return errors.New("--to-revision is a revision above 0")
	}
	return nil
}

// targets are the directories to write.
func (o *restoreOptions) targets() ([]memberdir.Options, error) {
	if o.single {
		if len(o.peerURLs) == 0 {
			o.peerURLs = []string{"http://localhost:2380"}
		}
		o.initialCluster = o.name + "=" + strings.Join(o.peerURLs, ","+o.name+"=")
	}
	members, err := types.NewURLsMap(o.initialCluster)
	if err != nil {
		return nil, fmt.Errorf("--initial-cluster: %w", err)
	}
	names := []string{o.name}
	if o.all {
		names = names[:0]
		for name := range members {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	var out []memberdir.Options
	for _, name := range names {
		t := memberdir.Options{
			Dir: o.dataDir, WALDir: o.walDir, Name: name, PeerURLs: o.peerURLs, InitialCluster: o.initialCluster, Token: o.token, Bump: o.bump,
		}
		if o.all {
			if filepath.Base(name) != name || name == "." || name == ".." {
				return nil, fmt.Errorf("--all: the name %q is no name of a directory", name)
			}
			t.Dir = filepath.Join(o.dataDir, name)
		}
		if len(t.PeerURLs) == 0 || o.all {
			t.PeerURLs = members[name].StringSlice()
		}
		if t.Owner, err = fileOwner(o.owner, t.Dir); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// fileOwner finds who is to own a directory; nil for who runs this.
func fileOwner(text, dir string) (*memberdir.Owner, error) {
	if text == "" {
		if os.Geteuid() != 0 {
			return nil, nil //nolint:nilnil // nobody else can be made the owner
		}
		for path := filepath.Clean(dir); ; path = filepath.Dir(path) {
			if info, err := os.Stat(path); err == nil {
				return memberdir.OwnerOf(info), nil
			}
			if path == filepath.Dir(path) {
				return nil, nil //nolint:nilnil // nothing to go by
			}
		}
	}
	name, group, hasGroup := strings.Cut(text, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("--owner: there is no user %q", name)
		}
	}
	gid := u.Gid
	if hasGroup {
		g, err := user.LookupGroup(group)
		if err != nil {
			return nil, fmt.Errorf("--owner: there is no group %q", group)
		}
		gid = g.Gid
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	number, gidErr := strconv.Atoi(gid)
	return &memberdir.Owner{UID: uid, GID: number}, errors.Join(uidErr, gidErr)
}

// tellRestore says what was written, or would be.
func (a *app) tellRestore(doc restoreJSON, e backup.Entry, o *restoreOptions) error {
	verb := "restored"
	if doc.DryRun {
		verb = "would restore"
	}
	fmt.Fprintf(a.io.Out, "%s revision %d of backup %s (taken %s, %s)\n", verb, doc.Revision, doc.Backup.Short(), ago(e.Manifest.TakenAt), health.Bytes(e.Manifest.Plain.Size))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(a.io.Out, "  %-10s%s\n", name, ui.Wrap(oneLine(fmt.Sprintf(format, args...)), 12, ui.MaxColumns, 12))
	}
	for _, m := range doc.Members {
		line("member", "%s in %s", m.Name, m.DataDir)
	}
	line("cluster", "%s, token %s", orDash(doc.ClusterID), doc.Token)
	if !doc.DryRun {
		line("data", "%d keys, hash %s at revision %d", doc.Keys, doc.HashKV, doc.Revision)
	}
	if o.bump > 0 {
		line("raised", "the cluster begins at revision %d, so that watchers and caches of before start anew", doc.RaisedTo)
	}
	if o.toRevision != 0 && o.toRevision != e.Manifest.Revision {
		line("users", "users and roles are those of revision %d (the backup's), not of %d", e.Manifest.Revision, o.toRevision)
	}
	if len(doc.Leases) > 0 {
		line("leases", "%d leases had ended since then (--leases %s): %s", len(doc.Leases), o.leases, strings.Join(doc.Leases, " "))
	}
	if !doc.DryRun {
		line("next", "start each member with --initial-cluster %s --initial-cluster-token %s --initial-cluster-state existing", o.initialCluster, doc.Token)
	}
	return nil
}
