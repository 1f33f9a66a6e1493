package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// clusterFlag is the flag that names the cluster whose backups are meant.
const clusterFlag = "cluster"

func (o *backupOptions) addCluster(fs *pflag.FlagSet) {
	fs.StringVar(&o.cluster, clusterFlag, "", "ID of the cluster whose backups are meant, where those of several lie in the repository (default $ETCDOPS_BACKUP_CLUSTER, else the cluster that the endpoints lead to)")
}

// clusterID is the cluster that was named; 0 for none.
func (o *backupOptions) clusterID(cmd *cobra.Command) (id ops.ClusterID, err error) {
	text := o.cluster
	if cmd.Flags().Lookup(clusterFlag) != nil {
		text = orEnv(text, "ETCDOPS_BACKUP_CLUSTER")
	}
	if text == "" {
		return 0, nil
	}
	if err = id.UnmarshalText([]byte(text)); err == nil && id == 0 {
		err = errors.New("0 is the ID of no cluster")
	}
	if err != nil {
		return 0, usageError(cmd, fmt.Errorf("--%s: %w", clusterFlag, err))
	}
	return id, nil
}

// findBackup returns the backup that a person means.
func (a *app) findBackup(cmd *cobra.Command, repo *backup.Repository, o *backupOptions, ref string) (e backup.Entry, err error) {
	err = a.ofCluster(cmd, o, func(cluster ops.ClusterID) error {
		e, err = repo.FindOf(cmd.Context(), ref, cluster)
		return err
	})
	return e, err
}

// ofCluster has something found among the backups of the cluster that is meant: the one that was named; else the only one there is;
// else the one that the endpoints lead to, which is told. Without an answer of that one nothing is guessed.
func (a *app) ofCluster(cmd *cobra.Command, o *backupOptions, find func(ops.ClusterID) error) error {
	named, err := o.clusterID(cmd)
	if err != nil {
		return err
	}
	err = find(named)
	several, ok := errors.AsType[*backup.SeveralClustersError](err)
	if !ok {
		return err
	}
	live, endpoint, why := a.liveCluster(cmd)
	if why == nil && several.Has(live) {
		if !o.quiet {
			text := fmt.Sprintf("backups of %d clusters lie here: those of %s are meant, which answers at %s", len(several.Clusters), live, ui.Safe(endpoint))
			fmt.Fprintln(a.io.Err, ui.Wrap(text, 2, ui.MaxColumns, 0))
		}
		return find(live)
	}
	if why == nil {
		why = fmt.Errorf("the cluster that answers at %s, %s, has no backup here", endpoint, live)
	}
	return whichCluster(cmd, err, several, why)
}

// whichCluster is the refusal to guess, with what to type.
func whichCluster(cmd *cobra.Command, refused error, several *backup.SeveralClustersError, why error) error {
	hint, ok := errors.AsType[*ops.HintError](refused)
	if !ok {
		return refused
	}
	var choices []string
	for _, c := range several.Clusters {
		switch {
		case cmd.Flags().Lookup(clusterFlag) != nil:
			choices = append(choices, fmt.Sprintf("%s --%s %s", cmd.CommandPath(), clusterFlag, c.Cluster))
		case c.Newest != nil:
			choices = append(choices, fmt.Sprintf("%s instead of latest for cluster %s", c.Newest.ID.Short(), c.Cluster))
		}
	}
	told := *hint
	told.Err = fmt.Errorf("%w; the endpoints do not tell: %w", several, why)
	told.Hint = strings.Join(choices, ", or ")
	return &told
}

var errTwoClusters = errors.New("the endpoints lead to different clusters")

// liveCluster asks which cluster the endpoints lead to. It reads only, and needs no quorum. All that answer must say the same.
func (a *app) liveCluster(cmd *cobra.Command) (id ops.ClusterID, endpoint string, err error) {
	resolved, err := a.resolve(cmd)
	if err != nil {
		return 0, "", err
	}
	cluster, err := ops.Open(resolved.Config)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = cluster.Close() }()
	return agreedCluster(cluster.Statuses(cmd.Context()))
}

// agreedCluster is the cluster that all members which answer are of.
func agreedCluster(replies []ops.StatusReply) (id ops.ClusterID, endpoint string, err error) {
	err = errors.New("no endpoint is known")
	for _, r := range replies {
		switch {
		case r.Err != nil:
			if id == 0 {
				err = r.Err
			}
		case id != 0 && r.Status.ClusterID != id:
			return 0, "", errTwoClusters
		case id == 0:
			id, endpoint, err = r.Status.ClusterID, r.Endpoint, nil
		}
	}
	return id, endpoint, err
}
