package cmd

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/monitoring"
)

func newGenerateAlertsCmd(a *app) *cobra.Command {
	o := monitoring.DefaultAlertOptions()
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "Print alert rules for Prometheus",
		Long: `Prints a file of rules for Prometheus: members down or without a leader, slow disks, a full database, clocks that drift
apart, backups that are too old, fail or were never restored, archives that fall behind. Each alert says what to type next.
Groups whose metrics nobody scrapes stay silent; the text above each says where its metrics come from.`,
		Example: `  etcdops generate alerts > /etc/prometheus/rules/etcd.yml && promtool check rules /etc/prometheus/rules/etcd.yml
  etcdops generate alerts --objective 25h --drill-objective 168h --job 'kube-etcd'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := monitoring.AlertRules(o)
			if err != nil {
				return usageError(cmd, err)
			}
			_, err = a.io.Out.Write(text)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Job, "job", o.Job, "regular expression of the jobs that scrape members")
	fs.DurationVar(&o.Objective, "objective", o.Objective, "how old the newest verified backup may be")
	fs.DurationVar(&o.DrillObjective, "drill-objective", o.DrillObjective, "how long ago a backup may have been restored for a test")
	fs.DurationVar(&o.ClockLimit, "clock-limit", o.ClockLimit, "how far apart the clocks of two members may be")
	fs.DurationVar(&o.ArchiveLag, "archive-lag", o.ArchiveLag, "how far the archive may be behind the cluster")
	return cmd
}

// AlertRules writes the rules as they are without flags, for docs/alerts.yml.
func AlertRules(w io.Writer) error {
	text, err := monitoring.AlertRules(monitoring.DefaultAlertOptions())
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}
