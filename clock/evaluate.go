package clock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultLimit is how far apart two members' clocks may be.
const DefaultLimit = time.Second

// Verdict is what an audit comes to.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "PASS"         // every pair of members is closer than the limit, for sure
	Fail         Verdict = "FAIL"         // some pair is not, for sure
	Inconclusive Verdict = "INCONCLUSIVE" // neither can be proven
	Unstable     Verdict = "UNSTABLE"     // a clock was set during the audit, or its readings contradict each other
)

// State says what became of one clock.
type State string

// The states of a clock.
const (
	Measured State = "measured"
	Jumped   State = "unstable" // its readings contradict each other
	Missing  State = "missing"  // it could not be read
)

// ReportSchema names the JSON form of Report.
const ReportSchema = "etcdops.clock/v1"

// Report is the outcome of an audit.
type Report struct {
	Schema    string    `json:"schema"`
	Verdict   Verdict   `json:"verdict"`
	Summary   string    `json:"summary"`
	StartedAt time.Time `json:"started_at"`
	TookNS    int64     `json:"took_ns"`
	LimitNS   int64     `json:"limit_ns"`
	RhoPPT    int64     `json:"rho_ppt"` // the largest slew that the bounds allow for, in parts per thousand
	// Apart is the range in which the largest difference between two clocks lies; nil where there is no pair.
	Apart  *Interval `json:"apart"`
	Clocks []Clock   `json:"clocks"`
	Pairs  []Pair    `json:"pairs"`
}

// Clock is what is known of one member's clock.
type Clock struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Truth     bool      `json:"truth"` // a time server
	State     State     `json:"state"`
	Cause     string    `json:"cause"`     // why it is missing or unstable
	Reference bool      `json:"reference"` // the clock that offsets are told against
	Source    Kind      `json:"source"`    // the most exact that was read; empty when missing
	URL       string    `json:"url"`
	Samples   int       `json:"samples"`
	Offset    *Interval `json:"offset"` // against the reference
	Local     *Interval `json:"local"`  // against this machine's clock, which may be the wrong one
	Kernel    *Kernel   `json:"kernel"`
	Failures  []Failure `json:"failures"`
}

// Pair is the difference of two clocks.
type Pair struct {
	A       string   `json:"a"`
	B       string   `json:"b"`
	Offset  Interval `json:"offset"` // of A less that of B
	Verdict Verdict  `json:"verdict"`

	a, b int // in Report.Clocks
}

// First and Second are the places of A and B in Report.Clocks.
func (p Pair) First() int { return p.a }

// Second is the place of B.
func (p Pair) Second() int { return p.b }

// Evaluate judges what was read. It is a pure function, and defined for any readings, also those that no clock made.
func Evaluate(r Readings, limit time.Duration) Report {
	if limit <= 0 {
		limit = DefaultLimit
	}
	if r.RhoPPT <= 0 || r.RhoPPT >= 1000 {
		r.RhoPPT = defaultRho
	}
	out := Report{
		Schema: ReportSchema, StartedAt: r.StartedAt, TookNS: r.TookNS, LimitNS: int64(limit), RhoPPT: r.RhoPPT,
		Clocks: []Clock{}, Pairs: []Pair{},
	}
	series := make([][]Sample, len(r.Clocks))
	for i, reading := range r.Clocks {
		var c Clock
		c, series[i] = estimate(reading, r.RhoPPT)
		out.Clocks = append(out.Clocks, c)
	}
	for i := range out.Clocks {
		for j := i + 1; j < len(out.Clocks); j++ {
			if out.Clocks[i].State == Measured && out.Clocks[j].State == Measured {
				out.Pairs = append(out.Pairs, out.pair(i, j, series, r.RhoPPT))
			}
		}
	}
	out.refer()
	out.judge()
	return out
}

