package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// runRows runs one row after the other and writes the results of each as soon as it is done. A row that fails does not
// keep the others from running.
func runRows(ctx context.Context, l *lab, o options, rows []experiment, results *archive, stdout io.Writer) error {
	where, err := inspect(l.dir)
	if err != nil {
		return err
	}
	versions, err := l.bin.versions(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for i := range rows {
		r, err := runRow(ctx, l, &rows[i], o.rounds)
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err != nil {
			fmt.Fprintln(l.log, "FAILED", err)
			failed = append(failed, err)
			continue
		}
		r.Machine, r.Programs = where, versions
		results.put(*r)
		if err := save(o, results); err != nil {
			return err
		}
	}
	if o.out == "" {
		fmt.Fprint(stdout, render(rows, results))
	}
	return errors.Join(failed...)
}

// save writes the samples and the page, each where it was asked for.
func save(o options, results *archive) error {
	if o.json != "" {
		text, err := results.encode()
		if err == nil {
			err = replaceFile(o.json, text)
		}
		if err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	return replaceFile(o.out, []byte(render(table(), results)))
}

// measureWithin is how long one measurement of one side may take: one that hangs must not hang the run.
const measureWithin = 5 * time.Minute

// runRow measures a row. rounds replaces the row's own number unless it is 0.
func runRow(ctx context.Context, l *lab, e *experiment, rounds int) (*record, error) {
	if rounds == 0 {
		rounds = e.rounds
	}
	r := &record{Name: e.name, Date: time.Now().UTC().Truncate(time.Second), Scale: l.scale, Load: loadAverage()}
	measure, err := e.prepare(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("%s: prepare: %w", e.name, err)
	}
	for round := range e.warmups + rounds {
		for _, side := range turn(e.sides, round) {
			s, err := measureOne(ctx, measure, side)
			if err == nil {
				err = e.check(s)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: round %d of %s: %w", e.name, round+1-e.warmups, side, err)
			}
			if round < e.warmups {
				continue
			}
			r.add(side, s)
			progress(l.log, e, round+1-e.warmups, rounds, side, s)
		}
	}
	r.Seconds = time.Since(r.Date).Seconds()
	return r, nil
}

func measureOne(ctx context.Context, measure measureFunc, side string) (sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, measureWithin, fmt.Errorf("not done within %s", measureWithin))
	defer cancel()
	s, err := measure(ctx, side)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return s, nil
}

// progress writes a line a measurement; of a row of many rounds, each tenth.
func progress(w io.Writer, e *experiment, round, rounds int, side string, s sample) {
	if rounds > 50 && round%10 != 0 {
		return
	}
	var values []string
	for _, m := range e.metrics {
		values = append(values, strings.TrimSpace(m.name+" "+number(s[m.name])+" "+m.unit))
	}
	fmt.Fprintf(w, "%s %d/%d %s: %s\n", e.name, round, rounds, side, strings.Join(values, ", "))
}
