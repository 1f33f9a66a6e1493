package cmd

import "github.com/spf13/cobra"

// newGenerateCmd gathers what other programs are set up with. Each is a command in a file of its own.
func newGenerateCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write units, manifests, dashboards and manual pages for other programs",
		Long: `Writes what other programs need to run or to watch etcdops. It connects to nothing and changes nothing but the files
named; without a file the text goes to standard output.`,
		Args: cobra.ArbitraryArgs,
		RunE: needSubcommand,
	}
	cmd.AddCommand(
		newGenerateCompletionCmd(a), newGenerateManCmd(a),
		newGenerateGrafanaCmd(a), newGenerateAlertsCmd(a),
		newGenerateSystemdCmd(a), newGenerateCronJobCmd(a),
		newGenerateStaticPodCmd(a),
	)
	return cmd
}
