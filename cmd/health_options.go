package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/suggest"
	"github.com/etcdops/etcdops/ops"
)

// healthOptions are the settings of a health report, as typed.
type healthOptions struct {
	failOn     string
	bound      time.Duration
	fast, deep bool
	window     time.Duration
	only, skip []string
	thresholds []string
	record     string // file to write the facts to
	from       string // file to read the facts from, instead of asking
	since      string // file of earlier facts
	watch      time.Duration
	all        bool // contexts
	backups    backupCheck
}

func (o *healthOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.failOn, "fail-on", "critical", "what fails: critical, warn for warnings too (exit code 3), or dead: only when no process answers (5), for engines that restart what fails")
	fs.BoolVar(&o.fast, "fast", false, "ask the members only: no metrics, no certificates of peers, nothing of this machine")
	fs.BoolVar(&o.deep, "deep", false, "look twice, and compare hashes of all data: costs the members a read of their whole database")
	fs.DurationVar(&o.window, "window", 10*time.Second, "time between the two looks of --deep")
	fs.StringSliceVar(&o.only, "only", nil, "make these checks alone; a family's name means all of it (certificate)")
	fs.StringSliceVar(&o.skip, "skip", nil, "leave these checks out; a family's name means all of it")
	fs.StringArrayVar(&o.thresholds, "threshold", nil, "CHECK=WARN[,CRIT] in the check's unit, in place of its own (again for others)")
	fs.StringVar(&o.record, "record", "", "write the facts to this file too, for --from, --since and bug reports")
	fs.StringVar(&o.from, "from", "", "judge the facts in this file (- for standard input) and ask nobody")
	fs.StringVar(&o.since, "since", "", "judge rates and progress since the facts in this file, which may be that of --record")
	fs.DurationVar(&o.watch, "watch", 0, "look again every 2s, or --watch=TIME, until interrupted: redraws a terminal, appends what changed elsewhere")
	fs.Lookup("watch").NoOptDefVal = "2s"
	fs.BoolVar(&o.all, "all-contexts", false, "ask the clusters of all contexts at once")
	o.backups.addFlags(fs)
	addBoundFlag(fs, &o.bound)
}

func addBoundFlag(fs *pflag.FlagSet, bound *time.Duration) {
	fs.DurationVar(bound, "member-timeout", time.Second, "silence after which a member is called hung; members that only others name are asked after those, for as long")
}

// failLevel is what the exit code calls a failure.
type failLevel int

const (
	failOnCritical failLevel = iota
	failOnWarn
	failOnDead // a member that waits or has no quorum lives: a restart would not help it
)

// readFailOn reads --fail-on.
func readFailOn(word string) (failLevel, error) {
	switch word {
	case "warn", "warning":
		return failOnWarn, nil
	case "critical":
		return failOnCritical, nil
	case "dead":
		return failOnDead, nil
	}
	return 0, fmt.Errorf("--fail-on is critical, warn or dead, not %q", word)
}

// healthPlan is what the options come to.
type healthPlan struct {
	collect health.Options
	policy  health.Policy
	failOn  failLevel
}

// plan checks the options and reads the files that they need before anything is asked.
func (o *healthOptions) plan(cmd *cobra.Command) (p healthPlan, err error) {
	if p.failOn, err = readFailOn(o.failOn); err != nil {
		return p, usageError(cmd, err)
	}
	p.collect, err = o.depth(cmd)
	if err == nil {
		err = o.backups.check()
	}
	if err == nil {
		p.policy.Only, err = selectChecks("--only", o.only)
	}
	if err == nil {
		err = o.canMake(p.collect.Depth)
	}
	if err == nil {
		p.policy.Skip, err = selectChecks("--skip", o.skip)
	}
	if err == nil {
		p.policy.Limits, err = readThresholds(o.thresholds)
	}
	if err != nil {
		return p, usageError(cmd, err)
	}
	if o.since != "" {
		p.collect.Earlier, err = readEarlier(o.since, o.since == o.record)
	}
	return p, err
}

