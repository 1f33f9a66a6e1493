package monitoring

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AlertOptions are what rules are made for.
type AlertOptions struct {
	Job            string        // regular expression of the jobs that scrape members
	Objective      time.Duration // how old the newest verified backup may be
	DrillObjective time.Duration // how long ago a backup may have been restored for a test
	ClockLimit     time.Duration // how far apart the clocks of two members may be
	ArchiveLag     time.Duration // how long changes may take to get into the archive
}

// DefaultAlertOptions are those for backups every six hours and a drill a month.
func DefaultAlertOptions() AlertOptions {
	return AlertOptions{
		Job: ".*etcd.*", Objective: 7 * time.Hour, DrillObjective: 30 * 24 * time.Hour, ClockLimit: time.Second, ArchiveLag: 5 * time.Minute,
	}
}

// Severities of alerts.
const (
	Warning  = "warning"
	Critical = "critical"
)

// Alert is one rule.
type Alert struct {
	Name     string
	Expr     string        // PromQL
	For      time.Duration // how long it must hold
	Severity string
	Summary  string // what is wrong, in a line; Prometheus fills in what stands in braces
	Action   string // what to type or to look at
}

// AlertGroup is a group of rules.
type AlertGroup struct {
	Name   string
	About  string // what must be scraped for it
	Alerts []Alert
}

// Alerts are the rules. Thresholds are those of the health checks, but where a health check warns of what wakes nobody up: there
// the rule has its critical limit, or those of etcd's own rules.
func Alerts(o AlertOptions) []AlertGroup {
	return []AlertGroup{
		{"etcd", "Metrics of the members, of etcd 3.4 or later (3.6 for the quota).", o.members()},
		{"etcd-clocks", "Metrics of members that etcdops serve runs.", o.clocks()},
		{
			"etcd-backups", "Metrics of etcdops serve --backup-schedule or etcdops backup schedule, or what etcdops backup status --metrics-file writes.",
			o.backups(),
		},
		{"etcd-archive", "Metrics of etcdops backup archive.", o.archive()},
		{"etcd-health", "What etcdops health -w prom prints, by node_exporter's textfile collector.", o.health()},
	}
}

// metric narrows a metric to the jobs chosen.
func (o AlertOptions) metric(name string, more ...string) string {
	return name + "{" + strings.Join(append([]string{"job=~" + strconv.Quote(o.Job)}, more...), ", ") + "}"
}

// p99 is the 99th percentile of a histogram over five minutes.
func (o AlertOptions) p99(histogram string) string {
	return "histogram_quantile(0.99, sum by (job, instance, le) (rate(" + o.metric(histogram+"_bucket") + "[5m])))"
}

const atMember = " ({{ $labels.instance }})"

func (o AlertOptions) members() []Alert {
	return slices.Concat(o.quorum(), o.latencies(), o.space(), o.processes())
}

const minute = time.Minute

func (o AlertOptions) quorum() []Alert {
	up := o.metric("up")
	return []Alert{
		{
			"EtcdQuorumLost", "sum by (job) (" + up + ") < (count by (job) (" + up + ") + 1) / 2", 3 * minute, Critical,
			"most members of {{ $labels.job }} do not answer", "etcdops health; etcdops rebuild-cluster inspect when they do not come back",
		},
		{
			"EtcdMemberDown", up + " == 0", 3 * minute, Critical,
			"a member does not answer" + atMember, "etcdops health; etcdops recover member NAME when its data or machine is gone",
		},
		{"EtcdNoLeader", o.metric("etcd_server_has_leader") + " == 0", minute, Critical, "a member has no leader" + atMember, "etcdops health"},
		{
			"EtcdLeaderChanges", "increase(" + o.metric("etcd_server_leader_changes_seen_total") + "[15m]) >= 4", 5 * minute, Warning,
			"{{ $value | humanize }} changes of the leader in 15 minutes" + atMember, "etcdops health --deep; look at disks and network",
		},
		{
			"EtcdProposalsFail", "rate(" + o.metric("etcd_server_proposals_failed_total") + "[15m]) > 5", 15 * minute, Warning,
			"{{ $value | humanize }} writes a second fail" + atMember, "etcdops health",
		},
		{
			"EtcdProposalsPile", o.metric("etcd_server_proposals_pending") + " > 100", 15 * minute, Warning,
			"{{ $value }} writes wait" + atMember, "etcdops health --deep",
		},
	}
}

func (o AlertOptions) latencies() []Alert {
	return []Alert{
		{
			"EtcdFsyncSlow", o.p99("etcd_disk_wal_fsync_duration_seconds") + " > 0.1", 10 * minute, Warning,
			"the log reaches the disk in {{ $value | humanizeDuration }} (p99)" + atMember, "etcdops explain disk.fsync",
		},
		{
			"EtcdFsyncVerySlow", o.p99("etcd_disk_wal_fsync_duration_seconds") + " > 0.5", 10 * minute, Critical,
			"the log reaches the disk in {{ $value | humanizeDuration }} (p99)" + atMember, "etcdops explain disk.fsync",
		},
		{
			"EtcdCommitSlow", o.p99("etcd_disk_backend_commit_duration_seconds") + " > 0.25", 10 * minute, Warning,
			"the database reaches the disk in {{ $value | humanizeDuration }} (p99)" + atMember, "etcdops explain disk.commit",
		},
		{
			"EtcdPeersFar", o.p99("etcd_network_peer_round_trip_time_seconds") + " > 0.15", 10 * minute, Warning,
			"a round trip to a peer takes {{ $value | humanizeDuration }} (p99)" + atMember, "etcdops health --deep",
		},
	}
}

