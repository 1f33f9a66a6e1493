package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3/command"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/backup/snapfile"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

// newSnapshotCmd brings etcdctl's `snapshot save` and etcdutl's `snapshot status` and `snapshot restore` together again: their
// flags and output, our own code below.
func newSnapshotCmd(a *app) *cobra.Command {
	cmd := command.NewSnapshotCommand()
	cmd.AddCommand(etcdutl.NewSnapshotCommand().Commands()...)
	cmd.GroupID, cmd.RunE = "", needSubcommand
	cmd.Example = "  etcdops snapshot save backup.db\n  etcdops snapshot status backup.db -w table"
	run := map[string]func(*cobra.Command, string) error{"save": a.saveSnapshot, "status": a.snapshotStatus, "restore": a.restoreSnapshot}
	for _, sub := range cmd.Commands() {
		own := run[sub.Name()]
		sub.Run, sub.GroupID = nil, ""
		sub.Args = cobra.ExactArgs(1)
		sub.RunE = func(cmd *cobra.Command, args []string) error { return own(cmd, args[0]) }
		sub.Long, sub.Example = snapshotHelp(sub.Name()), ""
	}
	return cmd
}

func snapshotHelp(name string) string {
	switch name {
	case "save":
		return `Saves a member's database to a file, as etcdctl does, and makes sure of it: the file is compared with the hash that the member
sends, and synced with its directory before it gets its name. Where several endpoints are given, a healthy follower is taken.

etcdops backup create does more: it reads what it saved, encrypts it, keeps several, and prunes them.`
	case "status":
		return `Prints hash, revision, keys, size and version of a snapshot, as etcdutl does, after reading all of it and checking its structure.
It takes bounded memory, and a damaged file ends in an error. Formats (-w): simple (default), table, json, fields, protobuf.`
	}
	return `Writes a member's data directory from a snapshot, with etcdutl's flags. The directory appears when it is complete, and never over
something. A file without a hash (a copied database, --skip-hash-check) is read whole and checked instead.

etcdops backup restore does more: any revision, all members, encrypted backups.`
}

// saveSnapshot is `snapshot save`.
func (a *app) saveSnapshot(cmd *cobra.Command, path string) error {
	resolved, err := a.resolve(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if origin(resolved, "command-timeout") != config.OriginDefault { // by default a snapshot takes what it takes
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, resolved.Config.CommandTimeout)
		defer cancel()
	}
	cluster, err := ops.Dial(ctx, resolved.Config)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }()
	endpoint := cluster.Config().Endpoints[0]
	if len(cluster.Config().Endpoints) > 1 {
		if endpoint, err = backup.PickEndpoint(ctx, cluster, ""); err != nil {
			return err
		}
	}
	progress := a.progress(ctx, cmd.CommandPath(), !a.io.ErrTTY)
	defer progress.end()
	info, err := snapfile.Save(ctx, cluster, endpoint, path, ops.SnapshotOptions{
		Progress: func(received, total int64) {
			progress.show(backup.Progress{Stage: "snapshot", Done: received, Total: total})
		},
	})
	progress.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.io.Out, "Snapshot saved at %s\n", path)
	if info.Format != "" {
		fmt.Fprintf(a.io.Out, "Server version %s\n", info.Format)
	}
	return nil
}

// snapshotStatus is `snapshot status`, printed by etcdutl's own printers.
func (a *app) snapshotStatus(cmd *cobra.Command, path string) error {
	format, err := a.upstreamFormat(cmd)
	if err != nil {
		return err
	}
	s, err := snapfile.Status(cmd.Context(), path)
	if err != nil {
		return err
	}
	etcdutl.NewPrinter(format).DBStatus(snapshot.Status{
		Hash: s.Hash, Revision: s.Revision, TotalKey: int(s.Keys), TotalSize: s.Size, Version: s.StorageVersion,
	})
	return nil
}

// restoreSnapshot is `snapshot restore`.
func (a *app) restoreSnapshot(cmd *cobra.Command, path string) error {
	var errs []error
	text := func(name string) string {
		value, err := cmd.Flags().GetString(name)
		errs = append(errs, err)
		return value
	}
	skip, err := cmd.Flags().GetBool("skip-hash-check")
	errs = append(errs, err)
	compacted, err := cmd.Flags().GetBool("mark-compacted")
	errs = append(errs, err)
	bump, err := cmd.Flags().GetUint64("bump-revision")
	errs = append(errs, err)
	t := memberdir.Options{
		Dir: text("data-dir"), WALDir: text("wal-dir"), Name: text("name"), Token: text("initial-cluster-token"),
		InitialCluster: text("initial-cluster"), PeerURLs: strings.Split(text("initial-advertise-peer-urls"), ","), Bump: bump,
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if compacted != (bump > 0) {
		return usageError(cmd, errors.New("--bump-revision and --mark-compacted go together"))
	}
	if t.Dir == "" {
		t.Dir = t.Name + ".etcd"
	}
	member, err := snapfile.Restore(cmd.Context(), path, snapfile.RestoreOptions{Target: t, SkipHash: skip})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.io.Err, "restored %s into %s: member %x of cluster %x\n", oneLine(path), oneLine(t.Dir), member.ID, member.ClusterID)
	return nil
}
