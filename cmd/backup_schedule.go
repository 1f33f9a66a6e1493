package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/daemon"
	"github.com/etcdops/etcdops/backup/elect"
	"github.com/etcdops/etcdops/backup/schedule"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// scheduleOptions are the settings of a scheduler.
type scheduleOptions struct {
	createOptions
	metricsOptions
	cron, zone  string
	jitter      time.Duration
	webhookFile string
}

func newBackupScheduleCmd(a *app) *cobra.Command {
	var o scheduleOptions
	cmd := &cobra.Command{
		Use:   "schedule --cron EXPRESSION",
		Short: "Take backups at the times of a cron expression, until told to stop",
		Long: `Takes a backup whenever one is due. Run it on every machine that may take backups: the schedulers elect one through the
cluster (keys below /etcdops/elect/), and a slot is done when the repository has a good backup of after it, whoever took it.
Where the cluster cannot keep two of them apart, the repository does: a slot gets one backup.
After missed slots, a reboot or a change of clocks exactly one backup is taken, at once.

The expression has five fields, as in '0 */6 * * *', or is @hourly, @daily, @weekly, @monthly or @every 6h. Times are UTC
unless --time-zone names a zone. A failed backup is tried again after a minute, then ever later, up to an hour.

Exit codes: 0 told to stop; 1 failed before it could begin; 2 usage; 5 the cluster cannot be reached.`,
		Example: "  etcdops backup schedule --cron '0 */6 * * *' --repo s3://etcd-backups/prod --rate 50MB",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runBackupSchedule(cmd, &o) },
	}
	fs := cmd.Flags()
	o.addCreate(fs)
	o.add(fs)
	fs.StringVar(&o.cron, "cron", "", "when to take backups: '0 */6 * * *', @daily, @every 6h")
	fs.StringVar(&o.zone, "time-zone", "UTC", "time zone of --cron, as in Europe/Berlin")
	fs.DurationVar(&o.jitter, "jitter", 0, "delay each backup by up to so much, always the same for one cluster")
	fs.StringVar(&o.webhookFile, "webhook-file", "", "file whose first line is a URL to POST a JSON document to when a backup fails")
	return cmd
}

func (a *app) runBackupSchedule(cmd *cobra.Command, o *scheduleOptions) error {
	ctx := cmd.Context()
	if o.cron == "" {
		return usageError(cmd, errors.New("--cron is needed: when to take backups"))
	}
	if _, err := schedule.Parse(o.cron, o.zone, o.jitter, ""); err != nil {
		return usageError(cmd, err)
	}
	create, err := o.library(cmd)
	if err != nil {
		return err
	}
	webhook, err := readWebhook(o.webhookFile)
	if err != nil {
		return usageError(cmd, err)
	}
	lock, err := o.lockFile("backup")
	if err != nil {
		return err
	}
	cluster, repo, closeBoth, err := a.clusterAndRepository(cmd, &o.backupOptions)
	if err != nil {
		return err
	}
	defer closeBoth()
	d, err := daemon.New(daemon.Options{
		Cron: o.cron, Zone: o.zone, Jitter: o.jitter, Webhook: webhook, Notify: a.tellScheduled(o.quiet), List: repo.List,
		Cluster: func(ctx context.Context) (ops.ClusterID, error) { return clusterID(ctx, cluster) },
		Yield: func(ctx context.Context, _ daemon.Order, failed error) bool {
			return failsHere(failed) && otherSchedulers(ctx, cluster.Client())
		},
		Take: func(ctx context.Context, order daemon.Order) (*backup.Manifest, error) {
			unlock, err := backup.Lock(ctx, lock, o.wait)
			if err != nil {
				return nil, err
			}
			defer unlock()
			create := create
			create.Fence, create.Slot = order.Fence, order.Slot
			return repo.Create(ctx, cluster, create)
		},
	})
	if err != nil {
		return usageError(cmd, err)
	}
	go onStatusSignal(ctx, nil, func() { a.tellScheduler(d.Stats(), o, time.Now()) })
	stop, err := o.publish(ctx, func() []metric { return scheduleMetrics(d.Stats()) })
	if err != nil {
		return err
	}
	defer stop()
	return a.leadAlways(ctx, elect.Options{Client: cluster.Client(), Name: scheduleElection, ID: processName()}, d.Lead)
}

