package health

import (
	"fmt"
	"math"
	"strconv"
)

func progressChecks() []Check {
	return []Check{
		{
			ID: "quota.growth", Title: "no database is about to reach its quota", Scope: ScopeMember, Depth: DepthNormal, Window: true,
			Source: "database size at two moments, and the quota in the status (before 3.6: in the metrics)",
			Rule:   "hours until the quota is reached at the present growth, fewer are worse", Limits: Limits{Warn: 4}, Unit: " h", Fewer: true, From: FromMixin,
			Cause:  "Something writes much more than usual, or nothing is compacted.",
			Danger: "At the quota the whole cluster refuses writes.",
			Fix: []string{
				"find what grows: etcdops get '' --prefix --keys-only, twice",
				"compact: etcdops compact REVISION",
			},
			eval: evalGrowth,
		},
		{
			ID: "compaction.progress", Title: "old revisions are compacted", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": etcd_debugging_mvcc_compact_revision against the revision in the status, where needed at two moments",
			Rule:   "seconds without a compaction while revisions are added; a history below 10,000 revisions is well", Limits: Limits{Warn: 900}, Unit: " s", From: FromUs,
			Cause: "Kubernetes' API server, which compacts every five minutes, is down or uses another etcd; elsewhere " +
				"--auto-compaction-retention is not set.",
			Danger: "The database grows with every write until its quota stops the cluster.",
			Fix:    []string{"set --auto-compaction-mode and --auto-compaction-retention", "at once: etcdops compact REVISION"},
			eval:   evalCompaction,
		},
		{
			ID: "snapshot.transfer", Title: "no transfer of a snapshot is stuck", Scope: ScopeMember, Depth: DepthNormal,
			Source: fromMetrics + ": snapshots being received, sent and applied, where there are some at two moments",
			Rule:   "seconds that it takes", Limits: Limits{Warn: 300}, Unit: " s", From: FromUs,
			Cause:  "A member far behind is being filled; a slow network or disk draws this out.",
			Danger: "The member that is filled does not help the majority, and the leader's disk and network are busy.",
			Fix:    []string{"look at the network between the two and at the receiver's disk", "read both logs for \"snapshot\""},
			eval:   evalTransfer,
		},
	}
}

// quota returns a member's quota in bytes from wherever it tells it: its status, or (before 3.6) its metrics.
func (m *member) quota() (bytes int64, known bool) {
	s := m.last()
	if s == nil {
		return 0, false
	}
	if s.Status.DBQuota > 0 {
		return s.Status.DBQuota, true
	}
	a, _ := m.scraped()
	if a == nil {
		return 0, false
	}
	value, known := a.Metrics.value("etcd_server_quota_backend_bytes")
	return int64(value), known && value >= 1 && value < math.MaxInt64
}

// noQuota says why a member's quota is not known.
func noQuota(s *StatusAnswer) Outcome {
	return Outcome{
		Severity: SeverityUnknown, Message: "version " + s.Status.Version + " tells its quota in its metrics alone, which were not read",
	}
}

func evalGrowth(v *view, c Check) []Outcome {
	return eachStatus(v, func(m *member, s *StatusAnswer) Outcome {
		before, us := v.since(m, s.SentUS)
		if before == nil {
			return Outcome{Severity: SeverityUnknown, Message: "its earlier size is not known: it did not answer then"}
		}
		quota, known := m.quota()
		if !known {
			return noQuota(s)
		}
		seconds := float64(us) / 1e6
		grown := float64(s.Status.DBSize - before.Status.DBSize)
		if grown <= 0 {
			return Outcome{Message: "did not grow over " + span(seconds)}
		}
		hours := max(0, (float64(quota)-float64(s.Status.DBSize))/grown*seconds/3600)
		shown := span(hours * 3600)
		return c.graded(hours, shown, fmt.Sprintf("grew by %s over %s: at this rate its quota is reached in %s", Bytes(int64(grown)), span(seconds), shown),
			"find what writes; etcdops explain quota.growth")
	})
}

// shortHistory is the number of revisions below which compacting would gain nothing.
const shortHistory = 10_000

func evalCompaction(v *view, c Check) []Outcome {
	const metric = "etcd_debugging_mvcc_compact_revision"
	return eachStatus(v, func(m *member, s *StatusAnswer) Outcome {
		a, reason := m.scraped()
		if a == nil {
			return Outcome{Severity: SeverityUnknown, Message: reason}
		}
		compact, known := a.Metrics.value(metric)
		if !known {
			return lacks(metric)
		}
		history := max(0, float64(s.Status.Revision)-max(compact, 0))
		shown := strconv.FormatFloat(history, 'f', 0, 64)
		o := Outcome{Value: shown, Message: "keeps " + shown + " revisions of history"}
		if history < shortHistory {
			return o
		}
		before, us := v.since(m, a.SentUS)
		if before == nil || before.Metrics == nil {
			o.Severity, o.Message, o.Next = SeverityUnknown, o.Message+"; whether compaction runs, one look cannot tell", "etcdops health --deep --window 15m"
			return o
		}
		earlier, _ := before.Metrics.value(metric)
		seconds := float64(us) / 1e6
		added := s.Status.Revision - before.Status.Revision
		switch {
		case compact > earlier:
			o.Message += ", and was compacted within " + span(seconds)
		case added <= 0:
			o.Message += ", and nothing was written over " + span(seconds)
		default:
			o = c.graded(seconds, shown, fmt.Sprintf("keeps %s revisions, got %d more and was not compacted over %s", shown, added, span(seconds)),
				"etcdops compact "+strconv.FormatInt(max(s.Status.Revision-shortHistory, 1), 10)+"; etcdops explain compaction.progress")
			if o.Severity == SeverityOK {
				o.Severity, o.Next = SeverityUnknown, "etcdops health --deep --window 15m"
				o.Message += ": too short a time to tell"
			}
		}
		return o
	})
}

func evalTransfer(v *view, c Check) []Outcome {
	running := func(ms Metrics) (sum float64, known bool) {
		for _, metric := range []string{
			"etcd_network_snapshot_receive_inflights_total", "etcd_network_snapshot_send_inflights_total",
			"etcd_server_snapshot_apply_in_progress_total",
		} {
			n, ok := ms.value(metric)
			sum, known = sum+n, known || ok
		}
		return sum, known
	}
	return eachMetrics(v, func(m *member, ms Metrics) Outcome {
		n, known := running(ms)
		switch {
		case !known:
			return Outcome{Severity: SeverityUnknown, Message: "it has no metrics of snapshots"}
		case n <= 0:
			return Outcome{Value: "0", Message: "no snapshot is under way"}
		}
		o := Outcome{Severity: SeverityUnknown, Value: decimal(n), Message: "a snapshot is under way; for how long, one look cannot tell", Next: "etcdops health --deep --window 5m"}
		w, reason := v.windowOf(m)
		if reason != "" {
			return o
		}
		if before, _ := running(w.before); before <= 0 {
			o.Severity, o.Message, o.Next = SeverityInfo, "a snapshot is under way since less than "+span(w.seconds), ""
			return o
		}
		judged := c.graded(w.seconds, span(w.seconds), "a snapshot is under way since "+span(w.seconds)+" or longer", "look at disk and network of both; etcdops explain snapshot.transfer")
		if judged.Severity == SeverityOK {
			judged.Severity = SeverityInfo
		}
		return judged
	})
}
