package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/ops"
)

// runNagios follows the contract of monitoring plugins: a line of output with the state, measurements behind a bar, more
// lines for people, and the exit codes 0 ok, 1 warning, 2 critical, 3 unknown. Errors are unknown too, and are told on
// the same line.
func (a *app) runNagios(cmd *cobra.Command, opts *healthOptions) error {
	results, err := a.nagiosResults(cmd, opts)
	if err != nil {
		if cmd.Context().Err() != nil {
			return err
		}
		return a.nagiosUnknown(err)
	}
	worst := results[0]
	for _, r := range results {
		if verdictRank(r.severity()) > verdictRank(worst.severity()) {
			worst = r
		}
	}
	summary := worst.summary()
	if len(results) > 1 {
		summary = tally(results)
	}
	fmt.Fprintf(a.io.Out, "ETCD %s - %s | %s\n", strings.ToUpper(worst.severity().String()), nagiosText(summary), nagiosValues(results))
	for _, r := range results {
		if r.err != nil {
			fmt.Fprintln(a.io.Out, nagiosText(r.name+": "+r.err.Error()))
			continue
		}
		for _, f := range merged(r.report) {
			if f.Severity < health.SeverityWarning {
				continue
			}
			line := strings.TrimPrefix(r.name+" ", " ") + tag(f.Severity) + " " + f.Check + ": " + subject(memberList(f.members, true), f.Message)
			if f.Next != "" {
				line += " -> " + f.Next
			}
			fmt.Fprintln(a.io.Out, nagiosText(line))
		}
	}
	if code := nagiosCode(worst.severity()); code != 0 {
		return exitForeignError{code}
	}
	return nil
}

// nagiosUnknown tells an error as a plugin does.
func (a *app) nagiosUnknown(err error) error {
	text := nagiosText(err.Error())
	if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Hint != "" {
		text += " - " + nagiosText(hint.Hint)
	}
	fmt.Fprintln(a.io.Out, "ETCD UNKNOWN - "+text)
	return exitForeignError{3}
}

// asPlugin makes an error of health's own words one of a plugin where that was asked for: their parser fails before the
// command runs, and our code for it would say critical to whoever runs plugins.
func (a *app) asPlugin(err error, args []string) error {
	hint, usage := errors.AsType[*ops.HintError](err)
	isHealth := slices.ContainsFunc(args, func(arg string) bool { return arg == "health" || arg == "cluster-health" })
	if !usage || hint.Class != ops.ClassUsage || !isHealth || a.out != "nagios" && !wants("nagios", args) {
		return err
	}
	return a.nagiosUnknown(err)
}

func (a *app) nagiosResults(cmd *cobra.Command, opts *healthOptions) ([]result, error) {
	plan, targets, err := a.planHealth(cmd, opts)
	switch {
	case err != nil:
		return nil, err
	case opts.watch > 0:
		return nil, usageError(cmd, errors.New("--watch does not end, as a plugin must"))
	}
	results, err := a.lookAt(cmd.Context(), targets, plan, nothingYet)
	if err == nil && opts.record != "" {
		err = writeFacts(opts.record, results[0].facts)
	}
	return results, err
}

// nagiosText keeps a text on its line, and the bar for the measurements.
func nagiosText(text string) string { return strings.ReplaceAll(oneLine(text), "|", "/") }

func nagiosCode(s health.Severity) int {
	switch s {
	case health.SeverityOK, health.SeverityInfo:
		return 0
	case health.SeverityWarning:
		return 1
	case health.SeverityCritical:
		return 2
	case health.SeverityUnknown:
	}
	return 3
}

// verdictRank orders verdicts by how much they matter: critical, unknown, warning, ok.
func verdictRank(s health.Severity) int {
	switch s {
	case health.SeverityCritical:
		return 3
	case health.SeverityUnknown:
		return 2
	case health.SeverityWarning:
		return 1
	case health.SeverityOK, health.SeverityInfo:
	}
	return 0
}

// nagiosValues are the measurements: 'label'=value[unit];warn;crit;min;max.
func nagiosValues(results []result) string {
	var out []string
	add := func(context, name, value string) {
		label := name
		if len(results) > 1 {
			label = context + ":" + name
		}
		label = strings.NewReplacer("'", "", "=", "", "|", "").Replace(oneLine(label))
		out = append(out, "'"+label+"'="+value)
	}
	number := func(n float64) string { return strconv.FormatFloat(micros(n), 'f', -1, 64) }
	for _, r := range results {
		if r.err != nil {
			continue
		}
		add(r.name, "time", number(r.report.TookMS/1000)+"s;;;0")
		if v := r.report.Votes; v != nil {
			add(r.name, "voters", fmt.Sprintf("%d;;;0;%d", v.Healthy, v.Total))
			add(r.name, "tolerance", strconv.Itoa(v.Tolerance)+";1:;0:")
		}
		for _, m := range r.report.Members {
			if m.DBSize != nil {
				limit := ""
				if m.DBQuota != nil {
					limit = strconv.FormatInt(*m.DBQuota, 10)
				}
				add(r.name, label(m, true)+" db", strconv.FormatInt(*m.DBSize, 10)+"B;;;0;"+limit)
			}
			if m.Lag != nil {
				add(r.name, label(m, true)+" lag", strconv.FormatUint(*m.Lag, 10)+";;;0")
			}
			if m.ReadMS != nil {
				add(r.name, label(m, true)+" read", number(*m.ReadMS/1000)+"s;;;0")
			}
		}
	}
	return strings.Join(out, " ")
}
