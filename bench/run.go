package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

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