func (o AlertOptions) space() []Alert {
	size, quota := o.metric("etcd_mvcc_db_total_size_in_bytes"), o.metric("etcd_server_quota_backend_bytes")
	return []Alert{
		{
			"EtcdDatabaseNearQuota", size + " / " + quota + " > 0.85", 10 * minute, Warning,
			"the database uses {{ $value | humanizePercentage }} of its quota" + atMember, "etcdops health; etcdops defrag when much of the file is free",
		},
		{
			"EtcdDatabaseFull", size + " / " + quota + " > 0.95", 10 * minute, Critical,
			"the database uses {{ $value | humanizePercentage }} of its quota: writes will be refused" + atMember, "etcdops health",
		},
		{
			"EtcdDatabaseFillsUp", "predict_linear(" + size + "[4h], 14400) > " + quota + " and " + size + " / " + quota + " > 0.5", 10 * minute, Warning,
			"the database reaches its quota within four hours" + atMember, "etcdops explain quota.growth",
		},
		{
			"EtcdDatabaseFragmented", o.metric("etcd_mvcc_db_total_size_in_use_in_bytes") + " / " + size + " < 0.45 and " + size + " > 104857600", time.Hour, Warning,
			"{{ $value | humanizePercentage }} of the database file hold data" + atMember, "etcdops defrag",
		},
	}
}

func (o AlertOptions) processes() []Alert {
	return []Alert{
		{
			"EtcdRequestsFail",
			"sum by (job, instance, grpc_method) (rate(" + o.metric("grpc_server_handled_total", `grpc_type="unary"`, `grpc_code=~"Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss"`) +
				"[5m])) / sum by (job, instance, grpc_method) (rate(" + o.metric("grpc_server_handled_total", `grpc_type="unary"`) + "[5m])) > 0.05",
			10 * minute, Critical, "{{ $value | humanizePercentage }} of the requests {{ $labels.grpc_method }} fail" + atMember, "etcdops health",
		},
		{
			"EtcdFilesRunOut", o.metric("process_open_fds") + " / " + o.metric("process_max_fds") + " > 0.8", 10 * minute, Warning,
			"{{ $value | humanizePercentage }} of the file descriptors are in use" + atMember, "raise LimitNOFILE of the service, and look for clients that do not close",
		},
		{
			"EtcdRestarts", "changes(" + o.metric("process_start_time_seconds") + "[1h]) > 2", 0, Warning,
			"the member started {{ $value }} times within an hour" + atMember, "its log says why; etcdops health",
		},
	}
}

func (o AlertOptions) clocks() []Alert {
	lower, upper := o.metric("etcdops_clock_peer_offset_lower_seconds"), o.metric("etcdops_clock_peer_offset_upper_seconds")
	beyond := func(limit float64) string {
		return fmt.Sprintf("%s > %v or %s < -%v", lower, limit, upper, limit)
	}
	const peer = "the clocks of {{ $labels.name }} and of {{ $labels.instance }} are at least {{ $value | humanizeDuration }} apart"
	return []Alert{
		{"EtcdClockSkewNear", beyond(o.ClockLimit.Seconds() * 0.4), 5 * time.Minute, Warning, peer, "etcdops clock audit"},
		{"EtcdClockSkew", beyond(o.ClockLimit.Seconds()), time.Minute, Critical, peer, "etcdops clock audit"},
		{
			"EtcdClockUnsynchronised", o.metric("etcdops_clock_kernel_synchronised") + " == 0", 30 * time.Minute, Warning,
			"no time service synchronises the clock of {{ $labels.instance }}", "chronyc tracking",
		},
	}
}

