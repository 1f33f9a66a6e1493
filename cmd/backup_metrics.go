package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/backup/archive"
)

// metric is one number for monitoring.
type metric struct {
	name, help string
	kind       string // "gauge" or "counter"
	value      float64
}

// Metrics that several commands tell.
const (
	metricVerified = "etcdops_backup_last_verified_timestamp_seconds"
	metricDrill    = "etcdops_backup_last_drill_timestamp_seconds"
)

// metricsOptions say where metrics go.
type metricsOptions struct {
	listen   string
	textfile string
}

func (o *metricsOptions) add(fs *pflag.FlagSet) {
	fs.StringVar(&o.listen, "listen-metrics", "", "ADDRESS:PORT to serve /metrics on, without TLS")
	fs.StringVar(&o.textfile, "metrics-file", "", "file for node_exporter's textfile collector, written anew every 15 s (NAME.prom)")
}

// archiveMetrics are the metrics of an archiver.
func archiveMetrics(p archive.Progress, now time.Time) []metric {
	bit := map[bool]float64{true: 1}
	seconds := -1.0
	if !p.Synced.IsZero() {
		seconds = now.Sub(p.Synced).Seconds()
	}
	return []metric{
		{"etcdops_archive_following", "1 while the stream of changes is followed", "gauge", bit[p.Following]},
		{"etcdops_archive_revision", "newest revision received", "gauge", float64(p.Archived)},
		{"etcdops_archive_stored_revision", "newest revision in the repository", "gauge", float64(p.Stored)},
		{"etcdops_archive_lag_revisions", "revisions of the cluster that are not in the repository", "gauge", float64(max(0, p.Cluster-p.Stored))},
		{"etcdops_archive_behind_seconds", "since when something may be missing; -1 before that is known", "gauge", seconds},
		{"etcdops_archive_waiting_bytes", "bytes on the local disk that the store has not taken", "gauge", float64(p.Waiting)},
		{"etcdops_archive_segments_total", "segments stored", "counter", float64(p.Segments)},
		{"etcdops_archive_restarts_total", "times that the stream broke", "counter", float64(p.Restarts)},
		{"etcdops_archive_gaps_total", "times that changes were compacted away before they were read", "counter", float64(p.Gaps)},
	}
}

// writeMetrics writes the text format of Prometheus.
func writeMetrics(w io.Writer, list []metric) {
	for _, m := range list {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %v\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
}

// textfileEvery is how often the file is written.
const textfileEvery = 15 * time.Second

// publish serves metrics until stop is called.
func (o *metricsOptions) publish(ctx context.Context, read func() []metric) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	if o.textfile != "" {
		if err := writeTextfile(o.textfile, read()); err != nil {
			cancel()
			return nil, fmt.Errorf("--metrics-file: %w", err)
		}
		go func() {
			tick := time.NewTicker(textfileEvery)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					_ = writeTextfile(o.textfile, read()) // its age tells
				}
			}
		}()
	}
	if o.listen == "" {
		return cancel, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("--listen-metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", metricsHandler(read))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			cancel()
		}
	}()
	return func() { cancel(); _ = server.Close() }, nil
}

// writeTextfile writes the file whole, so that a collector never reads half of it.
func writeTextfile(path string, list []metric) error {
	var b bytes.Buffer
	writeMetrics(&b, list)
	return writeWhole(path, b.Bytes(), 0o644) // the collector is another user
}
