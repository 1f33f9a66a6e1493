// Package monitoring describes how etcdops and the etcd inside it are watched: the dashboard that people look at.
package monitoring

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Panel is one graph of the dashboard.
type Panel struct {
	Title string
	About string  // what a reader should see in it
	Unit  string  // Grafana's name of the unit
	Alarm float64 // a line is drawn here; 0 for none
	Query []Query
}

// Query is a series of a panel: an expression of PromQL, and how its lines are called.
type Query struct{ Expr, Legend string }

// Row is a line of panels with a title.
type Row struct {
	Title  string
	Panels []Panel
}

// selected narrows a metric to the cluster chosen on top of the dashboard.
const selected = `job=~"$job"`

// quantile99 is the 99th percentile of a histogram over the time of a point.
func quantile99(histogram string) string {
	return fmt.Sprintf("histogram_quantile(0.99, sum by (instance, le) (rate(%s_bucket{%s}[$__rate_interval])))", histogram, selected)
}

func rate(counter string) string {
	return fmt.Sprintf("rate(%s{%s}[$__rate_interval])", counter, selected)
}

func value(metric string) string { return fmt.Sprintf("%s{%s}", metric, selected) }

func each(expr string) []Query { return []Query{{expr, "{{instance}}"}} }

// Rows are the dashboard, top to bottom: what is read first in an incident stands first. Thresholds are those of the health
// checks.
func Rows() []Row {
	return []Row{
		{"Can it serve", []Panel{
			{"Members with a leader", "Fewer than all: a member is cut off or down. None: nothing can be written.", "none", 0, []Query{
				{"sum(" + value("etcd_server_has_leader") + ")", "with a leader"}, {"count(" + value("etcd_server_has_leader") + ")", "scraped"},
			}},
			{
				"Leader changes", "More than a few an hour: disks or network too slow for the election timeout.", "none", 0,
				each("changes(" + value("etcd_server_leader_changes_seen_total") + "[1h])"),
			},
			{"Proposals that failed", "Each is a write that a client was told has failed.", "ops", 5, each(rate("etcd_server_proposals_failed_total"))},
			{"Proposals waiting", "More than 100 for minutes: the disk or the majority cannot keep up.", "none", 100, each(value("etcd_server_proposals_pending"))},
		}},
		{"Disk", []Panel{
			{"WAL fsync, 99th percentile", "The time of each write; above 10 ms the cluster gets slow.", "s", 0.01, each(quantile99("etcd_disk_wal_fsync_duration_seconds"))},
			{"Backend commit, 99th percentile", "Above 25 ms the disk is too slow or busy with something else.", "s", 0.025, each(quantile99("etcd_disk_backend_commit_duration_seconds"))},
			{
				"Database against its quota", "At the quota the cluster takes no more writes.", "percentunit", 0.85,
				each(value("etcd_mvcc_db_total_size_in_bytes") + " / " + value("etcd_server_quota_backend_bytes")),
			},
			{"Database: file and content", "The file shrinks only when a member is defragmented.", "bytes", 0, []Query{
				{value("etcd_mvcc_db_total_size_in_bytes"), "{{instance}} file"}, {value("etcd_mvcc_db_total_size_in_use_in_bytes"), "{{instance}} in use"},
			}},
		}},
		{"Network between members", []Panel{
			{"Round trip, 99th percentile", "Near the heartbeat interval (100 ms) elections begin.", "s", 0.15, each(quantile99("etcd_network_peer_round_trip_time_seconds"))},
			{"Bytes to peers", "", "Bps", 0, each("sum by (instance) (" + rate("etcd_network_peer_sent_bytes_total") + ")")},
			{"Heartbeats that could not be sent in time", "The leader's disk is too slow.", "ops", 0, each(rate("etcd_server_heartbeat_send_failures_total"))},
		}},
		{"Load", []Panel{
			{"Requests", "", "reqps", 0, []Query{
				{"sum by (grpc_method) (" + rate("grpc_server_handled_total") + ")", "{{grpc_method}}"},
			}},
			{"Requests that failed", "Those that end streams are left out.", "reqps", 0, []Query{{
				`sum by (grpc_method, grpc_code) (rate(grpc_server_handled_total{` + selected + `, grpc_type="unary", grpc_code!="OK"}[$__rate_interval]))`,
				"{{grpc_method}} {{grpc_code}}",
			}}},
			{"Slow applies", "", "ops", 0, each(rate("etcd_server_slow_apply_total"))},
			{"Keys", "", "short", 0, each(value("etcd_debugging_mvcc_keys_total"))},
			{"Watchers", "", "short", 0, each(value("etcd_debugging_mvcc_watcher_total"))},
			{"Bytes to clients", "", "Bps", 0, each(rate("etcd_network_client_grpc_sent_bytes_total"))},
		}},
		{"Processes", []Panel{
			{"Memory", "", "bytes", 0, each(value("process_resident_memory_bytes"))},
			{"Processor", "Cores in use.", "none", 0, each(rate("process_cpu_seconds_total"))},
			{"Open files against their limit", "", "percentunit", 0.8, each(value("process_open_fds") + " / " + value("process_max_fds"))},
		}},
	}
}

