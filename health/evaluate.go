package health

import (
	"fmt"
	"slices"
)

// Evaluate holds the facts against the table. It is pure and total: any facts give a report, also incomplete,
// contradictory or hostile ones.
func Evaluate(facts Facts, policy Policy) Report {
	v := newView(facts)
	r := Report{
		Schema: ReportSchema, ClusterID: v.clusterID, TakenAt: facts.TakenAt, TookMS: milliseconds(facts.TookUS),
		Members: v.memberReports(), Strays: endpointReports(v, v.strays), Findings: []Finding{},
	}
	undecided, looked := false, 0
	for _, c := range Checks() {
		if l, ok := policy.Limits[c.ID]; ok {
			c.Limits = l
		}
		if reason := c.leftOut(facts, policy); reason != "" {
			r.Checks = append(r.Checks, c.skipped(reason))
			r.Counts.Total, r.Counts.Skipped = r.Counts.Total+1, r.Counts.Skipped+1
			continue
		}
		outcomes := c.run(v)
		report := c.report(outcomes)
		r.Checks = append(r.Checks, report)
		r.Counts.add(report.Severity)
		r.Findings = append(r.Findings, c.findings(outcomes)...)
		undecided = undecided || slices.ContainsFunc(outcomes, c.leavesOpen)
		looked += report.Looked
	}
	if looked == 0 {
		for i := range r.Findings {
			r.Findings[i].Needed = true // they are why nothing is known
		}
		undecided = true
	}
	slices.SortStableFunc(r.Findings, byUrgency)
	r.Available = available(worst(evalQuorum(v, Check{}))) // also where the check itself was left out
	r.Reached = v.reached()
	r.Severity = verdict(r, undecided)
	r.Votes = v.votesReport()
	r.Summary = v.summary(r)
	if note := policy.note(r.Counts); note != "" {
		r.Summary += note
	}
	return r
}

// available turns the outcome of the quorum check into an answer: yes, no, or not known.
func available(s Severity) *bool {
	if s == SeverityUnknown {
		return nil
	}
	yes := s < SeverityWarning
	return &yes
}

// reached reports whether at least one member answered, be it that it tells nothing.
func (v *view) reached() bool {
	for i := range v.facts.Endpoints {
		if f := v.facts.Endpoints[i].failure(); f == nil || f.alive() {
			return true
		}
	}
	return false
}

// skipped is the line about a check that was not made.
func (c Check) skipped(reason string) CheckReport {
	r := c.report(nil)
	r.Severity, r.Skipped = SeverityUnknown, reason
	return r
}

// verdict weighs the whole. Something critical decides, and a lost quorum does also where that check was left out; what could
// not be looked at and is needed outweighs warnings, because nothing may be called well that was not seen. That holds too
// where no check at all saw anything, as with those asked for that this look does not make.
func verdict(r Report, undecided bool) Severity {
	switch {
	case r.Counts.Critical > 0, !r.Reached, r.Available != nil && !*r.Available:
		return SeverityCritical
	case undecided:
		return SeverityUnknown
	case r.Counts.Warning > 0:
		return SeverityWarning
	}
	return SeverityOK
}

// leavesOpen reports whether an outcome of the check leaves no verdict on the cluster.
func (c Check) leavesOpen(o Outcome) bool {
	return o.Severity == SeverityUnknown && (c.Needed || o.Needed)
}

func (c *Counts) add(s Severity) {
	c.Total++
	switch s {
	case SeverityOK, SeverityInfo:
		c.OK++
	case SeverityUnknown:
		c.Unknown++
	case SeverityWarning:
		c.Warning++
	case SeverityCritical:
		c.Critical++
	}
}

func (c Check) report(outcomes []Outcome) CheckReport {
	r := CheckReport{
		ID: c.ID, Severity: worst(outcomes), Title: c.Title, Scope: c.Scope, Source: c.Source, Limits: c.Limits, From: c.From,
	}
	for _, o := range outcomes {
		if o.Severity == SeverityUnknown {
			r.Unknown++
		} else {
			r.Looked++
		}
	}
	return r
}

func (c Check) findings(outcomes []Outcome) []Finding {
	var out []Finding
	for _, o := range outcomes {
		if o.Severity == SeverityOK {
			continue
		}
		out = append(out, Finding{
			Check: c.ID, Severity: o.Severity, Member: o.Member, Endpoint: o.Endpoint, Value: o.Value, Limit: o.Limit,
			Source: c.Source, Message: o.Message, Next: o.Next, Needed: c.Needed || o.Needed, Doc: c.Doc(),
		})
	}
	return out
}

func (v *view) votesReport() *VotesReport {
	if v.list == nil {
		return nil
	}
	s := v.standing()
	return &VotesReport{Votes: s.Votes, Answering: s.answering, Quorum: s.Quorum(), Tolerance: s.Tolerance()}
}

// summary is the verdict line without the severity.
func (v *view) summary(r Report) string {
	if r.Votes == nil {
		if !r.Reached {
			return plural(len(v.facts.Endpoints), "endpoint") + " asked, " + v.noneServes()
		}
		if r.Available != nil && !*r.Available {
			return "no quorum: the members that answer have no leader"
		}
		return "its members are not known: " + v.whyNoList()
	}
	votes := v.standing()
	of := plural(votes.Total, "voter")
	answer := fmt.Sprintf("%d of %s %s", votes.answering, of, verb(votes.answering, "answers", "answer"))
	seen := fmt.Sprintf("%d of %s healthy", votes.Healthy, of)
	switch {
	case r.Available == nil:
		return answer + ", whether a majority works is not known"
	case !*r.Available && votes.lacking() > 0:
		if votes.answering > votes.Healthy {
			seen += fmt.Sprintf(", %d %s", votes.answering, verb(votes.answering, "answers", "answer"))
		}
		return fmt.Sprintf("%s, no quorum: %d more needed", seen, votes.lacking())
	case !*r.Available && v.leader() == 0:
		return answer + ", but there is no leader"
	case !*r.Available:
		return answer + ", but no quorum works"
	case r.Votes.Tolerance < 0 || votes.untold > 0:
		return seen + " from here, quorum works, what may still fail is not known"
	}
	return fmt.Sprintf("%s, can lose %d more", seen, r.Votes.Tolerance)
}

// noneServes says how those are that were asked when nobody answers.
func (v *view) noneServes() string {
	waiting := 0
	for i := range v.facts.Endpoints {
		if f := v.facts.Endpoints[i].failure(); f != nil && f.Kind == KindWaiting {
			waiting++
		}
	}
	if waiting == 0 {
		return "none answers"
	}
	return fmt.Sprintf("none serves: %d %s for a quorum", waiting, verb(waiting, "waits", "wait"))
}

func milliseconds(us int64) float64 { return float64(us) / 1000 }
