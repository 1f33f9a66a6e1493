package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	// fragmentMinBytes is the database size below which OpenShift's operator does not defragment.
	fragmentMinBytes = 100 * mib
)

func storageChecks() []Check {
	return []Check{
		{
			ID: "alarm", Title: "no alarm is raised", Scope: ScopeMember,
			Source: "errors in every member's status (an alarm list would be a raft proposal)",
			Rule:   "critical for every alarm; warns for an error that is not known here", From: FromUs,
			Cause: "NOSPACE: a member's database reached its quota. CORRUPT: members were found to hold different data at one revision.",
			Danger: "NOSPACE: the whole cluster accepts reads and deletions only, until it is disarmed. CORRUPT: the named member must not be " +
				"trusted; its data may be wrong and may spread through backups.",
			Fix: []string{
				"NOSPACE: etcdops compact --physical REVISION (etcdops status tells it), then etcdops defrag --cluster, then etcdops alarm disarm",
				"NOSPACE comes back at the next write: the data themselves fill the quota. Delete keys, or raise --quota-backend-bytes (8 GiB " +
					"at most) and restart one member after the other",
				"CORRUPT: back up from a member that is not named, then replace the named one: etcdops explain replace-member",
				"an alarm of a member that no longer exists: etcdops alarm disarm",
			},
			eval: evalAlarm,
		},
		{
			ID: "quota.headroom", Title: "the databases are well below their quota", Scope: ScopeMember,
			Source: "database size and quota in the status (before 3.6: the quota in the metrics)",
			Rule:   "share of the quota in use", Limits: Limits{Warn: 75, Crit: 85}, Unit: "%", From: FromOpenShift,
			Cause:  "Too much data or history for the quota: no compaction, many events or large objects, or free pages never given back.",
			Danger: "At the quota the member raises the NOSPACE alarm, and the whole cluster refuses writes.",
			Fix: []string{
				"compact, then defragment one member after the other: etcdops compact REVISION; etcdops defrag --endpoints URL",
				"find what grows: etcdops get '' --prefix --keys-only",
				"raise --quota-backend-bytes (8 GiB at most) and restart one member after the other",
			},
			eval: evalHeadroom,
		},
		{
			ID: "quota.size", Title: "the quota is not above 8 GiB", Scope: ScopeMember,
			Source: "quota in the status (before 3.6: in the metrics)", Rule: "GiB of quota; exactly 8 is well", Limits: Limits{Warn: 8}, Unit: " GiB", From: FromSource,
			Cause:  "--quota-backend-bytes was raised beyond what etcd is tested with.",
			Danger: "Restarts, snapshots and the recovery of members take minutes at such sizes, and latency suffers.",
			Fix:    []string{"reduce the data, then the quota"},
			eval:   evalQuotaSize,
		},
		{
			ID: "backend.fragmentation", Title: "the database files hold little free space", Scope: ScopeMember,
			Source: "database size, and size in use, in the status",
			Rule:   "share of the file that is free; files below 100 MiB are left out", Limits: Limits{Warn: 45}, Unit: "%", From: FromOpenShift,
			Cause:  "Compaction frees pages inside the file, which never shrinks by itself.",
			Danger: "The file counts in full against the quota, and backups and restarts read all of it.",
			Fix:    []string{"one member after the other, the leader last: etcdops defrag --endpoints URL"},
			eval:   evalFragmentation,
		},
	}
}

