package health

import (
	"fmt"
)

func loadChecks() []Check {
	return []Check{
		{
			ID: "proposals.pending", Title: "no writes queue up", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_server_proposals_pending", Rule: "proposals that wait", Limits: Limits{Warn: 100}, From: FromUs,
			Cause:  "More writes than the disks of a majority take, or no leader.",
			Danger: "Writes wait, and time out when the queue grows.",
			Fix:    []string{"find the clients that write most", "look at disk.fsync: etcdops health --deep"},
			eval: ofMetrics(func(c Check, ms Metrics) Outcome {
				return c.gauge(ms, "etcd_server_proposals_pending", "proposals wait", "look at its disk; etcdops explain proposals.pending")
			}),
		},
		{
			ID: "proposals.failed", Title: "writes do not fail", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_server_proposals_failed_total", Rule: "failures a second", Limits: Limits{Warn: 5}, Unit: "/s", From: FromMixin,
			Cause:  "Elections, a lost quorum, or writes that take longer than their time limit.",
			Danger: "Clients see errors for writes of which some may have been carried out.",
			Fix:    []string{"look at quorum and leader.changes first"},
			eval: ofWindow(func(c Check, w window) Outcome {
				return c.rate(w, "etcd_server_proposals_failed_total", "proposals failed", "etcdops explain proposals.failed", nil)
			}),
		},
		{
			ID: "apply.slow", Title: "writes are applied quickly", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_server_slow_apply_total against etcd_server_proposals_applied_total",
			Rule:   "share of the entries that took more than 100 ms to apply", Limits: Limits{Warn: 1}, Unit: "%", From: FromUs,
			Cause:  "Large transactions or ranges, a slow disk, or too little CPU.",
			Danger: "What comes behind waits: latency for everybody, lag on this member.",
			Fix:    []string{"read its log for \"apply request took too long\": it names the requests", "look at its disk and CPU"},
			eval:   evalSlowApply,
		},
		{
			ID: "read.index", Title: "linearizable reads are confirmed in time", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; etcd_server_slow_read_indexes_total, etcd_server_read_indexes_failed_total", Rule: "warns when either rises", From: FromUs,
			Cause:  "The member's way to the leader is slow or broken, or the leader cannot reach a majority.",
			Danger: "Linearizable reads through this member wait or fail.",
			Fix:    []string{"look at peer.roundtrip and quorum"},
			eval: ofWindow(func(c Check, w window) Outcome {
				return c.rising(w, "confirmations of reads were slow or failed", "etcdops explain read.index",
					"etcd_server_slow_read_indexes_total", "etcd_server_read_indexes_failed_total")
			}),
		},
	}
}

func requestChecks() []Check {
	return []Check{
		{
			ID: "grpc.latency", Title: "requests are answered quickly", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; grpc_server_handling_seconds of unary methods, which a member has with --metrics extensive only",
			Rule:   "p99 in milliseconds of the slowest method with at least 100 requests; Defragment, Snapshot and Hash left out", Limits: Limits{Warn: 150}, Unit: " ms", From: FromMixin,
			Cause:  "Large ranges, slow disks, or too many requests for the member's CPU.",
			Danger: "Clients time out; Kubernetes' API server becomes slow.",
			Fix:    []string{"the method tells: Range means large listings, Put and Txn mean the disk"},
			eval:   evalMethodLatency,
		},
		{
			ID: "grpc.failures", Title: "requests do not fail", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: overWindow + "; grpc_server_handled_total by method and code, Watch left out",
			Rule:   "share of a method's requests, when 10 or more failed for a reason of the server's", Limits: Limits{Warn: 1, Crit: 5}, Unit: "%", From: FromMixin,
			Cause:  "No leader, a full database, overload, or a fault of the server.",
			Danger: "Clients see errors.",
			Fix:    []string{"the code tells: Unavailable means no leader or restarts, ResourceExhausted a full database or too many requests"},
			eval:   evalFailures,
		},
		{
			ID: "watch.slow", Title: "watchers keep up", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_debugging_mvcc_slow_watcher_total, etcd_debugging_mvcc_pending_events_total",
			Rule:   "warns when watchers are behind at both of two moments", From: FromUs,
			Cause:  "Clients read their watches too slowly, or the member sends more than its network or CPU takes.",
			Danger: "Controllers act on old state, and the member's memory grows with what waits.",
			Fix:    []string{"find slow clients: ss -tn state established '( sport = :2379 )', look at Send-Q"},
			eval:   evalSlowWatchers,
		},
		{
			ID: "watch.streams", Title: "watches are counted", Scope: ScopeCluster, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_debugging_mvcc_watch_stream_total, etcd_debugging_mvcc_watcher_total", Rule: "told only", From: FromUs,
			Cause:  "Clients watch keys.",
			Danger: "None by itself; a number that only grows means that clients leak watches.",
			Fix:    []string{"compare with an earlier report"},
			eval:   evalWatchStreams,
		},
	}
}

func evalSlowApply(v *view, c Check) []Outcome {
	return eachWindow(v, func(w window) Outcome {
		slow, known := increase(w.before, w.now, "etcd_server_slow_apply_total", nil)
		all, alsoKnown := increase(w.before, w.now, "etcd_server_proposals_applied_total", nil)
		switch {
		case !known || !alsoKnown:
			return lacks("etcd_server_slow_apply_total")
		case slow == 0:
			return Outcome{Value: "0%", Message: "none of " + decimal(all) + " entries was slow to apply " + w.over()}
		}
		percent := min(100, 100*slow/max(all, 1))
		shown := decimal(percent) + "%"
		return c.graded(percent, shown, fmt.Sprintf("%s of %s entries (%s) were slow to apply %s", decimal(slow), decimal(all), shown, w.over()),
			"read its log for \"took too long\"; etcdops explain apply.slow")
	})
}

