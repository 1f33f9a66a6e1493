package cmd

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// backupStatusJSON is schema etcdops.backup_status/v1.
type backupStatusJSON struct {
	Schema      string            `json:"schema"`
	Where       string            `json:"where"`
	Met         bool              `json:"met"` // every objective, for every cluster
	ObjectiveMS int64             `json:"objective_ms"`
	DrillMS     int64             `json:"drill_objective_ms"`
	Clusters    []backup.Overview `json:"clusters"`
	Problems    []string          `json:"problems"`
	Windows     []windowJSON      `json:"windows"` // of revisions that can be restored, newest first
}

// windowJSON is a run of revisions that can all be restored.
type windowJSON struct {
	ClusterID string     `json:"cluster_id"`
	From      int64      `json:"from"`
	To        int64      `json:"to"`
	Timeline  string     `json:"timeline"` // archived changes that reach its end; empty for backups alone
	KnownTo   *time.Time `json:"known_to"` // up to when the archive tells; null without archive
}

// restoreWindows lists what can be restored of each cluster.
func restoreWindows(ctx context.Context, repo *backup.Repository, clusters []backup.Overview) ([]windowJSON, error) {
	out := []windowJSON{}
	for _, c := range clusters {
		id, err := strconv.ParseUint(c.Cluster, 16, 64)
		if err != nil {
			continue // nothing of it could be read
		}
		facts, err := pitr.Read(ctx, repo, ops.ClusterID(id))
		if err != nil {
			return nil, err
		}
		for _, w := range pitr.Windows(facts) {
			row := windowJSON{ClusterID: c.Cluster, From: w.From, To: w.To, Timeline: w.Timeline}
			for _, t := range facts.Timelines {
				if until := pitr.KnownUntil(&t); t.Name == w.Timeline && !until.IsZero() {
					row.KnownTo = &until
				}
			}
			out = append(out, row)
		}
	}
	return out, nil
}

func newBackupStatusCmd(a *app) *cobra.Command {
	var o backupOptions
	var objective, drill time.Duration
	var textfile string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How old is the newest verified backup, and is that what was promised",
		Long: `Tells for each cluster in the repository how old its newest verified backup is and when one was last restored for a test, and
judges both where objectives are given. Meant for monitoring.

Exit codes: 0 objectives met and nothing damaged; 1 the repository cannot be read; 2 usage; 3 an objective is not met, or a
backup is damaged, or there is none; 130 interrupted.`,
		Example: "  etcdops backup status --objective 7h --drill-objective 720h",
		Args:    cobra.NoArgs,
	}
	o.addRepo(cmd.Flags())
	cmd.Flags().StringVar(&o.cluster, clusterFlag, "", "ID of the only cluster to judge (default $ETCDOPS_BACKUP_CLUSTER, else all in the repository)")
	cmd.Flags().DurationVar(&objective, "objective", 0, "how old the newest verified backup may be (recovery point objective)")
	cmd.Flags().DurationVar(&drill, "drill-objective", 0, "how long ago the last drill may be")
	cmd.Flags().StringVar(&textfile, "metrics-file", "", "file for node_exporter's textfile collector to write what was found to (NAME.prom)")
	cmd.RunE = a.withRepository(&o, func(cmd *cobra.Command, repo *backup.Repository, _ []string) error {
		only, err := o.clusterID(cmd)
		if err != nil {
			return err
		}
		clusters, err := repo.Overviews(cmd.Context())
		if err != nil {
			return err
		}
		if only != 0 {
			clusters = overviewOf(clusters, only)
		}
		doc := backupStatusJSON{
			Schema: "etcdops.backup_status/v1", Where: repo.Store().String(), Clusters: clusters,
			ObjectiveMS: objective.Milliseconds(), DrillMS: drill.Milliseconds(), Problems: backupProblems(clusters, objective, drill),
		}
		doc.Met = len(doc.Problems) == 0
		if doc.Windows, err = restoreWindows(cmd.Context(), repo, clusters); err != nil {
			return err
		}
		if textfile != "" {
			if err := writeWhole(textfile, statusMetrics(clusters, time.Now()), 0o644); err != nil {
				return &ops.HintError{Op: "write metrics", Member: textfile, Err: err, Hint: "name a file in a directory that you may write to"}
			}
		}
		if err := a.print(cmd, doc, func() error { return a.tellBackupStatus(doc, o.quiet) }); err != nil {
			return err
		}
		if !doc.Met {
			return exitSilentError{ops.ClassCritical}
		}
		return nil
	})
	return cmd
}

// overviewOf leaves one cluster, with no backup if it has none.
func overviewOf(clusters []backup.Overview, id ops.ClusterID) []backup.Overview {
	for _, c := range clusters {
		if c.Cluster == id.String() {
			return []backup.Overview{c}
		}
	}
	return []backup.Overview{{Cluster: id.String()}}
}

