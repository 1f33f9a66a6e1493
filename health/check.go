package health

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/etcdops/etcdops/ops"
)

// Scope says what a check looks at.
type Scope string

// The scopes.
const (
	ScopeCluster  Scope = "cluster"
	ScopeMember   Scope = "member"
	ScopeEndpoint Scope = "endpoint"
)

// Origin says where a threshold comes from.
type Origin string

// The origins.
const (
	FromMixin     Origin = "etcd-mixin"
	FromOpenShift Origin = "OpenShift's etcd operator"
	FromSource    Origin = "etcd's source"
	FromDocs      Origin = "etcd's documentation"
	FromUs        Origin = "etcdops"
)

// Limits are the values from which on a check warns and turns critical. Zero means that there is no such level.
type Limits struct {
	Warn float64 `json:"warn,omitempty"`
	Crit float64 `json:"crit,omitempty"`
}

// grade holds a value against the limits; a value that reaches a limit has crossed it.
func (l Limits) grade(value float64) Severity {
	switch {
	case l.Crit > 0 && value >= l.Crit:
		return SeverityCritical
	case l.Warn > 0 && value >= l.Warn:
		return SeverityWarning
	}
	return SeverityOK
}

// gradeFewer is grade for values of which fewer are worse.
func (l Limits) gradeFewer(value float64) Severity {
	switch {
	case l.Crit > 0 && value <= l.Crit:
		return SeverityCritical
	case l.Warn > 0 && value <= l.Warn:
		return SeverityWarning
	}
	return SeverityOK
}

// crossed returns the limit that a severity stands for, as text with its unit.
func (l Limits) crossed(s Severity, unit string) string {
	limit := l.Warn
	if s == SeverityCritical {
		limit = l.Crit
	}
	if limit == 0 || s < SeverityWarning {
		return ""
	}
	return strconv.FormatFloat(limit, 'f', -1, 64) + unit
}

// Check is one thing that is looked at: an entry of the table. Everything about it stands here; adding a check is
// adding an entry.
type Check struct {
	ID     string // dotted, stable: "raft.lag"
	Title  string // what is well when it is ok, in a few words
	Scope  Scope
	Source string // where the facts come from
	Rule   string // when it warns and when it is critical, in words
	Limits Limits // of the value, in Unit; zero for checks without numbers
	Unit   string // " entries", "%", "ms"
	From   Origin // of the limits or of the rule
	Fewer  bool   // the limits are reached from above: fewer are worse
	Needed bool   // without an answer there is no verdict on the cluster
	Depth  Depth  // from which on its facts are collected
	Window bool   // needs two looks with some time between

	Cause  string   // why it happens
	Danger string   // what it leads to
	Fix    []string // what to type or change, in order

	// eval looks at the facts and returns one outcome for each thing looked at. It is pure. No outcome means that
	// nothing could be looked at.
	eval func(*view, Check) []Outcome
}

// Doc returns the page and heading that tell more, relative to the repository.
func (c Check) Doc() string { return "docs/health.md#" + anchor(c.ID) }

// anchor is the heading's anchor as Markdown renderers make it: letters, digits, hyphens.
func anchor(id string) string {
	return string(slices.DeleteFunc([]byte(id), func(b byte) bool { return b == '.' }))
}

// Outcome is what a check found out about one thing.
type Outcome struct {
	Severity Severity
	Member   string // label of the member; empty for the cluster
	Endpoint string // URL; empty when it is not about one
	Value    string // as measured, with its unit
	Limit    string // that was crossed, with its unit; empty without one
	Message  string // in plain words
	Next     string // what to type next; empty when there is nothing to do
	Needed   bool   // when it is unknown, there is no verdict on the cluster
}

// run evaluates one check. A check that found nothing to look at is unknown, never ok.
func (c Check) run(v *view) []Outcome {
	if out := c.eval(v, c); len(out) > 0 {
		return out
	}
	return []Outcome{{Severity: SeverityUnknown, Message: v.whyNothing()}}
}

// graded builds the outcome of a number. What is well needs no next step.
func (c Check) graded(value float64, shown, message, next string) Outcome {
	s := c.Limits.grade(value)
	if c.Fewer {
		s = c.Limits.gradeFewer(value)
	}
	return Outcome{Severity: s, Value: shown, Limit: c.Limits.crossed(s, c.Unit), Message: message, Next: next}
}

// whyNothing says why nothing is known of the cluster at all.
func (v *view) whyNothing() string {
	for i := range v.facts.Endpoints {
		if f := v.facts.Endpoints[i].failure(); f.alive() {
			return "a member answers, but tells nothing of itself: " + f.Message
		}
	}
	if len(v.facts.Endpoints) == 0 {
		return "no endpoint was asked"
	}
	return "no member could be asked"
}

// whyNoList says why the member list is not known.
func (v *view) whyNoList() string {
	for i := range v.facts.Endpoints {
		if m := v.facts.Endpoints[i].Members; m != nil && m.Failure != nil {
			return "no member gave its member list: " + m.Failure.Message
		}
	}
	return v.whyNothing()
}

// unknown is the outcome for something that could not be looked at.
func unknown(reason string) []Outcome {
	return []Outcome{{Severity: SeverityUnknown, Message: reason}}
}

// eachStatus makes one outcome for every member: fn judges those that gave a status, the others are unknown with the
// reason. Members that never started have nothing to judge and are left to membership.unstarted.
func eachStatus(v *view, fn func(*member, *StatusAnswer) Outcome) []Outcome {
	var out []Outcome
	for _, m := range v.members {
		s := m.last()
		switch {
		case s != nil:
			o := fn(m, s)
			o.Member = m.label
			out = append(out, o)
		case m.listed && !m.Started():
			continue
		default:
			out = append(out, Outcome{Severity: SeverityUnknown, Member: m.label, Message: "not known: " + m.whySilent()})
		}
	}
	return out
}

// whySilent says in a few words why a member gave no status.
func (m *member) whySilent() string {
	switch f := m.failure(); {
	case f != nil:
		return f.Message
	case !m.Started():
		return "it never started"
	case len(m.elsewhere) > 0:
		return "its advertised client URL leads to another member"
	case len(m.ClientURLs) == 0:
		return "it advertises no client URL"
	}
	return "it was not asked"
}

// plural puts a number before a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// verb picks the form of a verb that fits a number.
func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// voters returns the voting members in the member list.
func (v *view) voters() []*member {
	var out []*member
	for _, m := range v.members {
		if m.listed && !m.Learner {
			out = append(out, m)
		}
	}
	return out
}

// standing is how the voters were found.
type standing struct {
	ops.Votes     // Healthy are those that work
	answering int // those that gave a status, with or without a leader: what is left to elect one
	untold    int // those that are alive, but will not tell
}

// lacking is how many more voters must answer before a majority can work.
func (s standing) lacking() int { return s.Quorum() - s.answering }

// standing counts the voters. One works when it answers, follows the leader, and no linearizable read through it failed:
// the same that a change of the membership takes for live. While nobody has a leader, nobody works.
func (v *view) standing() standing {
	var votes standing
	leader := v.leader()
	for _, m := range v.voters() {
		votes.Total++
		s := m.last()
		if s != nil {
			votes.answering++
		}
		switch {
		case s != nil && leader != 0 && s.Status.Leader == leader && m.cutOff() == nil:
			votes.Healthy++
		case m.failure().alive():
			votes.untold++
		}
	}
	return votes
}
