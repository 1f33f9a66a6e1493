package cmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// skewCheck is the check of a health report that decides.
const skewCheck = "version.skew"

// supportedSkew is what etcd's own documentation allows.
const supportedSkew = "members one minor version apart, while they are upgraded one after the other"

// skewOptions are the settings of `version --check-skew`.
type skewOptions struct {
	wanted bool
	failOn string
	bound  time.Duration
}

func (o *skewOptions) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.wanted, "check-skew", false, "ask all members for their versions, and say whether these may run side by side")
	fs.StringVar(&o.failOn, "fail-on", "critical", "what ends with exit code 3: critical, or warn for any skew")
	addBoundFlag(fs, &o.bound)
}

// skewJSON is schema etcdops.version_skew/v1.
type skewJSON struct {
	Schema    string           `json:"schema"`
	ClusterID ops.ClusterID    `json:"cluster_id"`
	TakenAt   time.Time        `json:"taken_at"`
	Severity  health.Severity  `json:"severity"` // of the check version.skew; unknown too while an endpoint that was named is silent
	Unknown   int              `json:"unknown"`  // members whose version is not known
	Silent    []string         `json:"silent"`   // endpoints of no known member that did not answer
	Supported string           `json:"supported"`
	Client    versionJSON      `json:"client"`
	Members   []skewMemberJSON `json:"members"`
	Findings  []health.Finding `json:"findings"` // of all checks of versions
}

// skewMemberJSON is one member's versions; null where it did not tell.
type skewMemberJSON struct {
	ID      ops.MemberID `json:"id"`
	Name    string       `json:"name"`
	State   health.State `json:"state"`
	Cause   string       `json:"cause"`
	Server  *string      `json:"server_version"`
	Cluster *string      `json:"cluster_version"`
	Storage *string      `json:"storage_version"`
}

func (a *app) runSkew(cmd *cobra.Command, opts skewOptions) error {
	level, err := readFailOn(opts.failOn)
	if err != nil || level == failOnDead {
		err = fmt.Errorf("--fail-on is critical or warn, not %q", opts.failOn)
	}
	if err == nil && opts.bound <= 0 {
		err = fmt.Errorf("--member-timeout is a duration above 0, not %v", opts.bound)
	}
	if err != nil {
		return usageError(cmd, err)
	}
	resolved, err := a.resolve(cmd)
	if err != nil {
		return err
	}
	facts, err := health.Collect(cmd.Context(), resolved.Config, health.Options{Bound: opts.bound, Depth: health.DepthNormal})
	if err != nil {
		return err
	}
	report := health.Evaluate(facts, health.Policy{Only: health.Select("version")})
	skew := skewOf(facts, report)
	if err := a.print(cmd, skew, func() error { return printSkew(a.io, resolved.Context, report, skew) }); err != nil {
		return err
	}
	if class, failed := skew.class(report.Reached, level == failOnWarn); failed {
		return exitSilentError{class}
	}
	return nil
}

// class says what the versions mean to a script; with warn any skew is a failure.
func (s skewJSON) class(reached, warn bool) (class ops.Class, failed bool) {
	switch {
	case !reached:
		return ops.ClassUnreachable, true
	case s.Severity == health.SeverityCritical, s.Severity == health.SeverityUnknown, s.Unknown > 0, len(s.Silent) > 0, s.Severity == health.SeverityWarning && warn:
		return ops.ClassCritical, true
	}
	return ops.ClassFailure, false
}

// skewOf picks the versions out of a health report.
func skewOf(facts health.Facts, r health.Report) skewJSON {
	s := skewJSON{
		Schema: "etcdops.version_skew/v1", ClusterID: r.ClusterID, TakenAt: r.TakenAt, Severity: health.SeverityUnknown,
		Supported: supportedSkew, Client: readVersion(), Members: []skewMemberJSON{}, Findings: r.Findings,
		Silent: []string{},
	}
	for _, e := range r.Strays {
		if e.Cause != "" {
			s.Silent = append(s.Silent, e.URL)
		}
	}
	if at := slices.IndexFunc(r.Checks, func(c health.CheckReport) bool { return c.ID == skewCheck }); at >= 0 && r.Reached {
		s.Severity, s.Unknown = r.Checks[at].Severity, r.Checks[at].Unknown
	}
	if len(s.Silent) > 0 && s.Severity < health.SeverityWarning {
		s.Severity = health.SeverityUnknown // what runs there may be any version
	}
	agreed := clusterVersions(facts)
	for _, m := range r.Members {
		one := skewMemberJSON{ID: m.ID, Name: m.Name, State: m.State, Cause: m.Cause, Server: m.Version, Storage: m.Storage}
		if version, told := agreed[m.ID]; told {
			one.Cluster = &version
		}
		s.Members = append(s.Members, one)
	}
	return s
}

// clusterVersions is the version of the cluster as each member knows it, by the endpoints that answered as that member.
func clusterVersions(facts health.Facts) map[ops.MemberID]string {
	agreed := map[ops.MemberID]string{}
	for _, e := range facts.Endpoints {
		if e.Metrics == nil {
			continue
		}
		version, known := e.Metrics.Metrics.ClusterVersion()
		for _, status := range e.Statuses {
			if known && status.Failure == nil {
				agreed[status.Status.MemberID] = version
			}
		}
	}
	return agreed
}

func printSkew(s *ui.Streams, name string, r health.Report, skew skewJSON) error {
	word := strings.ToUpper(skew.Severity.String())
	fmt.Fprintln(s.Out, s.Paint(colorOf(skew.Severity), word)+"  "+clusterLabel(name, r)+skewVerdict(r, skew))
	if len(skew.Members) > 0 {
		var rows [][]string
		for i, m := range skew.Members {
			rows = append(rows, []string{label(r.Members[i], false), text(m.Server, oneLine), text(m.Cluster, oneLine), text(m.Storage, oneLine), string(m.State)})
		}
		if err := ui.Table(s.Out, []string{"MEMBER", "SERVER", "CLUSTER", "STORAGE", "STATE"}, rows); err != nil {
			return err
		}
	}
	for _, e := range r.Strays {
		fmt.Fprintf(s.Out, "%s  %s: %s\n", oneLine(e.URL), e.State, oneLine(e.Cause))
	}
	for _, f := range merged(r) {
		if f.Severity >= health.SeverityWarning {
			fmt.Fprintln(s.Out, findingLines(s, f, false))
		}
	}
	_, err := fmt.Fprintf(s.Out, "client     etcdops %s, with the client of etcd %s\nsupported  %s\n", skew.Client.Version, skew.Client.Etcd, skew.Supported)
	return err
}

// skewVerdict says the outcome in words.
func skewVerdict(r health.Report, skew skewJSON) string {
	silent := ""
	if skew.Unknown > 0 {
		silent = fmt.Sprintf("the versions of %d of %d members are not known", skew.Unknown, len(skew.Members))
	}
	if n := len(skew.Silent); n > 0 {
		silent = strings.TrimPrefix(silent+"; what runs at ", "; ") + oneLine(strings.Join(skew.Silent, ", ")) + " is not known"
	}
	said := ""
	switch {
	case !r.Reached:
		return "no member answers"
	case len(skew.Members) == 0:
		said = "the members are not known"
	case skew.Severity == health.SeverityCritical:
		said = "the versions of the members are too far apart"
	case skew.Severity == health.SeverityWarning:
		said = "the members' versions differ, as they may while an upgrade is under way"
	case skew.Unknown == 0:
		said = "all members run one version"
	}
	return strings.TrimPrefix(strings.TrimSuffix(said+"; "+silent, "; "), "; ")
}