// depth reads the flags that say how much is asked.
func (o *healthOptions) depth(cmd *cobra.Command) (health.Options, error) {
	c := health.Options{Bound: o.bound, Depth: health.DepthNormal}
	windowGiven := cmd.Flags().Changed("window")
	switch {
	case o.bound <= 0:
		return c, fmt.Errorf("--member-timeout is a duration above 0, not %v", o.bound)
	case o.fast && o.deep:
		return c, errors.New("--fast and --deep contradict each other")
	case o.fast:
		c.Depth = health.DepthFast
	case o.deep:
		c.Depth = health.DepthDeep
	}
	switch {
	case windowGiven && !o.deep:
		return c, errors.New("--window belongs to --deep")
	case o.window < 0:
		return c, fmt.Errorf("--window is a duration, not %v", o.window)
	case o.deep && (o.since == "" || windowGiven):
		c.Window = o.window
	}
	if o.watch < 0 || o.watch > 0 && o.watch < 100*time.Millisecond {
		return c, fmt.Errorf("--watch is a time of at least 100ms, not %v", o.watch)
	}
	if o.watch > 0 && (o.deep || o.record != "") {
		return c, errors.New("--watch holds each look against the one before: it does not go with --deep and --record")
	}
	if o.from != "" {
		for _, name := range []string{"fast", "deep", "since", "record", "watch", "all-contexts", "member-timeout", "repo", "backup-interval"} {
			if cmd.Flags().Changed(name) {
				return c, fmt.Errorf("--from asks nobody: it does not go with --%s", name)
			}
		}
	}
	return c, nil
}

// canMake refuses a check asked for by its own name that a look of this depth never makes: a verdict without it would answer
// another question.
func (o *healthOptions) canMake(depth health.Depth) error {
	if o.from != "" {
		return nil // the file says how deep its look was
	}
	for _, c := range health.Checks() {
		named := slices.ContainsFunc(o.only, func(word string) bool { return strings.TrimSpace(word) == c.ID })
		switch {
		case !named:
		case c.Depth > depth && c.Depth == health.DepthDeep:
			return fmt.Errorf("--only %s needs --deep", c.ID)
		case c.Depth > depth:
			return fmt.Errorf("--only %s needs more than --fast", c.ID)
		case c.Window && depth < health.DepthDeep && o.since == "" && o.watch == 0:
			return fmt.Errorf("--only %s needs two looks: --deep, --since FILE or --watch", c.ID)
		}
	}
	return nil
}

// selectChecks turns the words of --only and --skip into IDs.
func selectChecks(flag string, words []string) ([]string, error) {
	var ids []string
	for _, word := range words {
		found := health.Select(strings.TrimSpace(word))
		if len(found) == 0 {
			var known []string
			for _, c := range health.Checks() {
				known = append(known, c.ID)
			}
			hint := ""
			if near := suggest.Nearest(word, known); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return nil, fmt.Errorf("%s: there is no check %q%s", flag, word, hint)
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func readThresholds(texts []string) (map[string]health.Limits, error) {
	limits := map[string]health.Limits{}
	for _, text := range texts {
		id, l, err := health.ParseLimits(text)
		if err != nil {
			return nil, fmt.Errorf("--threshold: %w", err)
		}
		limits[id] = l
	}
	return limits, nil
}

// maxFacts bounds a file of facts: those of 64 endpoints with metrics have about 10 MB.
const maxFacts = 256 << 20

// readFacts reads recorded facts; - is standard input.
func readFacts(in io.Reader, path string) (f health.Facts, err error) {
	fail := func(err error) error {
		return &ops.HintError{
			Code: codeFacts, Class: ops.ClassUsage, Op: "read facts from", Member: path, Err: err,
			Hint: "write such a file with: etcdops health --record FILE",
		}
	}
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return f, fail(err)
		}
		defer func() { _ = file.Close() }() // only read
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFacts))
	if err != nil {
		return f, fail(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fail(err)
	}
	if f.Schema != health.FactsSchema {
		return f, fail(fmt.Errorf("its schema is %q, not %q", f.Schema, health.FactsSchema))
	}
	return f, nil
}

// readEarlier reads the facts of an earlier look. The first run of a job finds no file yet, which it is about to write.
func readEarlier(path string, written bool) (*health.Earlier, error) {
	f, err := readFacts(nil, path)
	if err != nil {
		if written && errors.Is(err, os.ErrNotExist) {
			return nil, nil //nolint:nilnil // there is no earlier look, which is no error
		}
		return nil, err
	}
	return f.AsEarlier(time.Since(f.TakenAt)), nil
}

// writeFacts puts facts into a file, whole or not at all, readable by their owner alone: they name hosts and versions.
func writeFacts(path string, f health.Facts) error {
	text, err := json.MarshalIndent(f, "", " ")
	if err == nil {
		err = config.ReplaceFile(path, append(text, '\n'))
	}
	if err != nil {
		return &ops.HintError{Op: "write facts to", Member: path, Err: err, Hint: "name a file in a directory that you may write to"}
	}
	return nil
}