// estimate finds out about one clock, and returns all its samples.
func estimate(r Reading, rho int64) (Clock, []Sample) {
	c := Clock{ID: r.ID, Name: r.Name, Truth: r.Truth, State: Missing, Kernel: r.Kernel, Failures: r.Failures}
	if c.Failures == nil {
		c.Failures = []Failure{}
	}
	var all []Sample
	var best Interval
	for _, s := range r.Series {
		if len(s.Samples) == 0 {
			continue
		}
		if slices.ContainsFunc(s.Samples, func(s Sample) bool { return !s.possible() }) {
			c.State, c.Cause = Jumped, "no clock can have made its readings"
			continue
		}
		own, ok := narrowest(s.Samples, rho)
		if !ok {
			c.State, c.Cause = Jumped, fmt.Sprintf("its clock was set while it was read by %s, or two hosts answer at %s", s.Source, s.URL)
		}
		if c.Source == "" || own.width() < best.width() {
			best, c.Source, c.URL = own, s.Source, s.URL
		}
		c.Samples += len(s.Samples)
		all = append(all, s.Samples...)
	}
	if len(all) > maxSamples {
		all, c.State, c.Cause = nil, Jumped, "there are too many readings to be true"
	}
	switch local, ok := narrowest(all, rho); {
	case c.State == Jumped:
	case len(all) == 0:
		c.Cause = whyMissing(c.Failures)
	case !ok:
		c.State, c.Cause = Jumped, disagreement(r.Series)
	default:
		c.State, c.Local = Measured, &local
	}
	return c, all
}

// narrowest is the offset at the instant at which it is known best. It reports false when there is none that could have
// made all the samples.
func narrowest(samples []Sample, rho int64) (best Interval, ok bool) {
	best = everything
	for _, t := range instants(samples) {
		i := at(samples, t, rho)
		if i.empty() {
			return everything, false
		}
		if i.width() < best.width() {
			best = i
		}
	}
	return best, true
}

func whyMissing(failures []Failure) string {
	if len(failures) == 0 {
		return "no source could be asked"
	}
	f := failures[len(failures)-1]
	switch {
	case f.Source == "":
		return f.Cause
	case f.URL == "":
		return fmt.Sprintf("by %s: %s", f.Source, f.Cause)
	}
	return fmt.Sprintf("%s by %s: %s", f.URL, f.Source, f.Cause)
}

// disagreement names the sources whose readings contradict each other.
func disagreement(series []Series) string {
	var names []string
	for _, s := range series {
		names = append(names, fmt.Sprintf("%s at %s", s.Source, s.URL))
	}
	return "its sources contradict each other, so that something answers in its place: " + strings.Join(names, ", ")
}

// pair bounds the difference of two clocks at the instant at which it is known best.
func (r *Report) pair(i, j int, series [][]Sample, rho int64) Pair {
	best := everything
	both := slices.Concat(instants(series[i]), instants(series[j]))
	for _, t := range both {
		a, b := at(series[i], t, rho), at(series[j], t, rho)
		if a.empty() || b.empty() { // between the samples that the one fits by itself
			best = Interval{LoNS: 1}
			break
		}
		if d := a.minus(b); d.width() < best.width() {
			best = d
		}
	}
	p := Pair{A: r.Clocks[i].Name, B: r.Clocks[j].Name, Offset: best, Verdict: Inconclusive, a: i, b: j}
	switch least, most := best.apart(); {
	case best.empty():
		p.Verdict = Unstable
	case most < r.LimitNS:
		p.Verdict = Pass
	case least >= r.LimitNS:
		p.Verdict = Fail
	}
	return p
}

// Of returns the difference of two clocks by their places in Clocks: that of i less that of j.
func (r *Report) Of(i, j int) (Interval, bool) {
	for _, p := range r.Pairs {
		switch {
		case p.a == i && p.b == j:
			return p.Offset, true
		case p.a == j && p.b == i:
			return Interval{}.minus(p.Offset), true
		}
	}
	return Interval{}, false
}

// Between returns the difference of two clocks by their names: that of a less that of b.
func (r *Report) Between(a, b string) (Interval, bool) {
	for _, p := range r.Pairs {
		switch {
		case p.A == a && p.B == b:
			return p.Offset, true
		case p.A == b && p.B == a:
			return Interval{}.minus(p.Offset), true
		}
	}
	return Interval{}, false
}