// dashboardUID lets Grafana find the dashboard again when it is imported a second time.
const dashboardUID = "etcdops-etcd"

// Grafana returns the dashboard as Grafana imports it (schema version 39, Grafana 11).
func Grafana() ([]byte, error) {
	var panels []map[string]any
	y := 0
	for _, row := range Rows() {
		panels = append(panels, map[string]any{
			"id": len(panels) + 1, "type": "row", "title": row.Title, "collapsed": false, "panels": []any{}, "gridPos": place(0, y, 24, 1),
		})
		y++
		for i, p := range row.Panels {
			panels = append(panels, p.grafana(len(panels)+1, place(i%columns*width, y+i/columns*height, width, height)))
		}
		y += (len(row.Panels) + columns - 1) / columns * height
	}
	doc := map[string]any{
		"uid": dashboardUID, "title": "etcd", "tags": []string{"etcd", "etcdops"}, "schemaVersion": 39, "editable": true,
		"refresh": "30s", "time": map[string]string{"from": "now-3h", "to": "now"}, "panels": panels,
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
			map[string]any{
				"name": "job", "type": "query", "label": "Job", "datasource": datasource(), "includeAll": true, "multi": true, "refresh": 1,
				"query": map[string]string{"query": "label_values(etcd_server_has_leader, job)", "refId": "job"}, "current": map[string]any{},
			},
		}},
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	return append(text, '\n'), err
}

// The grid of a dashboard is 24 columns wide.
const columns, width, height = 3, 8, 8

func place(x, y, w, h int) map[string]int { return map[string]int{"x": x, "y": y, "w": w, "h": h} }

func datasource() map[string]string {
	return map[string]string{"type": "prometheus", "uid": "${datasource}"}
}

func (p Panel) grafana(id int, at map[string]int) map[string]any {
	targets := make([]map[string]any, len(p.Query))
	for i, q := range p.Query {
		targets[i] = map[string]any{"refId": string(rune('A' + i)), "expr": q.Expr, "legendFormat": q.Legend, "datasource": datasource()}
	}
	steps := []map[string]any{{"color": "green", "value": nil}}
	style := "off"
	if p.Alarm > 0 {
		steps = append(steps, map[string]any{"color": "red", "value": p.Alarm})
		style = "line"
	}
	return map[string]any{
		"id": id, "type": "timeseries", "title": p.Title, "description": p.About, "gridPos": at, "datasource": datasource(), "targets": targets,
		"fieldConfig": map[string]any{"overrides": []any{}, "defaults": map[string]any{
			"unit": p.Unit, "min": 0, "thresholds": map[string]any{"mode": "absolute", "steps": steps},
			"custom": map[string]any{"fillOpacity": 5, "thresholdsStyle": map[string]string{"mode": style}},
		}},
		"options": map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom"}, "tooltip": map[string]string{"mode": "multi"}},
	}
}

// Metrics returns the metrics that the dashboard asks for, as they are named on a member's /metrics.
func Metrics() []string {
	var names []string
	seen := map[string]bool{}
	for _, row := range Rows() {
		for _, p := range row.Panels {
			for _, q := range p.Query {
				for _, name := range metricNames(q.Expr) {
					if !seen[name] {
						seen[name] = true
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

// metricNames finds what stands before a selector: in these expressions nothing but metrics does.
func metricNames(expr string) []string {
	var names []string
	for i, r := range expr {
		if r == '{' {
			start := strings.LastIndexFunc(expr[:i], func(r rune) bool {
				return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
			})
			names = append(names, expr[start+1:i])
		}
	}
	return names
}
