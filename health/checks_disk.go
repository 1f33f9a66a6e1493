package health

const (
	fromMetrics = "the member's metrics"
	overWindow  = "the member's metrics at two moments: --deep with --window, or --since"
)

func diskChecks() []Check {
	return []Check{
		{
			ID: "disk.fsync", Title: "the write-ahead log reaches the disk quickly", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_disk_wal_fsync_duration_seconds", Rule: "p99 in milliseconds",
			Limits: Limits{Warn: 10, Crit: 500}, Unit: " ms", From: FromDocs,
			Cause:  "A slow or shared disk, network storage, a burst of other writers, or throttling by the cloud.",
			Danger: "Every write waits for the fsync of a majority; a leader that waits too long loses its leadership.",
			Fix: []string{
				"on the host: iostat -x 1; look for other writers on the same disk",
				"give etcd a local SSD of its own, or put the log apart: --wal-dir",
				"cloud: a volume type with guaranteed IOPS",
			},
			eval: ofWindow(func(c Check, w window) Outcome {
				return c.p99(w, "etcd_disk_wal_fsync_duration_seconds_bucket", "the log's fsync", "on its host: iostat -x 1; etcdops explain disk.fsync")
			}),
		},
		{
			ID: "disk.commit", Title: "the database commits quickly", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_disk_backend_commit_duration_seconds", Rule: "p99 in milliseconds",
			Limits: Limits{Warn: 25, Crit: 250}, Unit: " ms", From: FromDocs,
			Cause:  "A slow disk, a large or fragmented database, or large transactions.",
			Danger: "Applying falls behind, reads become stale and requests are refused.",
			Fix:    []string{"on the host: iostat -x 1", "a large database: compact and defragment, one member after the other"},
			eval: ofWindow(func(c Check, w window) Outcome {
				return c.p99(w, "etcd_disk_backend_commit_duration_seconds_bucket", "the database's commits", "on its host: iostat -x 1; etcdops explain disk.commit")
			}),
		},
		{
			ID: "process.files", Title: "file descriptors are left", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": process_open_fds, process_max_fds", Rule: "share in use",
			Limits: Limits{Warn: 80, Crit: 95}, Unit: "%", From: FromUs,
			Cause:  "Many clients or watches, each with a connection of its own, or a low limit in the unit file.",
			Danger: "Without descriptors etcd accepts no connection, and may fail to open its own files.",
			Fix:    []string{"raise LimitNOFILE in the unit file", "find who holds the connections: ss -tnp | grep 2379"},
			eval:   evalDescriptors,
		},
		{
			ID: "defrag.running", Title: "no defragmentation is running", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_disk_defrag_inflight", Rule: "told only", From: FromUs,
			Cause:  "Somebody defragments the member now.",
			Danger: "Until it ends the member answers no write and applies nothing: it lags, and checks of latency fail for that reason.",
			Fix:    []string{"wait for its end before anything else is done", "defragment one member after the other, the leader last"},
			eval: ofMetrics(func(c Check, ms Metrics) Outcome {
				o := c.gauge(ms, "etcd_disk_defrag_inflight", "defragmentations running", "")
				if o.Severity == SeverityOK && o.Value != "0" {
					o.Severity, o.Message = SeverityInfo, "is being defragmented: until that ends it applies nothing"
				}
				return o
			}),
		},
	}
}

func evalDescriptors(v *view, c Check) []Outcome {
	return eachMetrics(v, func(_ *member, ms Metrics) Outcome {
		open, known := ms.value("process_open_fds")
		limit, alsoKnown := ms.value("process_max_fds")
		if !known || !alsoKnown || limit <= 0 {
			return Outcome{Severity: SeverityUnknown, Message: "its platform does not tell its file descriptors"}
		}
		percent := 100 * open / limit
		shown := decimal(percent) + "%"
		return c.graded(percent, shown, decimal(open)+" of "+decimal(limit)+" file descriptors are in use", "raise LimitNOFILE in its unit; etcdops explain process.files")
	})
}
