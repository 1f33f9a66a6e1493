package server

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.etcd.io/etcd/pkg/v3/flags"
)

// helpWidth is the number of columns that the help page fills.
const helpWidth = 100

// flagGroup is a section of the help page; together the sections hold every flag but the ignored ones.
type flagGroup struct {
	title string
	names string // separated by spaces, in the order shown
}

// upstreamGroups follow the sections of upstream's own help page.
func upstreamGroups() []flagGroup {
	return []flagGroup{
		{"Member", "name data-dir wal-dir listen-client-urls advertise-client-urls listen-peer-urls listen-client-http-urls " +
			"config-file version snapshot-count heartbeat-interval election-timeout initial-election-tick-advance quota-backend-bytes " +
			"backend-bbolt-freelist-type backend-batch-interval backend-batch-limit max-txn-ops max-request-bytes " +
			"max-concurrent-streams grpc-keepalive-min-time grpc-keepalive-interval grpc-keepalive-timeout socket-reuse-port " +
			"socket-reuse-address enable-grpc-gateway raft-read-timeout raft-write-timeout memory-mlock max-wals max-snapshots feature-gates"},
		{"Cluster", "initial-cluster initial-cluster-state initial-cluster-token initial-advertise-peer-urls strict-reconfig-check " +
			"pre-vote max-learners auto-compaction-mode auto-compaction-retention"},
		{"Cluster by discovery", "discovery-srv discovery-srv-name discovery-token discovery-endpoints discovery-dial-timeout " +
			"discovery-request-timeout discovery-keepalive-time discovery-keepalive-timeout discovery-insecure-transport " +
			"discovery-insecure-skip-tls-verify discovery-cert discovery-key discovery-cacert discovery-user discovery-password discovery-fallback"},
		{"TLS for clients and metrics", "cert-file key-file trusted-ca-file client-cert-auth client-crl-file client-cert-allowed-hostname " +
			"client-cert-file client-key-file auto-tls"},
		{"TLS between peers", "peer-cert-file peer-key-file peer-trusted-ca-file peer-client-cert-auth peer-crl-file peer-cert-allowed-cn " +
			"peer-cert-allowed-hostname peer-client-cert-file peer-client-key-file peer-skip-client-san-verification peer-auto-tls"},
		{"TLS for both, and HTTP", "tls-min-version tls-max-version cipher-suites self-signed-cert-validity cors host-whitelist"},
		{"Users and passwords", "auth-token auth-token-ttl bcrypt-cost"},
		{"Metrics and profiling", "listen-metrics-urls metrics enable-pprof"},
		{"Log", "log-level log-format log-outputs logger enable-log-rotation log-rotation-config-json warning-apply-duration " +
			"warning-unary-request-duration"},
		{"Tracing", "enable-distributed-tracing distributed-tracing-address distributed-tracing-service-name " +
			"distributed-tracing-instance-id distributed-tracing-sampling-rate"},
		{"Checks and upkeep", "corrupt-check-time compact-hash-check-time compaction-batch-limit compaction-sleep-interval " +
			"watch-progress-notify-interval bootstrap-defrag-threshold-megabytes downgrade-check-time snapshot-catchup-entries v2-deprecation"},
		{"Dangerous: each can lose data", "force-new-cluster unsafe-no-fsync"},
	}
}

// WriteHelp writes every flag with its default, in groups, our additions last.
func WriteHelp(w io.Writer, extra ...func(*flag.FlagSet)) {
	set := newFlagSet(extra...)
	for _, group := range upstreamGroups() {
		fmt.Fprintf(w, "%s:\n", group.title)
		for name := range strings.FieldsSeq(group.names) {
			writeFlag(w, set.Lookup(name))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Additions of etcdops (variables %s_..., section %q of the settings file):\n", additionsPrefix, additionsSection)
	set.own.VisitAll(func(f *flag.Flag) { writeFlag(w, f) })
}

// Flags returns every flag that a person may want, for generators of documentation and completion.
func Flags(extra ...func(*flag.FlagSet)) *flag.FlagSet {
	set := newFlagSet(extra...)
	shown := flag.NewFlagSet("etcdops serve", flag.ContinueOnError)
	set.VisitAll(func(f *flag.Flag) {
		if !slices.Contains(ignoredFlags(), f.Name) {
			shown.Var(f.Value, f.Name, f.Usage)
		}
	})
	return shown
}

// writeFlag writes a flag's name, placeholder and default on one line and what it does below.
func writeFlag(w io.Writer, f *flag.Flag) {
	line := "  --" + f.Name
	if kind := placeholder(f); kind != "" {
		line += " " + kind
	}
	if f.DefValue != "" && f.DefValue != "false" {
		line += "  [" + f.DefValue + "]"
	}
	fmt.Fprintln(w, line)
	usage := strings.ReplaceAll(strings.ReplaceAll(f.Usage, "`", ""), "\n", ", ")
	for _, text := range wrap(usage, helpWidth-6) {
		fmt.Fprintln(w, "      "+text)
	}
}

// placeholder says what kind of value a flag takes; booleans need none.
func placeholder(f *flag.Flag) string {
	if b, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
		return ""
	}
	switch f.Value.(type) {
	case *flags.UniqueURLs:
		return "URL,..."
	case *flags.UniqueStringsValue, *flags.StringsValue:
		return "WORD,..."
	}
	kind, _ := flag.UnquoteUsage(&flag.Flag{Name: f.Name, Value: f.Value})
	switch kind {
	case "duration":
		return "DURATION"
	case "int", "uint", "float":
		return "N"
	}
	return "VALUE"
}

// wrap breaks text between words so that no line is longer than width where that is possible.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}
