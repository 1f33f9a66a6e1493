package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// clockOptions are the settings of one look at the clocks.
type clockOptions struct {
	limit   time.Duration
	bound   time.Duration
	samples int
	sources []string
	ntp     string
	ssh     clock.SSH
	peer    ops.TLS
}

func (o *clockOptions) addFlags(fs *pflag.FlagSet) {
	fs.DurationVar(&o.limit, "limit", clock.DefaultLimit, "how far apart two members' clocks may be")
	fs.IntVar(&o.samples, "samples", 10, "readings of each clock by each source")
	fs.StringSliceVar(&o.sources, "source", []string{"auto"}, "where to read the clocks: auto, or serve, probing, date, ssh, several separated by commas")
	fs.StringVar(&o.ntp, "ntp", "", "time server that the members are compared with too")
	fs.StringVar(&o.peer.CACert, "peer-cacert", "", "CA bundle that the members' peer certificates are verified with (default: --cacert)")
	fs.StringVar(&o.peer.Cert, "peer-cert", "", "client certificate that the peer CA signed, for peer URLs (default: --cert)")
	fs.StringVar(&o.peer.Key, "peer-key", "", "private key of --peer-cert (default: --key)")
	fs.StringVar(&o.ssh.User, "ssh-user", "", "user to log in as with --source ssh")
	fs.StringVar(&o.ssh.Config, "ssh-config", "", "configuration file of ssh with --source ssh")
	addBoundFlag(fs, &o.bound)
}

// maxClockSamples keeps an audit from being a load.
const maxClockSamples = 10_000

func (o *clockOptions) kinds(cmd *cobra.Command) ([]clock.Kind, error) {
	if slices.Equal(o.sources, []string{"auto"}) {
		return nil, nil
	}
	known := []clock.Kind{clock.KindServe, clock.KindProbing, clock.KindDate, clock.KindSSH}
	var kinds []clock.Kind
	for _, s := range o.sources {
		kind := clock.Kind(s)
		if !slices.Contains(known, kind) {
			return nil, usageError(cmd, fmt.Errorf("--source is auto or some of serve, probing, date, ssh, not %q", s))
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

func (o *clockOptions) check(cmd *cobra.Command) error {
	switch {
	case o.limit <= 0:
		return usageError(cmd, fmt.Errorf("--limit is a duration above 0, not %v", o.limit))
	case o.bound <= 0:
		return usageError(cmd, fmt.Errorf("--member-timeout is a duration above 0, not %v", o.bound))
	case o.samples < 1 || o.samples > maxClockSamples:
		return usageError(cmd, fmt.Errorf("--samples is a number from 1 to %d, not %d", maxClockSamples, o.samples))
	}
	return nil
}

func newClockCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Do the members' clocks agree, proven with an error bound",
		Args:  cobra.ArbitraryArgs,
		RunE:  needSubcommand,
	}
	cmd.AddCommand(newClockAuditCmd(a), newClockWatchCmd(a))
	return cmd
}

func newClockAuditCmd(a *app) *cobra.Command {
	var opts clockOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Prove that all members' clocks are within a limit of each other, or that they are not",
		Long: `Reads the clock of every member, all at once, and bounds how far any two are apart. The bounds assume nothing about the
network: each reading was made between the question and its answer. The clock of this machine plays no part.

PASS: every pair is closer than the limit, for sure. FAIL: some pair is not, for sure. INCONCLUSIVE: the bound is wider than
what is left to the limit, or a member's clock could not be read. UNSTABLE: a clock was set during the audit, or its readings
contradict each other. It needs no quorum and commits nothing (with --user, the login itself does).

Clocks are read from the endpoint of etcdops serve on client URLs and from /raft/probing on peer URLs, to some microseconds;
where neither can be reached, as when the peer URLs want a certificate that is not here, from the Date header of client URLs,
in two to three seconds and to some milliseconds. --source ssh asks date on the members' hosts, by ssh as you configured it.

Formats (-w): table (default on a terminal), wide (all sources, and the differences of all pairs), simple (default
elsewhere: tabs between the fields), json and yaml (schema etcdops.clock/v1).

Exit codes: 0 PASS; 3 FAIL, UNSTABLE or INCONCLUSIVE; 5 no clock could be read, or no member answers; 2 usage;
130 interrupted.`,
		Example: `  etcdops clock audit
  etcdops clock audit --limit 100ms --samples 50 -w wide
  etcdops clock audit --ntp pool.ntp.org`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runClockAudit(cmd, opts) },
	}
	opts.addFlags(cmd.Flags())
	return cmd
}

