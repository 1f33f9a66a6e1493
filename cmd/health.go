package cmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

// healthOptions are the settings of one health report.
type healthOptions struct {
	failOn string
	bound  time.Duration
}

func (o *healthOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.failOn, "fail-on", "critical", "what ends with exit code 3: critical, or warn for warnings too")
	addBoundFlag(fs, &o.bound)
}

func addBoundFlag(fs *pflag.FlagSet, bound *time.Duration) {
	fs.DurationVar(bound, "member-timeout", time.Second, "silence after which a member is called hung; the whole takes at most a fifth longer")
}

// failOnWarn reads --fail-on.
func (o *healthOptions) failOnWarn(cmd *cobra.Command) (bool, error) {
	switch o.failOn {
	case "warn", "warning":
		return true, nil
	case "critical":
		return false, nil
	}
	return false, usageError(cmd, fmt.Errorf("--fail-on is critical or warn, not %q", o.failOn))
}

func newHealthCmd(a *app) *cobra.Command {
	var opts healthOptions
	cmd := &cobra.Command{
		Use:     "health",
		Aliases: []string{"cluster-health"},
		Short:   "Is the cluster healthy, what is wrong, what to type next",
		Long: `Asks every member of the cluster at once, starting from the given endpoints, and judges what they say.

The verdict comes first; then one line a member, then what was found, with what to type next. It commits nothing to the
cluster (with --user, the login itself does), works without a quorum, and takes little more than --member-timeout when
members hang. What could not be looked at is told as unknown, never as ok.

Formats (-w): table (default on a terminal), wide (with everything that is not known, and certificates), simple (default
elsewhere: one line a thing, tabs between), json and yaml (schema etcdops.health/v1).

Exit codes: 0 no finding above a warning; 3 critical, or unknown where the verdict needs it (as with authentication on
and no user), or a warning with --fail-on warn; 5 no quorum, or no member answers; 2 usage; 130 interrupted.`,
		Example: `  etcdops health
  etcdops health --endpoints https://10.0.0.1:2379 --cacert ca.crt --cert client.crt --key client.key
  etcdops health -w json --fail-on warn`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runHealth(cmd, opts) },
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func (a *app) runHealth(cmd *cobra.Command, opts healthOptions) error {
	warn, err := opts.failOnWarn(cmd)
	if err != nil {
		return err
	}
	show, err := a.healthPrinter(cmd)
	if err != nil {
		return err
	}
	report, name, err := a.judge(cmd, opts.bound)
	if err != nil {
		return err
	}
	if err := show(a.io, name, report); err != nil {
		return err
	}
	if class, failed := report.Class(warn); failed {
		return exitSilentError{class}
	}
	return nil
}

// judge collects and evaluates; name is that of the context in use, empty without one.
func (a *app) judge(cmd *cobra.Command, bound time.Duration) (report health.Report, name string, err error) {
	if bound <= 0 {
		return report, "", usageError(cmd, fmt.Errorf("--member-timeout is a duration above 0, not %v", bound))
	}
	resolved, err := a.resolve(cmd)
	if err != nil {
		return report, "", err
	}
	facts, err := health.Collect(cmd.Context(), resolved.Config, health.Options{Bound: bound})
	if err != nil {
		return report, "", err
	}
	return health.Evaluate(facts, health.Policy{}), resolved.Context, nil
}

// reportPrinter writes a report in one format.
type reportPrinter func(s *ui.Streams, name string, r health.Report) error

func (a *app) healthPrinter(cmd *cobra.Command) (reportPrinter, error) {
	switch a.reportFormat() {
	case "table":
		return printHealthTable, nil
	case "wide":
		return printHealthWide, nil
	case "simple":
		return printHealthSimple, nil
	case "json":
		return func(s *ui.Streams, _ string, r health.Report) error { return ui.JSON(s.Out, r) }, nil
	case "yaml":
		return func(s *ui.Streams, _ string, r health.Report) error { return ui.YAML(s.Out, r) }, nil
	}
	return nil, badFormat(cmd, a.out, "table", "wide", "simple", "json", "yaml")
}

// reportFormat is what was asked for, or else what suits the output.
func (a *app) reportFormat() string {
	switch {
	case a.out != "":
		return a.out
	case a.io.OutTTY:
		return "table"
	}
	return "simple"
}