// refer picks the clock that offsets are told against, the true one or else the middle one, so that a clock which is
// wrong stands out; and tells them.
func (r *Report) refer() {
	var known []int
	for i := range r.Clocks {
		if r.Clocks[i].State == Measured {
			known = append(known, i)
		}
	}
	if len(known) == 0 {
		return
	}
	slices.SortStableFunc(known, func(a, b int) int {
		return cmp.Compare(r.Clocks[a].Local.mid(), r.Clocks[b].Local.mid())
	})
	ref := known[(len(known)-1)/2]
	if at := slices.IndexFunc(known, func(i int) bool { return r.Clocks[i].Truth }); at >= 0 {
		ref = known[at]
	}
	r.Clocks[ref].Reference, r.Clocks[ref].Offset = true, &Interval{}
	for _, p := range r.Pairs {
		switch offset := p.Offset; ref {
		case p.b:
			r.Clocks[p.a].Offset = &offset
		case p.a:
			offset = Interval{}.minus(offset)
			r.Clocks[p.b].Offset = &offset
		}
	}
}

// judge comes to the verdict: a proven violation first, then readings that contradict each other, then what is missing.
func (r *Report) judge() {
	var worst Pair
	for _, p := range r.Pairs {
		least, most := p.Offset.apart()
		if r.Apart == nil {
			r.Apart = &Interval{}
		}
		if most >= r.Apart.HiNS {
			worst = p
		}
		r.Apart.LoNS, r.Apart.HiNS = max(r.Apart.LoNS, least), max(r.Apart.HiNS, most)
	}
	has := func(v Verdict) bool {
		return slices.ContainsFunc(r.Pairs, func(p Pair) bool { return p.Verdict == v })
	}
	in := func(s State) int { return slices.IndexFunc(r.Clocks, func(c Clock) bool { return c.State == s }) }
	switch jumped, missing := in(Jumped), in(Missing); {
	case has(Fail):
		r.Verdict, r.Summary = Fail, r.tell(worst)
	case jumped >= 0:
		r.Verdict, r.Summary = Unstable, r.Clocks[jumped].Name+": "+r.Clocks[jumped].Cause
	case has(Unstable):
		r.Verdict, r.Summary = Unstable, "the readings of two clocks contradict each other: one was set during the audit"
	case missing >= 0:
		r.Verdict, r.Summary = Inconclusive, r.missing()
	case has(Inconclusive):
		r.Verdict, r.Summary = Inconclusive, r.tell(worst)+": too close to call"
	case len(r.Clocks) == 0:
		r.Verdict, r.Summary = Inconclusive, "there is no clock to look at"
	case len(r.Pairs) == 0:
		r.Verdict, r.Summary = Pass, "one member: there is no other clock to differ from"
	default:
		r.Verdict = Pass
		r.Summary = fmt.Sprintf("%s are less than %s apart (limit %s)", anyTwo(len(r.Clocks)), Span(r.Apart.HiNS), r.limit())
	}
}

// tooClose reports whether nothing but the width of the bounds keeps the audit from a verdict.
func (r *Report) tooClose() bool {
	undecided := func(p Pair) bool { return p.Verdict == Inconclusive }
	return r.Verdict == Inconclusive && slices.ContainsFunc(r.Pairs, undecided) &&
		!slices.ContainsFunc(r.Clocks, func(c Clock) bool { return c.Source == KindDate })
}

func (r *Report) tell(p Pair) string {
	return fmt.Sprintf("%s and %s are %s apart (limit %s)", p.A, p.B, Distance(p.Offset), r.limit())
}

// limit is in the words that it was typed in, but for the Greek.
func (r *Report) limit() string {
	return strings.ReplaceAll(time.Duration(r.LimitNS).String(), "µ", "u")
}

func anyTwo(clocks int) string {
	if clocks == 2 {
		return "the two clocks"
	}
	return fmt.Sprintf("any two of %d clocks", clocks)
}

func (r *Report) missing() string {
	n := 0
	for _, c := range r.Clocks {
		if c.State == Missing {
			n++
		}
	}
	text := fmt.Sprintf("%d of %d clocks could not be read", n, len(r.Clocks))
	if r.Apart != nil {
		text += fmt.Sprintf("; the others are less than %s apart", Span(r.Apart.HiNS))
	}
	return text
}