// scheduleElection is what schedulers of a cluster take part in, whether they run by themselves or in serve.
const scheduleElection = "schedule"

// failsHere says whether a backup failed of something that may be otherwise on another machine: its disk, its files, its member.
func failsHere(err error) bool {
	switch ops.CodeOf(err) {
	case backup.CodeSpool, backup.CodeKeyFile, backup.CodeNoSource:
		return true
	default:
		return false
	}
}

// otherSchedulers says whether somebody waits for the leadership.
func otherSchedulers(ctx context.Context, client *clientv3.Client) bool {
	n, err := elect.Candidates(ctx, client, scheduleElection)
	return err == nil && n > 1
}

// readWebhook reads the URL to tell failures to; no file means none.
func readWebhook(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("webhook file: %w", err)
	}
	url, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	return strings.TrimSpace(url), nil
}

// clusterID asks which cluster it is.
func clusterID(ctx context.Context, cluster *ops.Cluster) (ops.ClusterID, error) {
	for _, r := range cluster.Statuses(ctx) {
		if r.Err == nil {
			return r.Status.ClusterID, nil
		}
	}
	return 0, errors.New("no member answers")
}

// tellScheduled prints what a scheduler does, a line each.
func (a *app) tellScheduled(quiet bool) func(daemon.Event) {
	return func(e daemon.Event) {
		at := e.Time.Format(time.RFC3339)
		switch {
		case e.Err != nil && !e.Taken:
			fmt.Fprintf(a.io.Err, "%s  FAILED  %s\n", at, ui.Safe(e.Err.Error()))
		case quiet:
		case e.Taken:
			fmt.Fprintf(a.io.Out, "%s  left    %s\n", at, ui.Safe(e.Err.Error()))
		default:
			text := ""
			if e.Missed > 0 {
				text = fmt.Sprintf(", for %d missed ones too", e.Missed)
			}
			fmt.Fprintf(a.io.Out, "%s  saved   %s  revision %d%s\n", at, e.Manifest.ID.Short(), e.Manifest.Revision, text)
		}
	}
}

// tellScheduler tells somebody who asks what a scheduler does.
func (a *app) tellScheduler(s daemon.Stats, o *scheduleOptions, now time.Time) {
	role := "another scheduler is elected"
	if s.Leading {
		role = "elected"
	}
	newest := "no verified backup is known"
	if !s.Succeeded.IsZero() {
		newest = "the newest verified backup was taken at " + s.Succeeded.UTC().Format(time.RFC3339)
	}
	if plan, err := schedule.Parse(o.cron, o.zone, 0, ""); err == nil {
		newest += ", the next slot is " + plan.Next(now).UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(a.io.Err, "%s  status  %s; %s; %d taken, %d failed\n", now.UTC().Format(time.RFC3339), role, newest, s.Taken, s.Failed)
}

// scheduleMetrics are a scheduler's numbers.
func scheduleMetrics(s daemon.Stats) []metric {
	unix := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.Unix())
	}
	return []metric{
		{"etcdops_backup_leading", "1 where this scheduler is the elected one", "gauge", truth(s.Leading)},
		{metricVerified, "when the newest verified backup was taken; 0 for never or not known", "gauge", unix(s.Succeeded)},
		{metricDrill, "when a backup was last restored and started for a test; 0 for never or not known", "gauge", unix(s.Drilled)},
		{"etcdops_backup_taken_total", "backups taken by this scheduler", "counter", float64(s.Taken)},
		{"etcdops_backup_failures_total", "backups that this scheduler could not take", "counter", float64(s.Failed)},
		{"etcdops_backup_missed_slots_total", "slots that a later backup made up for", "counter", float64(s.Missed)},
		{"etcdops_backup_overlaps_total", "slots at which another run was at it", "counter", float64(s.Overlaps)},
	}
}
