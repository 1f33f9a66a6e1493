package health

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Metrics are the samples of a scrape that the checks look at, in its order.
type Metrics []Sample

// Sample is one line of a scrape: name{labels} value.
type Sample struct {
	Name   string  `json:"name"`
	Labels []Label `json:"labels,omitempty"` // in the order of the scrape
	Value  float64 `json:"value"`
}

// Label is one label of a sample.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// label returns the value of a label, empty when there is none.
func (s Sample) label(name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// The limits of what is kept of a scrape; an honest one has about 500 samples of interest.
const (
	maxSamples   = 20_000
	maxScrape    = 16 << 20
	maxLine      = 4 << 10
	maxLabels    = 16
	maxLabelSize = 256
)

// wanted are the metrics that some check or report looks at, sorted.
func wanted() []string {
	return []string{
		"etcd_cluster_version",
		"etcd_debugging_mvcc_compact_revision",
		"etcd_debugging_mvcc_current_revision",
		"etcd_debugging_mvcc_pending_events_total",
		"etcd_debugging_mvcc_slow_watcher_total",
		"etcd_debugging_mvcc_watch_stream_total",
		"etcd_debugging_mvcc_watcher_total",
		"etcd_disk_backend_commit_duration_seconds_bucket",
		"etcd_disk_defrag_inflight",
		"etcd_disk_wal_fsync_duration_seconds_bucket",
		"etcd_network_active_peers",
		"etcd_network_known_peers",
		"etcd_network_peer_round_trip_time_seconds_bucket",
		"etcd_network_peer_sent_failures_total",
		"etcd_network_snapshot_receive_inflights_total",
		"etcd_network_snapshot_send_inflights_total",
		"etcd_server_feature_enabled",
		"etcd_server_heartbeat_send_failures_total",
		"etcd_server_leader_changes_seen_total",
		"etcd_server_proposals_applied_total",
		"etcd_server_proposals_failed_total",
		"etcd_server_proposals_pending",
		"etcd_server_quota_backend_bytes",
		"etcd_server_read_indexes_failed_total",
		"etcd_server_slow_apply_total",
		"etcd_server_slow_read_indexes_total",
		"etcd_server_snapshot_apply_in_progress_total",
		"etcdops_clock_kernel_max_error_seconds",
		"etcdops_clock_kernel_offset_seconds",
		"etcdops_clock_kernel_synchronised",
		"grpc_server_handled_total",
		"grpc_server_handling_seconds_bucket",
		"process_max_fds",
		"process_open_fds",
		"process_start_time_seconds",
	}
}

var errNoMetrics = errors.New("the answer holds no metrics of etcd")

// ParseMetrics reads the samples that checks look at out of a scrape in Prometheus' text format. What is not
// understood is passed over: a member of another version may say more than is known here. It fails when the input
// cannot be read, or holds nothing of interest.
func ParseMetrics(r io.Reader) (Metrics, error) {
	names := wanted()
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	out := make(Metrics, 0, 512)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || line[0] == '#' || len(line) > maxLine || line[0] != 'e' && line[0] != 'g' && line[0] != 'p' {
			continue
		}
		end := slices.IndexFunc(line, func(b byte) bool { return b == '{' || b == ' ' })
		if end < 0 {
			continue
		}
		at, ok := slices.BinarySearchFunc(names, line[:end], compareName)
		if !ok {
			continue
		}
		s, ok := parseSample(names[at], string(line[end:]))
		if !ok || s.Value == 0 && dull(s.Name) {
			continue
		}
		if len(out) == maxSamples {
			return nil, fmt.Errorf("more than %d samples of interest", maxSamples)
		}
		out = append(out, s)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errNoMetrics
	}
	return out, nil
}

func compareName(name string, line []byte) int { return strings.Compare(name, string(line)) }

// dull reports whether a sample of zero says as much as none: each code of each method has one.
func dull(name string) bool { return strings.HasPrefix(name, "grpc_server_") }

// parseSample reads what follows a metric's name: labels, value, and a time stamp that is passed over.
func parseSample(name, rest string) (Sample, bool) {
	s := Sample{Name: name}
	if strings.HasPrefix(rest, "{") {
		var ok bool
		if s.Labels, rest, ok = parseLabels(rest[1:]); !ok {
			return s, false
		}
	}
	value, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	n, err := strconv.ParseFloat(value, 64)
	s.Value = n
	return s, err == nil && math.Abs(n) <= maxValue // which NaN is not
}

// maxValue keeps infinities out, which JSON cannot hold.
const maxValue = 1e300

// parseLabels reads name="value",... up to the closing brace.
func parseLabels(text string) (labels []Label, rest string, ok bool) {
	for len(labels) <= maxLabels {
		text = strings.TrimLeft(text, ", ")
		if after, done := strings.CutPrefix(text, "}"); done {
			return labels, after, true
		}
		name, value, found := strings.Cut(text, "=")
		if !found || value == "" || value[0] != '"' {
			return nil, "", false
		}
		content, after, closed := quoted(value[1:])
		if !closed || len(content) > maxLabelSize || len(name) > maxLabelSize {
			return nil, "", false
		}
		labels, text = append(labels, Label{Name: name, Value: content}), after
	}
	return nil, "", false
}

// quoted reads up to the closing quote; \\, \" and \n stand for what they stand for.
func quoted(text string) (content, rest string, ok bool) {
	end := strings.IndexAny(text, `"\`)
	if end >= 0 && text[end] == '"' {
		return text[:end], text[end+1:], true
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			if text[i] == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
