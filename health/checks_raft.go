package health

import (
	"fmt"
	"strconv"
)

func raftChecks() []Check {
	return []Check{
		{
			ID: "raft.lag", Title: "every voter has the leader's log", Scope: ScopeMember,
			Source: "committed index: the leader's is read first, the member's after it where it matters, so that a busy healthy cluster shows no lag",
			Rule:   "entries that the member lacks", Limits: Limits{Warn: 1000, Crit: 5000}, Unit: " entries", From: FromSource,
			Cause:  "The member was down or cut off, or its disk or network is slower than the writes.",
			Danger: "A lagging voter cannot help a majority quickly: if another one fails, writes wait for it.",
			Fix:    []string{"ask again: a lag that shrinks heals by itself", "look at the member's disk latency and network", "a member that never catches up: etcdops explain replace-member"},
			eval:   evalRaftLag,
		},
		{
			ID: "apply.lag", Title: "every voter has applied what is committed", Scope: ScopeMember,
			Source: "committed and applied index in one status",
			Rule:   "committed entries that are not applied", Limits: Limits{Warn: 1000, Crit: 5000}, Unit: " entries", From: FromSource,
			Cause:  "The member's database is slow: disk, very large requests, or a defragmentation under way.",
			Danger: "Reads through this member are stale; from 5000 on it refuses requests (\"too many requests\").",
			Fix:    []string{"look at the member's disk and CPU", "move the leader away if it is the leader: etcdops move-leader ID"},
			eval:   evalApplyLag,
		},
		{
			ID: "learner.progress", Title: "no learner is stuck", Scope: ScopeMember,
			Source: "the learner's applied index against the leader's committed index",
			Rule:   "seconds without progress below 90 %, seen at two moments; from 90 % on it may be promoted, which is told",
			Limits: Limits{Warn: 600}, Unit: " s", From: FromSource,
			Cause:  "A learner receives a snapshot first and the log after it; a slow network or disk draws this out.",
			Danger: "A learner does not vote: until it is promoted, the cluster survives no more failures than without it.",
			Fix:    []string{"ask again and compare its LAG", "when it has caught up: etcdops member promote ID"},
			eval:   evalLearner,
		},
	}
}

// reference is the leader's first sample, which a follower's later one is held against.
func (v *view) reference() *StatusAnswer {
	m := v.byID(v.leader())
	if m == nil {
		return nil
	}
	s := m.first()
	if s == nil || s.Status.Leader != m.ID {
		return nil
	}
	return s
}

// lag returns how many entries a member lacks of what the leader has committed. Read after the leader's sample, the
// member's tells it exactly; read before it, or at the same time, it tells an upper bound, because the leader only moves
// on. known is false when there is no pair of samples.
func (v *view) lag(m *member) (entries uint64, exact, known bool) {
	ref, s := v.reference(), m.last()
	switch {
	case ref == nil || s == nil:
		return 0, false, false
	case m.ID == v.leader():
		return 0, true, true
	}
	entries = less(ref.Status.RaftIndex, s.Status.RaftIndex)
	return entries, entries == 0 || s.SentUS >= ref.SentUS+ref.TookUS, true
}

// less subtracts without going below zero.
func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func evalRaftLag(v *view, c Check) []Outcome {
	return eachStatus(v, func(m *member, _ *StatusAnswer) Outcome {
		if m.Learner {
			return Outcome{Message: "left to learner.progress"}
		}
		n, exact, known := v.lag(m)
		switch {
		case !known:
			return Outcome{Severity: SeverityUnknown, Message: "no sample of the leader to hold it against"}
		case !exact && c.Limits.grade(float64(n)) != SeverityOK:
			return Outcome{Severity: SeverityUnknown, Message: "no sample taken after the leader's"}
		}
		shown := strconv.FormatUint(n, 10)
		return c.graded(float64(n), shown, shown+" entries behind the leader", "ask again: a lag that shrinks heals by itself")
	})
}

func evalApplyLag(v *view, c Check) []Outcome {
	return eachStatus(v, func(m *member, s *StatusAnswer) Outcome {
		if m.Learner {
			return Outcome{Message: "left to learner.progress"}
		}
		if release, ok := parseRelease(s.Status.Version); !ok || release.before(3, 4) {
			return Outcome{Severity: SeverityUnknown, Message: "version " + s.Status.Version + " does not tell its applied index"}
		}
		n := less(s.Status.RaftIndex, s.Status.RaftApplied)
		shown := strconv.FormatUint(n, 10)
		return c.graded(float64(n), shown, shown+" committed entries not applied", "look at the member's disk and CPU")
	})
}

// readyPercent of the leader's log is what etcd itself asks of a learner before it promotes it.
const readyPercent = 90

func evalLearner(v *view, c Check) []Outcome {
	var out []Outcome
	ref := v.reference()
	for _, m := range v.members {
		s := m.last()
		switch {
		case !m.Learner && (s == nil || !s.Status.Learner), !m.Started() && s == nil:
			continue
		case s == nil:
			out = append(out, Outcome{Severity: SeverityUnknown, Member: m.label, Message: "not known: " + m.whySilent()})
		case ref == nil:
			out = append(out, Outcome{Severity: SeverityUnknown, Member: m.label, Message: "no sample of the leader to hold it against"})
		default:
			out = append(out, v.progress(c, m, s, ref.Status.RaftIndex))
		}
	}
	if len(out) == 0 && v.list != nil {
		out = append(out, Outcome{Message: "no learner to wait for"})
	}
	return out
}

// progress judges a learner: ready, moving, or not seen to move.
func (v *view) progress(c Check, m *member, s *StatusAnswer, leader uint64) Outcome {
	applied := s.Status.RaftApplied
	percent := 100 * float64(applied) / float64(max(leader, 1))
	o := Outcome{Member: m.label, Value: fmt.Sprintf("%.0f%%", min(percent, 100)), Limit: strconv.Itoa(readyPercent) + "%"}
	o.Message = "learner has applied " + o.Value + " of the leader's log"
	if percent >= readyPercent {
		o.Severity, o.Next = SeverityInfo, "etcdops member promote "+m.ID.String()
		o.Message += ": it may be promoted"
		return o
	}
	before, us := v.since(m, s.SentUS)
	seconds := float64(us) / 1e6
	switch {
	case before == nil:
		o.Severity, o.Next = SeverityUnknown, "etcdops health --deep --window 1m"
		o.Message += "; one look cannot tell whether it moves"
	case applied > before.Status.RaftApplied:
		o.Severity = SeverityInfo
		o.Message += fmt.Sprintf(" and moves: %d entries over %s", applied-before.Status.RaftApplied, span(seconds))
	default:
		judged := c.graded(seconds, o.Value, o.Message+" and has not moved for "+span(seconds), "look at its disk, network and log; etcdops explain learner.progress")
		if judged.Severity == SeverityOK {
			judged.Severity, judged.Next = SeverityUnknown, "etcdops health --deep --window 10m"
			judged.Message += ": too short a time to tell"
		}
		judged.Member = m.label
		return judged
	}
	return o
}
