package cmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
)

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

--fast asks the members only. The default adds their metrics, the certificates of peers and files, the age of the backups
in --repo, and what this machine knows of members that run on it. --deep looks twice, --window apart, for rates, latencies
and progress, and compares hashes of all data. Instead of waiting, --since FILE holds the members against facts that
--record FILE wrote some time before.

Formats (-w): table (default on a terminal), wide (with everything that is not known, and certificates), simple (default
elsewhere: one line a thing, tabs between), json and yaml (schema etcdops.health/v1; etcdops.health_list/v1 for several
clusters), nagios (a plugin's output and exit codes), prom (for a textfile collector of Prometheus).

--context A,B and --all-contexts ask several clusters at once; each is printed when it is known, the exit code is the worst.

Exit codes: 0 no finding above a warning; 3 critical, or unknown where the verdict needs it (as with authentication on
and no user), or a warning with --fail-on warn; 5 no quorum, or no member answers; 2 usage; 130 interrupted.
With --fail-on dead, for engines that restart what fails: 5 when nothing that was asked is a process that works, else 0; the
report says the same as without. A member that waits for its peers, has no quorum or wants a password works.`,
		Example: `  etcdops health
  etcdops health --endpoints https://10.0.0.1:2379 --cacert ca.crt --cert client.crt --key client.key
  etcdops health --deep --window 1m
  etcdops health --threshold quota.headroom=60,80 --skip membership.size
  etcdops health --all-contexts --fast
  etcdops health --watch=5s
  etcdops health -w json --fail-on warn`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runHealth(cmd, &opts) },
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func (a *app) runHealth(cmd *cobra.Command, opts *healthOptions) error {
	if a.out == "nagios" {
		return a.runNagios(cmd, opts)
	}
	plan, targets, err := a.planHealth(cmd, opts)
	if err != nil {
		return err
	}
	show, err := a.healthPrinter(cmd, len(targets) > 1)
	if err != nil {
		return err
	}
	if opts.watch > 0 {
		return a.watchHealth(cmd.Context(), opts.watch, targets, plan, show)
	}
	results, err := a.lookAt(cmd.Context(), targets, plan, show.each)
	if err != nil {
		return err
	}
	if err := show.all(a.io, results); err != nil {
		return err
	}
	if opts.record != "" {
		if err := writeFacts(opts.record, results[0].facts); err != nil {
			return err
		}
	}
	if class, failed := classOf(results, plan.failOn); failed {
		return exitSilentError{class}
	}
	return nil
}

// planHealth checks what was typed and finds out whom to ask.
func (a *app) planHealth(cmd *cobra.Command, opts *healthOptions) (p healthPlan, targets []target, err error) {
	if p, err = opts.plan(cmd); err != nil {
		return p, nil, err
	}
	targets, err = a.targets(cmd, opts)
	return p, targets, err
}

// judge collects quickly and evaluates, for commands that show members rather than checks.
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

// healthPrinter writes reports: each as soon as it is there, or all at the end. Either may do nothing.
type healthPrinter struct {
	each func(*ui.Streams, result) error
	all  func(*ui.Streams, []result) error
}

// healthPrinter finds the printer of the format in use.
func (a *app) healthPrinter(cmd *cobra.Command, several bool) (healthPrinter, error) {
	switch a.reportFormat() {
	case "table":
		return textPrinter(printHealthTable, several), nil
	case "wide":
		return textPrinter(printHealthWide, several), nil
	case "simple":
		return textPrinter(printHealthSimple, several), nil
	case "json":
		return documentPrinter(ui.JSON, several), nil
	case "yaml":
		return documentPrinter(ui.YAML, several), nil
	case "prom":
		return healthPrinter{nothingYet, printHealthProm}, nil
	}
	return healthPrinter{}, badFormat(cmd, a.out, healthFormats()...)
}

func healthFormats() []string {
	return []string{"table", "wide", "simple", "json", "yaml", "nagios", "prom"}
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