func evalAlarm(v *view, _ Check) []Outcome {
	raised := map[ops.Alarm]bool{}
	out := eachStatus(v, func(_ *member, s *StatusAnswer) Outcome {
		alarms, others := s.Status.Alarms()
		for _, a := range alarms {
			raised[a] = true
		}
		if len(others) > 0 {
			return Outcome{Severity: SeverityWarning, Value: others[0], Message: "says: " + strings.Join(others, "; ")}
		}
		return Outcome{Message: "raises no alarm of its own"}
	})
	var alarms []Outcome
	for a := range raised {
		o := Outcome{
			Severity: SeverityCritical, Member: v.label(a.Member), Value: a.Type,
			Message: a.Type + " alarm: " + a.Meaning(), Next: "etcdops explain alarm",
		}
		if a.Type == alarmNoSpace {
			o.Next = makeRoom(v.commonRevision()) + "; etcdops alarm disarm; etcdops explain alarm"
		}
		switch {
		case a.Member == 0: // a leader raises it so when it cannot tell whose data are wrong
			o.Member = ""
			o.Message += " (of no member in particular)"
		case v.list != nil && v.byID(a.Member) == nil:
			o.Message += " (of a member that is not in the list)"
		}
		alarms = append(alarms, o)
	}
	slices.SortFunc(alarms, func(a, b Outcome) int { return strings.Compare(a.Member+a.Value, b.Member+b.Value) })
	return append(alarms, out...)
}

// alarmNoSpace is etcd's name of the alarm that a full database raises.
const alarmNoSpace = "NOSPACE"

// makeRoom is what to type to give room back in all databases: the history goes, and with --physical its pages are free by the
// time they are given back.
func makeRoom(revision int64) string {
	text := "REVISION"
	if revision > 0 {
		text = strconv.FormatInt(revision, 10)
	}
	return "etcdops compact --physical " + text + "; etcdops defrag --cluster"
}

func evalHeadroom(v *view, c Check) []Outcome {
	return eachStatus(v, func(m *member, s *StatusAnswer) Outcome {
		quota, known := m.quota()
		if !known {
			return noQuota(s)
		}
		percent := 100 * float64(s.Status.DBSize) / float64(quota)
		shown := fmt.Sprintf("%.0f%%", percent)
		return c.graded(percent, shown, fmt.Sprintf("database uses %s of its quota of %s", shown, Bytes(quota)),
			makeRoom(v.commonRevision())+"; etcdops explain quota.headroom")
	})
}

func evalQuotaSize(v *view, c Check) []Outcome {
	return eachStatus(v, func(m *member, s *StatusAnswer) Outcome {
		switch quota, known := m.quota(); {
		case !known:
			return noQuota(s)
		case float64(quota) > c.Limits.Warn*gib:
			return Outcome{
				Severity: SeverityWarning, Value: Bytes(quota), Limit: strconv.FormatFloat(c.Limits.Warn, 'f', -1, 64) + c.Unit,
				Message: "quota of " + Bytes(quota) + " is more than etcd is tested with", Next: "etcdops explain quota.size",
			}
		default:
			return Outcome{Value: Bytes(quota), Message: "quota of " + Bytes(quota)}
		}
	})
}

func evalFragmentation(v *view, c Check) []Outcome {
	return eachStatus(v, func(m *member, s *StatusAnswer) Outcome {
		percent, known := fragmentation(s.Status)
		if !known {
			return Outcome{Severity: SeverityUnknown, Message: "version " + s.Status.Version + " does not tell how much of its database is in use"}
		}
		shown := fmt.Sprintf("%.0f%%", percent)
		if s.Status.DBSize < fragmentMinBytes {
			return Outcome{Value: shown, Message: "database is small: " + Bytes(s.Status.DBSize)}
		}
		return c.graded(percent, shown, fmt.Sprintf("%s of the database file of %s is free space", shown, Bytes(s.Status.DBSize)),
			"etcdops defrag --endpoints "+m.answered[0].URL)
	})
}

// fragmentation returns the free share of the database file in percent.
func fragmentation(s *ops.Status) (percent float64, known bool) {
	if s.DBSize <= 0 || s.DBSizeInUse <= 0 || s.DBSizeInUse > s.DBSize {
		return 0, false
	}
	return 100 * float64(s.DBSize-s.DBSizeInUse) / float64(s.DBSize), true
}

// Bytes writes a size for people: 25M, 1.2G.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	value, unit := float64(n)/1024, 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	digits := 0
	if value < 9.95 {
		digits = 1
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', digits, 64), ".0") + units[unit:unit+1]
}
