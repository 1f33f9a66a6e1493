package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

func newClockWatchCmd(a *app) *cobra.Command {
	var opts clockOptions
	every, rounds := 2*time.Second, 0
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Audit the clocks again and again, and show how they drift",
		Long: `Audits the members' clocks every --interval until it is interrupted, or --rounds times. A terminal shows the latest audit
with a small graph of each clock's offset over time; elsewhere each audit is a line (tabs between the fields), or a document
with -w json.

Exit codes: 130 interrupted; with --rounds those of etcdops clock audit, for the last round.`,
		Example: "  etcdops clock watch\n  etcdops clock watch --interval 10s --rounds 6",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case every <= 0:
				return usageError(cmd, fmt.Errorf("--interval is a duration above 0, not %v", every))
			case rounds < 0:
				return usageError(cmd, fmt.Errorf("--rounds is not below 0, as %d is", rounds))
			}
			return a.watchClocks(cmd, opts, every, rounds)
		},
	}
	opts.addFlags(cmd.Flags())
	cmd.Flags().DurationVar(&every, "interval", every, "time between two audits")
	cmd.Flags().IntVar(&rounds, "rounds", 0, "end after so many audits; 0: go on until interrupted")
	return cmd
}

// watchClocks audits until it is interrupted. The member list is read anew each time; a round that finds nobody to ask is
// a line like any other.
func (a *app) watchClocks(cmd *cobra.Command, opts clockOptions, every time.Duration, rounds int) error {
	if _, err := a.clockPrinter(cmd); err != nil {
		return err
	}
	if err := opts.check(cmd); err != nil {
		return err
	}
	ctx := cmd.Context()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var history clockHistory
	for n := 1; ; n++ {
		report, err := a.clockRound(cmd, opts)
		if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Class == ops.ClassUsage {
			return err
		}
		if ctx.Err() != nil {
			return exitSilentError{ops.ClassInterrupted}
		}
		if err == nil {
			history.add(report)
		}
		if shown := a.showRound(report, &history, err); shown != nil {
			return shown
		}
		if n == rounds {
			if err != nil {
				return err
			}
			if class, failed := clockClass(report); failed {
				return exitSilentError{class}
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return exitSilentError{ops.ClassInterrupted}
		}
	}
}

func (a *app) clockRound(cmd *cobra.Command, opts clockOptions) (clock.Report, error) {
	setup, err := a.clockAudit(cmd, opts)
	if err != nil {
		return clock.Report{}, err
	}
	return clock.Audit(cmd.Context(), setup.targets, setup.options, opts.limit)
}

// showRound writes one round in the format asked for.
func (a *app) showRound(r clock.Report, history *clockHistory, failed error) error {
	now := time.Now()
	format := a.reportFormat()
	switch {
	case failed != nil && format != "table" && format != "wide":
		fmt.Fprintln(a.io.Err, now.UTC().Format(time.RFC3339), "not audited:", oneLine(failed.Error()))
		return nil
	case format == "json":
		return ui.JSON(a.io.Out, r)
	case format == "yaml":
		fmt.Fprintln(a.io.Out, "---")
		return ui.YAML(a.io.Out, r)
	case format == "simple":
		fields := []string{now.UTC().Format(time.RFC3339), string(r.Verdict), oneLine(r.Summary)}
		for _, c := range r.Clocks {
			fields = append(fields, oneLine(c.Name)+"="+clockOffset(c))
		}
		_, err := fmt.Fprintln(a.io.Out, strings.Join(fields, "\t"))
		return err
	}
	var screen bytes.Buffer
	s := *a.io
	s.Out = &screen
	switch {
	case failed != nil:
		fmt.Fprintln(&screen, ui.Wrap("not audited: "+oneLine(failed.Error()), 0, ui.MaxColumns, indent))
	default:
		if err := printClock(&s, r, format == "wide"); err != nil {
			return err
		}
	}
	if err := history.print(&screen); err != nil {
		return err
	}
	if a.io.OutTTY {
		_, err := fmt.Fprint(a.io.Out, redraw(screen.String(), now))
		return err
	}
	_, err := fmt.Fprintf(a.io.Out, "%s\n%s\n", now.Format(time.TimeOnly), screen.String())
	return err
}

// historyRounds is how many rounds the graphs show.
const historyRounds = 48

// clockHistory is the offsets of past rounds, against the clock that was the first one's reference.
type clockHistory struct {
	reference string
	order     []string
	offsets   map[string][]*float64 // seconds; nil where a round did not find out
	worst     clock.Interval
	worstAt   time.Time
}

func (h *clockHistory) add(r clock.Report) {
	if h.offsets == nil {
		h.offsets = map[string][]*float64{}
	}
	rounds := 0
	for _, past := range h.offsets {
		rounds = max(rounds, len(past))
	}
	for _, c := range r.Clocks {
		if h.reference == "" && c.Reference {
			h.reference = c.Name
		}
		if _, known := h.offsets[c.Name]; !known {
			h.order = append(h.order, c.Name)
			h.offsets[c.Name] = make([]*float64, rounds)
		}
	}
	for name, past := range h.offsets {
		var seconds *float64
		if offset, ok := r.Between(name, h.reference); ok {
			middle := (float64(offset.LoNS) + float64(offset.HiNS)) / 2e9
			seconds = &middle
		} else if name == h.reference && r.Apart != nil {
			seconds = new(float64)
		}
		past = append(past, seconds)
		h.offsets[name] = past[max(0, len(past)-historyRounds):]
	}
	if r.Apart != nil && r.Apart.HiNS >= h.worst.HiNS {
		h.worst, h.worstAt = *r.Apart, r.StartedAt
	}
}

// print draws a graph a clock, all to one scale.
func (h *clockHistory) print(screen *bytes.Buffer) error {
	lo, hi := math.Inf(1), math.Inf(-1)
	var rows [][]string
	for _, past := range h.offsets {
		for _, v := range past {
			if v != nil {
				lo, hi = min(lo, *v), max(hi, *v)
			}
		}
	}
	if lo > hi {
		return nil
	}
	for _, name := range h.order {
		rows = append(rows, []string{shown(name, false), ui.Sparkline(h.offsets[name], lo, hi)})
	}
	title := fmt.Sprintf("OFFSET TO %s OVER TIME, FROM %s TO %s", shown(h.reference, false), clock.Span(int64(lo*1e9)), clock.Span(int64(hi*1e9)))
	fmt.Fprintln(screen)
	if err := ui.Table(screen, []string{"MEMBER", title}, rows); err != nil {
		return err
	}
	fmt.Fprintf(screen, "furthest apart so far: less than %s, at %s\n", clock.Span(h.worst.HiNS), h.worstAt.Local().Format(time.TimeOnly))
	return nil
}