// backupProblems says what is not as it was promised.
func backupProblems(clusters []backup.Overview, objective, drill time.Duration) []string {
	problems := []string{}
	add := func(cluster, format string, args ...any) {
		problems = append(problems, "cluster "+cluster+": "+fmt.Sprintf(format, args...))
	}
	if len(clusters) == 0 {
		problems = append(problems, "there is no backup at all")
	}
	for _, c := range clusters {
		if c.Damaged > 0 {
			add(c.Cluster, "%d of %d backups are damaged (etcdops backup list)", c.Damaged, c.Backups)
		}
		switch {
		case c.Newest == nil:
			add(c.Cluster, "no backup is verified")
		case objective > 0 && time.Since(c.Newest.TakenAt) > objective:
			add(c.Cluster, "the newest verified backup is %s old, the objective is %v", age(c.Newest.TakenAt), objective)
		case time.Until(c.Newest.TakenAt) > 5*time.Minute:
			add(c.Cluster, "the newest backup lies in the future: a clock is wrong")
		}
		switch {
		case drill > 0 && c.LastDrill == nil:
			add(c.Cluster, "no backup was ever drilled (etcdops backup drill)")
		case drill > 0 && time.Since(*c.LastDrill) > drill:
			add(c.Cluster, "the last drill was %s ago, the objective is %v", age(*c.LastDrill), drill)
		}
	}
	return problems
}

// statusMetrics are what is known of the backups, in Prometheus' text format. A time of 0 means never.
func statusMetrics(clusters []backup.Overview, now time.Time) []byte {
	var page promPage
	page.add("etcdops_backup_status_timestamp_seconds", "When the repository was looked at.", float64(now.Unix()))
	for _, c := range clusters {
		at := []string{"cluster", c.Cluster}
		newest, drill := 0.0, 0.0
		if c.Newest != nil {
			newest = float64(c.Newest.TakenAt.Unix())
		}
		if c.LastDrill != nil {
			drill = float64(c.LastDrill.Unix())
		}
		page.add(metricVerified, "When the newest verified backup was taken; 0 for never.", newest, at...)
		page.add(metricDrill, "When a backup was last restored and started for a test; 0 for never.", drill, at...)
		page.add("etcdops_backup_drill_duration_seconds", "How long that took: what a recovery takes.", float64(c.DrillMS)/1000, at...)
		page.add("etcdops_backup_backups", "Backups in the repository.", float64(c.Backups), at...)
		page.add("etcdops_backup_damaged", "Backups that are damaged or cannot be read.", float64(c.Damaged), at...)
		page.add("etcdops_backup_bytes", "Bytes that the backups take.", float64(c.Bytes), at...)
	}
	return page.text()
}

// age is how long ago something was, to the second.
func age(t time.Time) string { return time.Since(t).Round(time.Second).String() }

func (a *app) tellBackupStatus(doc backupStatusJSON, quiet bool) error {
	if quiet && doc.Met {
		return nil
	}
	verdict := a.io.Paint(ui.ColorGreen, "OK") + "  " + ui.Safe(doc.Where)
	if !doc.Met {
		verdict = a.io.Paint(ui.ColorRed, "CRITICAL") + "  " + ui.Safe(doc.Where)
	}
	fmt.Fprintln(a.io.Out, verdict)
	for _, p := range doc.Problems {
		fmt.Fprintln(a.io.Out, "CRIT  "+ui.Wrap(oneLine(p), indent, ui.MaxColumns, indent))
	}
	if len(doc.Clusters) == 0 {
		return nil
	}
	var rows [][]string
	for _, c := range doc.Clusters {
		row := []string{c.Cluster, strconv.Itoa(c.Backups), health.Bytes(c.Bytes), "never", "-", "never"}
		if c.Newest != nil {
			row[3] = ago(c.Newest.TakenAt)
			row[4] = fmt.Sprintf("%d..%d", c.Newest.Oldest, c.Newest.Revision)
		}
		if c.LastDrill != nil {
			row[5] = fmt.Sprintf("%s, took %v", ago(*c.LastDrill), (time.Duration(c.DrillMS) * time.Millisecond).Round(100*time.Millisecond))
		}
		rows = append(rows, row)
	}
	if err := ui.Table(a.io.Out, []string{"CLUSTER", "BACKUPS", "SIZE", "NEWEST VERIFIED", "RESTORES", "LAST DRILL"}, rows); err != nil {
		return err
	}
	for _, w := range doc.Windows {
		if w.KnownTo != nil {
			fmt.Fprintf(a.io.Out, "archive   cluster %s: any revision from %d to %d, stored %s\n", w.ClusterID, w.From, w.To, ago(*w.KnownTo))
		}
	}
	return nil
}
