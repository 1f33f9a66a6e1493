package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// target is one cluster to ask: how it is reached is found out when it is asked, so that one which cannot be reached for
// a missing file holds up no other.
type target struct {
	name string
	look func(context.Context, health.Options, localLook) (health.Facts, string, error)
}

// localLook finds the members that run on this machine.
type localLook func() []health.LocalMember

// result is what became of one target.
type result struct {
	name   string // of the context; empty without one
	facts  health.Facts
	report health.Report
	err    error // why there is no report
}

// targets finds out which clusters are meant.
func (a *app) targets(cmd *cobra.Command, opts *healthOptions) ([]target, error) {
	names, err := a.contextNames(cmd, opts)
	switch {
	case err != nil:
		return nil, err
	case opts.from != "":
		return []target{{look: func(context.Context, health.Options, localLook) (health.Facts, string, error) {
			f, err := readFacts(a.io.In, opts.from)
			return f, "", err
		}}}, nil
	case names == nil:
		return []target{{look: func(ctx context.Context, o health.Options, local localLook) (health.Facts, string, error) {
			r, err := a.resolve(cmd) //nolint:contextcheck // it takes the command's, which is the same
			if err != nil {
				return health.Facts{}, "", err
			}
			f, err := collectHere(ctx, r.Config, o, local, &opts.backups)
			f.Local = append(f.Local, stoppedMembers(r.Stopped)...)
			return f, r.Context, err
		}}}, nil
	case opts.record != "" || opts.since != "":
		return nil, usageError(cmd, errors.New("--record and --since are about one cluster"))
	}
	var out []target
	for _, name := range names {
		out = append(out, target{name: name, look: func(ctx context.Context, o health.Options, local localLook) (health.Facts, string, error) {
			r, err := config.Resolve(ctx, config.Request{Flags: cmd.Flags(), Context: name})
			if err == nil {
				err = r.ReadSecrets(config.SecretInput{})
			}
			if err != nil {
				return health.Facts{}, name, err
			}
			f, err := collectHere(ctx, r.Config, o, local, &opts.backups)
			return f, name, err
		}})
	}
	return out, nil
}

// contextNames returns the contexts meant, nil when it is the one in use or none.
func (a *app) contextNames(cmd *cobra.Command, opts *healthOptions) ([]string, error) {
	several := strings.Contains(a.conn.context, ",")
	if !opts.all && !several {
		return nil, nil
	}
	switch {
	case opts.all && cmd.Flags().Changed("context"):
		return nil, usageError(cmd, errors.New("--all-contexts are all: it does not go with --context"))
	case cmd.Flags().Changed("endpoints"):
		return nil, usageError(cmd, errors.New("--endpoints names one cluster: it does not go with several contexts"))
	}
	all, err := config.Load(config.File())
	if err != nil {
		return nil, err
	}
	var names []string
	if several {
		for name := range strings.SplitSeq(a.conn.context, ",") {
			if name = strings.TrimSpace(name); name == "" || slices.Contains(names, name) {
				continue
			}
			if _, err := all.Find(name); err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	} else {
		for _, c := range all.Contexts {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil, &ops.HintError{
			Code: config.CodeNoContext, Class: ops.ClassUsage, Op: cmd.CommandPath(), Err: errors.New("there is no context"),
			Hint: "etcdops context add NAME --endpoints https://HOST:2379",
		}
	}
	return names, nil
}

// lookAt asks all targets at once (as far as this machine can, see pace) and judges what they say. each is called with every result as soon as it is there, one
// at a time; the results come back in the order of the targets. It fails when a single target does, or ctx has ended.
func (a *app) lookAt(ctx context.Context, targets []target, plan healthPlan, each func(*ui.Streams, result) error) ([]result, error) {
	type numbered struct {
		i int
		r result
	}
	arrived := make(chan numbered, len(targets))
	local, pace := sync.OnceValue(localMembers), newPace()
	for i, t := range targets {
		go func() {
			r := result{name: t.name}
			done := pace.begin()
			r.facts, r.name, r.err = t.look(ctx, plan.collect, local)
			done()
			if r.err == nil {
				r.report = health.Evaluate(r.facts, plan.policy)
			}
			arrived <- numbered{i, r}
		}()
	}
	results := make([]result, len(targets))
	for range targets {
		n := <-arrived
		results[n.i] = n.r
		if len(targets) == 1 && n.r.err != nil {
			return nil, n.r.err
		}
		if ctx.Err() != nil {
			continue
		}
		if err := each(a.io, n.r); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, &ops.HintError{Class: ops.ClassInterrupted, Op: "collect facts", Err: context.Cause(ctx)}
	}
	return results, nil
}

// classOf is the worst of the results: no quorum or nobody there, then critical or not known.
func classOf(results []result, failOn failLevel) (class ops.Class, failed bool) {
	for _, r := range results {
		c, bad := r.report.Class(failOn == failOnWarn)
		switch {
		case r.err != nil:
			c, bad = ops.ClassCritical, true
		case failOn == failOnDead:
			c, bad = ops.ClassUnreachable, !r.report.Alive()
		}
		if bad && (!failed || c == ops.ClassUnreachable) {
			class, failed = c, true
		}
	}
	return class, failed
}

// severity is that of the report, unknown where there is none.
func (r result) severity() health.Severity {
	if r.err != nil {
		return health.SeverityUnknown
	}
	return r.report.Severity
}

// summary is the verdict in words.
func (r result) summary() string {
	if r.err != nil {
		return r.err.Error()
	}
	return r.report.Summary
}

// collectHere asks the cluster, and adds what this machine knows of members that run on it and of its backups.
func collectHere(ctx context.Context, cfg ops.Config, o health.Options, look localLook, b *backupCheck) (health.Facts, error) {
	local := make(chan []health.LocalMember, 1)
	var backups *repositoryLook
	if o.Depth >= health.DepthNormal {
		go func() { local <- look() }()
		backups = b.start(ctx, o.Bound)
	} else {
		local <- nil
	}
	o.PeerURLs = localPeerURLs
	f, err := health.Collect(ctx, cfg, o)
	f.Local, f.Backup = <-local, backups.of(ctx, f.ClusterID())
	return f, err
}

// earlierThan makes facts what the next look is held against.
func earlierThan(f health.Facts) *health.Earlier { return f.AsEarlier(time.Since(f.TakenAt)) }
