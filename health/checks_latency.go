package health

import (
	"fmt"
	"time"
)

func latencyChecks() []Check {
	return []Check{{
		ID: "read.latency", Title: "reads are answered quickly", Scope: ScopeMember,
		Source: "time of one linearizable and one serializable read of one key, connecting apart",
		Rule:   "milliseconds of the slower of the two", Limits: Limits{Warn: 500}, Unit: " ms", From: FromOpenShift,
		Cause:  "A slow network between this machine and the member or between the members, an overloaded member, or many requests ahead.",
		Danger: "Clients time out; Kubernetes' API server becomes slow and its leader elections fail.",
		Fix: []string{
			"only the linearizable read is slow: the member's way to the leader, or a majority, is slow",
			"both are slow: this machine's way to the member, or the member itself",
		},
		eval: evalReadLatency,
	}}
}

func evalReadLatency(v *view, c Check) []Outcome {
	return eachStatus(v, func(m *member, _ *StatusAnswer) Outcome {
		linear, lok := m.latency(func(e *Endpoint) *Answer { return e.Linearizable })
		serial, sok := m.latency(func(e *Endpoint) *Answer { return e.Serializable })
		if !sok && !lok {
			return Outcome{Severity: SeverityUnknown, Message: "no read was answered: " + m.readFailure()}
		}
		ms := float64(max(linear, serial).Microseconds()) / 1000
		shown := fmt.Sprintf("%.1f ms", ms)
		o := c.graded(ms, shown, "slowest read took "+shown, "etcdops explain read.latency")
		if !lok && !m.Learner && o.Severity == SeverityOK {
			o.Severity, o.Message = SeverityUnknown, "no linearizable read was answered: "+m.readFailure()
		}
		return o
	})
}

// latency returns the quickest answer over the member's endpoints: its slower addresses are not its fault.
func (m *member) latency(pick func(*Endpoint) *Answer) (best time.Duration, ok bool) {
	for _, e := range m.answered {
		if a := pick(e); a.done() {
			if d := time.Duration(a.TookUS) * time.Microsecond; !ok || d < best {
				best, ok = d, true
			}
		}
	}
	return best, ok
}

func (m *member) readFailure() string {
	for _, e := range m.answered {
		for _, a := range []*Answer{e.Linearizable, e.Serializable} {
			if a != nil && a.Failure != nil {
				return a.Failure.Message
			}
		}
	}
	return "none was sent"
}
