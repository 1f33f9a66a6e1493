package cmd

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// watchHealth looks again and again until it is interrupted. Each look is held against the one before, so that rates and
// progress are judged too. A terminal is redrawn; elsewhere lines tell what changed, and documents follow each other.
func (a *app) watchHealth(ctx context.Context, every time.Duration, targets []target, plan healthPlan, show healthPrinter) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	tails := make([]*health.Facts, len(targets))
	for i, t := range targets {
		look := t.look
		targets[i].look = func(ctx context.Context, o health.Options, local localLook) (health.Facts, string, error) {
			if tails[i] != nil {
				o.Earlier = earlierThan(*tails[i])
			}
			f, name, err := look(ctx, o, local)
			if err == nil {
				tails[i] = &f
			}
			return f, name, err
		}
	}
	before := map[string]string{}
	for {
		if err := a.watchRound(ctx, targets, plan, show, before); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return exitSilentError{ops.ClassInterrupted}
		}
	}
}

func (a *app) watchRound(ctx context.Context, targets []target, plan healthPlan, show healthPrinter, before map[string]string) error {
	var screen bytes.Buffer
	s := *a.io
	s.Out = &screen
	drawn := &app{io: &s}
	lines := a.reportFormat() == "simple"
	each := show.each
	if lines {
		each = nothingYet
	}
	results, err := drawn.lookAt(ctx, targets, plan, each)
	switch {
	case ctx.Err() != nil:
		return exitSilentError{ops.ClassInterrupted}
	case err != nil:
		return err
	case lines:
		for _, line := range changes(results, before) {
			fmt.Fprintln(a.io.Out, line)
		}
		return nil
	}
	if err := show.all(&s, results); err != nil {
		return err
	}
	if a.io.OutTTY {
		fmt.Fprint(a.io.Out, redraw(screen.String(), time.Now()))
		return nil
	}
	_, err = a.io.Out.Write(screen.Bytes())
	return err
}

// redraw puts text in the place of what the terminal shows, without an empty moment between.
func redraw(text string, now time.Time) string {
	return ui.Redraw(now.Format(time.TimeOnly) + "  (Ctrl-C ends)\n" + text)
}

// changes is a line about each cluster, and a line for every warning or worse that came or went; before is kept between
// rounds.
func changes(results []result, before map[string]string) []string {
	var lines []string
	now := time.Now().UTC().Format(time.RFC3339)
	seen := map[string]bool{}
	for _, r := range results {
		head := []string{now, oneLine(r.name)}
		line := func(fields ...string) {
			lines = append(lines, strings.Join(append(append([]string{}, head...), fields...), "\t"))
		}
		line(strings.ToUpper(r.severity().String()), oneLine(r.summary()), took(r.report.TookMS))
		for _, f := range merged(r.report) {
			if f.Severity < health.SeverityWarning {
				continue
			}
			text := strings.Join(withNext([]string{tag(f.Severity), f.Check, memberList(f.members, true), oneLine(f.Message)}, f.Next), "\t")
			key := r.name + "\x00" + tag(f.Severity) + "\x00" + f.Check + "\x00" + memberList(f.members, true)
			seen[key] = true
			if _, old := before[key]; !old {
				line("+ " + text)
			}
			before[key] = text
		}
		for key, text := range before {
			if name, _, _ := strings.Cut(key, "\x00"); name == r.name && !seen[key] && r.err == nil {
				line("- " + text)
				delete(before, key)
			}
		}
	}
	return lines
}
