package backup

import (
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// SeveralClustersError says that backups of several clusters lie in a repository, as after a cluster was rebuilt, and that nothing
// says whose is meant. None of them is taken for a guess: the newest may be that of a cluster which was only tried out.
type SeveralClustersError struct {
	Clusters []Overview // the one with the newest backup first; those of which nothing could be read are left out
}

// Error implements error.
func (e *SeveralClustersError) Error() string {
	var each []string
	for _, c := range e.Clusters {
		text := c.Cluster + " (no good backup)"
		if c.Newest != nil {
			text = fmt.Sprintf("%s (newest good backup %s of %s)", c.Cluster, c.Newest.ID.Short(), c.Newest.TakenAt.UTC().Format(time.RFC3339))
		}
		each = append(each, text)
	}
	return fmt.Sprintf("backups of %d clusters lie here, and nothing says whose is meant: %s", len(e.Clusters), strings.Join(each, ", "))
}

// Has says whether there are backups of a cluster.
func (e *SeveralClustersError) Has(cluster ops.ClusterID) bool {
	for _, c := range e.Clusters {
		if c.Cluster == cluster.String() {
			return true
		}
	}
	return false
}

// OneCluster makes sure that the backups in a list, those that can be read, are of one cluster. The error is a
// *SeveralClustersError, with CodeWhichCluster.
func (r *Repository) OneCluster(list []Entry) error {
	several := &SeveralClustersError{}
	for _, o := range overviews(list) {
		if o.Cluster != unknownCluster {
			several.Clusters = append(several.Clusters, o)
		}
	}
	if len(several.Clusters) < 2 {
		return nil
	}
	return &ops.HintError{
		Code: CodeWhichCluster, Class: ops.ClassUsage, Op: "find backup in", Member: r.store.String(), Err: several,
		Hint: "name a backup by its ID: etcdops backup list",
	}
}
