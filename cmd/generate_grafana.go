package cmd

import (
	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/monitoring"
)

func newGenerateGrafanaCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "grafana",
		Short: "Print a Grafana dashboard of etcd's metrics",
		Long: `Prints a dashboard for Grafana 11 and later, to be imported or provisioned: what is read first in an incident stands first,
and thresholds are those of etcdops health. It works for every etcd of 3.4 and later that Prometheus scrapes.`,
		Example: "  etcdops generate grafana > etcd.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := monitoring.Grafana()
			if err != nil {
				return err
			}
			_, err = a.io.Out.Write(text)
			return err
		},
	}
}