// heavy methods are slow by nature.
func heavy(method string) bool {
	switch method {
	case "Defragment", "Snapshot", "Hash", "HashKV", "Watch", "LeaseKeepAlive":
		return true
	}
	return false
}

// minRequests is the number of requests from which on a percentile says something of a method.
const minRequests = 100

func evalMethodLatency(v *view, c Check) []Outcome {
	return eachWindow(v, func(w window) Outcome {
		methods := histogram(w.before, w.now, "grpc_server_handling_seconds_bucket", "grpc_method")
		if len(methods) == 0 {
			return Outcome{Severity: SeverityUnknown, Message: "it does not measure its requests: it runs without --metrics extensive"}
		}
		worst, asked := Outcome{Message: "fewer than " + decimal(minRequests) + " requests of each kind " + w.over()}, 0.0
		for _, method := range sortedKeys(methods) {
			seconds, total := quantile99(methods[method])
			if heavy(method) || total < minRequests {
				continue
			}
			ms := seconds * 1000
			o := c.graded(ms, decimal(ms)+" ms", fmt.Sprintf("p99 of %s is %s ms (%.0f %s)", method, decimal(ms), total, w.over()), "etcdops explain grpc.latency")
			if asked == 0 || o.Severity > worst.Severity {
				worst = o
			}
			asked += total
		}
		return worst
	})
}

// serversFault reports whether a gRPC code tells of the server rather than of the request.
func serversFault(code string) bool {
	switch code {
	case "Unknown", "FailedPrecondition", "ResourceExhausted", "Internal", "Unavailable", "DataLoss", "DeadlineExceeded":
		return true
	}
	return false
}

// minFailures is the number of failures below which their share says nothing: this program's own requests are few.
const minFailures = 10

func evalFailures(v *view, c Check) []Outcome {
	const metric = "grpc_server_handled_total"
	return eachWindow(v, func(w window) Outcome {
		methods, known := map[string]bool{}, false
		w.now.each(metric, func(s Sample) { methods[s.label("grpc_method")], known = true, true })
		if !known {
			return lacks(metric)
		}
		worst := Outcome{Value: "0%", Message: "fewer than 10 requests of a kind failed " + w.over()}
		for _, method := range sortedKeys(methods) {
			if method == "Watch" {
				continue
			}
			all, _ := increase(w.before, w.now, metric, func(s Sample) bool { return s.label("grpc_method") == method })
			failed, _ := increase(w.before, w.now, metric, func(s Sample) bool {
				return s.label("grpc_method") == method && serversFault(s.label("grpc_code"))
			})
			if failed < minFailures {
				continue
			}
			percent := min(100, 100*failed/max(all, 1))
			shown := decimal(percent) + "%"
			o := c.graded(percent, shown, fmt.Sprintf("%s of %s requests %s failed (%s) %s", decimal(failed), decimal(all), method, shown, w.over()), "etcdops explain grpc.failures")
			if o.Severity > worst.Severity {
				worst = o
			}
		}
		return worst
	})
}

func evalSlowWatchers(v *view, _ Check) []Outcome {
	const slow, pending = "etcd_debugging_mvcc_slow_watcher_total", "etcd_debugging_mvcc_pending_events_total"
	return eachMetrics(v, func(m *member, ms Metrics) Outcome {
		n, known := ms.value(slow)
		if !known {
			return lacks(slow)
		}
		events, _ := ms.value(pending)
		if n == 0 && events == 0 {
			return Outcome{Value: "0", Message: "no watcher is behind"}
		}
		o := Outcome{Value: decimal(n), Message: fmt.Sprintf("%s watchers are behind, %s events wait for them", decimal(n), decimal(events))}
		w, reason := v.windowOf(m)
		if reason != "" {
			o.Severity, o.Message, o.Next = SeverityUnknown, o.Message+"; whether for long, one look cannot tell", "etcdops health --deep"
			return o
		}
		before, _ := w.before.value(slow)
		waited, _ := w.before.value(pending)
		if n > 0 && before > 0 || events > 0 && waited > 0 {
			o.Severity, o.Message, o.Next = SeverityWarning, o.Message+", as they were "+span(w.seconds)+" before", "etcdops explain watch.slow"
		}
		return o
	})
}

func evalWatchStreams(v *view, _ Check) []Outcome {
	streams, watchers, told := 0.0, 0.0, 0
	for _, m := range v.members {
		a, _ := m.scraped()
		if a == nil {
			continue
		}
		if n, known := a.Metrics.value("etcd_debugging_mvcc_watch_stream_total"); known {
			more, _ := a.Metrics.value("etcd_debugging_mvcc_watcher_total")
			streams, watchers, told = streams+n, watchers+more, told+1
		}
	}
	if told == 0 {
		if len(v.members) == 0 {
			return nil
		}
		return unknown("no member gave its metrics")
	}
	return []Outcome{{
		Severity: SeverityInfo, Value: decimal(watchers),
		Message: fmt.Sprintf("%s watches on %s streams, on %s", decimal(watchers), decimal(streams), plural(told, "member")),
	}}
}