func (a *app) runClockAudit(cmd *cobra.Command, opts clockOptions) error {
	show, err := a.clockPrinter(cmd)
	if err != nil {
		return err
	}
	audit, err := a.clockAudit(cmd, opts)
	if err != nil {
		return err
	}
	report, err := clock.Audit(cmd.Context(), audit.targets, audit.options, opts.limit)
	if err != nil {
		return &ops.HintError{Class: ops.ClassInterrupted, Op: "audit clocks", Err: err}
	}
	if err := show(report); err != nil {
		return err
	}
	if class, failed := clockClass(report); failed {
		return exitSilentError{class}
	}
	return nil
}

// clockClass is what a report means to a script.
func clockClass(r clock.Report) (ops.Class, bool) {
	read := slices.ContainsFunc(r.Clocks, func(c clock.Clock) bool { return c.State != clock.Missing && !c.Truth })
	switch {
	case !read:
		return ops.ClassUnreachable, true
	case r.Verdict != clock.Pass:
		return ops.ClassCritical, true
	}
	return 0, false
}

// clockSetup is what an audit is made of.
type clockSetup struct {
	targets []clock.Target
	options clock.Options
}

// clockAudit finds the members and loads the certificates.
func (a *app) clockAudit(cmd *cobra.Command, opts clockOptions) (clockSetup, error) {
	var setup clockSetup
	if err := opts.check(cmd); err != nil {
		return setup, err
	}
	kinds, err := opts.kinds(cmd)
	if err != nil {
		return setup, err
	}
	resolved, err := a.resolve(cmd)
	if err != nil {
		return setup, err
	}
	setup.options = clock.Options{Sources: kinds, Samples: opts.samples, Bound: opts.bound, NTP: opts.ntp, SSH: opts.ssh}
	client := resolved.Config.TLS
	if setup.options.TLS, err = client.ClientConfig(); err != nil {
		return setup, err
	}
	if setup.options.Peer, err = opts.peerTLS(client).ClientConfig(); err != nil {
		return setup, err
	}
	setup.targets, err = a.clockTargets(cmd, resolved, opts.bound)
	return setup, err
}

// peerTLS is how peer URLs are reached: as client URLs, where nothing else is said.
func (o *clockOptions) peerTLS(t ops.TLS) ops.TLS {
	t.ServerName = "" // names the servers' certificates for clients
	if o.peer.CACert != "" {
		t.CACert = o.peer.CACert
	}
	if o.peer.Cert != "" || o.peer.Key != "" {
		t.Cert, t.Key = o.peer.Cert, o.peer.Key
	}
	return t
}

// clockTargets lists the members. Where a user is needed for that and none is given, the endpoints stand for their
// members, and the rest is told as missing.
func (a *app) clockTargets(cmd *cobra.Command, resolved config.Resolved, bound time.Duration) ([]clock.Target, error) {
	cfg := resolved.Config
	cfg.DialTimeout, cfg.CommandTimeout = bound, 2*bound
	cluster, err := ops.Open(cfg)
	if err != nil {
		return nil, err
	}
	defer cluster.Close() //nolint:errcheck // nothing depends on how a read-only connection ends
	list, err := cluster.OwnMembership(cmd.Context())
	if ops.CodeOf(err) == ops.CodeUserNeeded {
		return endpointTargets(cluster.Config(), err), nil
	}
	if err != nil {
		return nil, err
	}
	var targets []clock.Target
	for _, m := range list.Members {
		t := clock.Target{ID: m.ID.String(), Name: m.Label(), ClientURLs: m.ClientURLs, PeerURLs: m.PeerURLs}
		if !m.Started() {
			t.Absent = "it never started"
		}
		targets = append(targets, t)
	}
	slices.SortStableFunc(targets, func(a, b clock.Target) int { return strings.Compare(a.Name, b.Name) })
	return targets, nil
}

func endpointTargets(cfg ops.Config, err error) []clock.Target {
	var targets []clock.Target
	for _, endpoint := range cfg.Endpoints {
		url := endpoint
		if !strings.Contains(url, "://") {
			scheme := "http://"
			if cfg.TLS.Enabled() {
				scheme = "https://"
			}
			url = scheme + url
		}
		targets = append(targets, clock.Target{Name: endpoint, ClientURLs: []string{url}})
	}
	reason := err.Error()
	if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Err != nil {
		reason = hint.Err.Error()
	}
	return append(targets, clock.Target{Name: "other members", Absent: "the member list is not known: " + reason})
}

func (a *app) clockPrinter(cmd *cobra.Command) (func(clock.Report) error, error) {
	switch format := a.reportFormat(); format {
	case "table", "wide":
		return func(r clock.Report) error { return printClock(a.io, r, format == "wide") }, nil
	case "simple":
		return func(r clock.Report) error { return printClockSimple(a.io, r) }, nil
	case "json":
		return func(r clock.Report) error { return ui.JSON(a.io.Out, r) }, nil
	case "yaml":
		return func(r clock.Report) error { return ui.YAML(a.io.Out, r) }, nil
	}
	return nil, badFormat(cmd, a.out, "table", "wide", "simple", "json", "yaml")
}