func (o AlertOptions) backups() []Alert {
	age := func(metric string) string { return "time() - max by (job, cluster) (" + metric + ")" }
	later := func(limit time.Duration) string { return fmt.Sprintf(" > %d", int64(limit.Seconds())) }
	return []Alert{
		{
			"EtcdBackupTooOld", age("etcdops_backup_last_verified_timestamp_seconds") + later(o.Objective), 5 * time.Minute, Critical,
			"the newest verified backup is {{ $value | humanizeDuration }} old", "etcdops backup status; etcdops backup create",
		},
		{
			"EtcdBackupFails", "sum by (job) (increase(etcdops_backup_failures_total[1h])) > 0", 0, Warning,
			"backups fail", "the log of the scheduler says why; etcdops backup create tries it at once",
		},
		{
			"EtcdBackupNobodyElected", "max by (job) (etcdops_backup_leading) == 0", 15 * time.Minute, Warning,
			"no scheduler takes backups: none could be elected", "etcdops health",
		},
		{
			"EtcdBackupDamaged", "max by (job, cluster) (etcdops_backup_damaged) > 0", 0, Critical,
			"{{ $value }} backups are damaged", "etcdops backup list; etcdops backup verify",
		},
		{
			"EtcdDrillStale", age("etcdops_backup_last_drill_timestamp_seconds") + later(o.DrillObjective), time.Hour, Warning,
			"no backup was restored for a test for {{ $value | humanizeDuration }}", "etcdops backup drill",
		},
		{
			"EtcdBackupStatusStale", "time() - max by (job) (etcdops_backup_status_timestamp_seconds)" + later(o.Objective), 5 * time.Minute, Warning,
			"nobody has looked at the backups for {{ $value | humanizeDuration }}", "systemctl status etcdops-backup.timer",
		},
	}
}

func (o AlertOptions) archive() []Alert {
	return []Alert{
		{
			"EtcdArchiveNotFollowing", "max by (job) (etcdops_archive_following) == 0", 10 * time.Minute, Critical,
			"changes of the cluster are not archived", "the log of etcdops backup archive says why",
		},
		{
			"EtcdArchiveBehind", fmt.Sprintf("min by (job) (etcdops_archive_behind_seconds >= 0) > %d", int64(o.ArchiveLag.Seconds())), 5 * time.Minute, Warning,
			"the archive is {{ $value | humanizeDuration }} behind the cluster", "etcdops backup status",
		},
		{
			"EtcdArchiveGap", "sum by (job) (increase(etcdops_archive_gaps_total[1h])) > 0", 0, Warning,
			"changes were compacted away before they were archived: revisions in between cannot be restored", "etcdops backup status",
		},
	}
}

func (o AlertOptions) health() []Alert {
	return []Alert{
		{
			"EtcdHealthCritical", "max by (context, cluster) (etcdops_health_severity) == 2", 5 * time.Minute, Critical,
			"etcdops health finds something critical in {{ $labels.context }}{{ $labels.cluster }}", "etcdops health",
		},
		{
			"EtcdHealthStale", "time() - max by (context, cluster) (etcdops_health_timestamp_seconds) > 900", 0, Warning,
			"nobody has asked for the health of {{ $labels.context }}{{ $labels.cluster }} for {{ $value | humanizeDuration }}",
			"look at the cron job or timer that runs etcdops health -w prom",
		},
		{
			"EtcdCertificateExpires", "min by (member) (etcdops_health_member_certificate_expiry_seconds) - time() < 604800", 0, Critical,
			"the certificate of {{ $labels.member }} ends in {{ $value | humanizeDuration }}", "renew it; members read it again by themselves",
		},
	}
}

// AlertRules returns the rules as a file of Prometheus.
func AlertRules(o AlertOptions) ([]byte, error) {
	if _, err := regexp.Compile(o.Job); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	for _, limit := range []time.Duration{o.Objective, o.DrillObjective, o.ClockLimit, o.ArchiveLag} {
		if limit <= 0 {
			return nil, fmt.Errorf("%v is no limit", limit)
		}
	}
	var b strings.Builder
	b.WriteString("# Alerts on etcd and its backups. Made by: etcdops generate alerts\ngroups:\n")
	for _, g := range Alerts(o) {
		fmt.Fprintf(&b, "  # %s\n  - name: %s\n    rules:\n", g.About, g.Name)
		for _, a := range g.Alerts {
			fmt.Fprintf(&b, "      - alert: %s\n        expr: %s\n", a.Name, quoteYAML(a.Expr))
			if a.For > 0 {
				fmt.Fprintf(&b, "        for: %s\n", promDuration(a.For))
			}
			fmt.Fprintf(&b, "        labels:\n          severity: %s\n", a.Severity)
			fmt.Fprintf(&b, "        annotations:\n          summary: %s\n          action: %s\n", quoteYAML(a.Summary), quoteYAML(a.Action))
		}
	}
	return []byte(b.String()), nil
}

// quoteYAML quotes a text of one line.
func quoteYAML(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// promDuration writes a duration as Prometheus does.
func promDuration(d time.Duration) string {
	if d%time.Hour == 0 {
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Minutes())) + "m"
}

// AlertMetrics returns the metrics that the rules ask for; up among them is Prometheus' own.
func AlertMetrics(o AlertOptions) []string {
	var names []string
	for _, g := range Alerts(o) {
		for _, name := range g.Metrics() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Metrics names the metrics that a group's rules read, each once.
func (g AlertGroup) Metrics() []string {
	metric := regexp.MustCompile(`\b(?:etcd|etcdops|process|grpc|up)(?:_[a-z0-9_]+)?\b`)
	labels := regexp.MustCompile(`\{[^}]*\}|\bby \([^)]*\)`)
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	var names []string
	for _, a := range g.Alerts {
		for _, name := range metric.FindAllString(labels.ReplaceAllString(quoted.ReplaceAllString(a.Expr, ""), ""), -1) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
