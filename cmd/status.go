package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// statusJSON is schema etcdops.status/v1: the members' part of a health report, without a judgement.
type statusJSON struct {
	Schema    string                  `json:"schema"`
	ClusterID ops.ClusterID           `json:"cluster_id"`
	TakenAt   time.Time               `json:"taken_at"`
	TookMS    float64                 `json:"took_ms"`
	Members   []health.MemberReport   `json:"members"`
	Strays    []health.EndpointReport `json:"strays"`
}

func newStatusCmd(a *app) *cobra.Command {
	var bound time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "One line a member: role, version, term, index, database size",
		Long: `Asks every member of the cluster at once, starting from the given endpoints, and prints what they say of
themselves, without judging it: that is etcdops health. It commits nothing and needs no quorum.

Formats (-w): table (default on a terminal), wide, simple (default elsewhere: tabs between the fields), json and yaml
(schema etcdops.status/v1).

Exit codes: 0 at least one member answered; 5 none did; 2 usage; 130 interrupted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runStatus(cmd, bound) },
	}
	addBoundFlag(cmd.Flags(), &bound)
	return cmd
}

func (a *app) runStatus(cmd *cobra.Command, bound time.Duration) error {
	show, err := a.statusPrinter(cmd)
	if err != nil {
		return err
	}
	report, _, err := a.judge(cmd, bound)
	if err != nil {
		return err
	}
	if err := show(report); err != nil {
		return err
	}
	if !report.Reached {
		return exitSilentError{ops.ClassUnreachable}
	}
	return nil
}

func (a *app) statusPrinter(cmd *cobra.Command) (func(health.Report) error, error) {
	data := func(r health.Report) statusJSON {
		return statusJSON{
			Schema: "etcdops.status/v1", ClusterID: r.ClusterID, TakenAt: r.TakenAt, TookMS: r.TookMS,
			Members: r.Members, Strays: r.Strays,
		}
	}
	switch format := a.reportFormat(); format {
	case "table", "wide":
		return func(r health.Report) error {
			header, rows := statusRows(r, format == "wide")
			return ui.Table(a.io.Out, header, rows)
		}, nil
	case "simple":
		return func(r health.Report) error {
			_, rows := statusRows(r, true)
			for _, row := range rows {
				fmt.Fprintln(a.io.Out, strings.Join(row, "\t"))
			}
			return nil
		}, nil
	case "json":
		return func(r health.Report) error { return ui.JSON(a.io.Out, data(r)) }, nil
	case "yaml":
		return func(r health.Report) error { return ui.YAML(a.io.Out, data(r)) }, nil
	}
	return nil, badFormat(cmd, a.out, "table", "wide", "simple", "json", "yaml")
}

// statusColumn is one column of the status table.
type statusColumn struct {
	name   string
	wide   bool // shown in the wide form only
	member func(health.MemberReport) string
}

func statusColumns(wide bool) []statusColumn {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return []statusColumn{
		{"MEMBER", false, func(m health.MemberReport) string { return label(m, wide) }},
		{"ID", true, func(m health.MemberReport) string { return m.ID.String() }},
		{"ROLE", false, func(m health.MemberReport) string { return m.Role }},
		{"STATE", false, func(m health.MemberReport) string { return string(m.State) }},
		{"VERSION", false, func(m health.MemberReport) string { return text(m.Version, oneLine) }},
		{"STORAGE", true, func(m health.MemberReport) string { return text(m.Storage, oneLine) }},
		{"TERM", false, func(m health.MemberReport) string { return text(m.RaftTerm, number) }},
		{"INDEX", false, func(m health.MemberReport) string { return text(m.RaftIndex, number) }},
		{"APPLIED", true, func(m health.MemberReport) string { return text(m.Applied, number) }},
		{"REVISION", true, func(m health.MemberReport) string {
			return text(m.Revision, func(n int64) string { return strconv.FormatInt(n, 10) })
		}},
		{"LAG", false, func(m health.MemberReport) string { return text(m.Lag, number) }},
		{"DB", false, func(m health.MemberReport) string { return text(m.DBSize, health.Bytes) }},
		{"IN USE", true, func(m health.MemberReport) string { return text(m.DBInUse, health.Bytes) }},
		{"QUOTA", true, func(m health.MemberReport) string { return text(m.DBQuota, health.Bytes) }},
		{"ENDPOINT", false, func(m health.MemberReport) string { return shown(firstURL(m), wide) }},
	}
}

func firstURL(m health.MemberReport) string {
	if len(m.Endpoints) == 0 {
		return "-"
	}
	return m.Endpoints[0].URL
}

// statusRows lays the table out; endpoints that belong to no member come last.
func statusRows(r health.Report, wide bool) (header []string, rows [][]string) {
	var columns []statusColumn
	for _, c := range statusColumns(wide) {
		if wide || !c.wide {
			columns, header = append(columns, c), append(header, c.name)
		}
	}
	for _, m := range r.Members {
		var row []string
		for _, c := range columns {
			row = append(row, c.member(m))
		}
		rows = append(rows, row)
	}
	for _, e := range r.Strays {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = "-"
			switch c.name {
			case "STATE":
				row[i] = string(e.State)
			case "ENDPOINT":
				row[i] = shown(e.URL, wide)
			}
		}
		rows = append(rows, row)
	}
	return header, rows
}
