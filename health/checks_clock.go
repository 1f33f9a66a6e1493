package health

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/clock"
)

func clockChecks() []Check {
	return []Check{
		{
			ID: "clock.skew", Title: "the members' clocks agree", Scope: ScopeCluster, Depth: DepthNormal,
			Source: "each member's clock, read from here with an error bound (etcdops clock audit)",
			Rule:   "proven distance of the two clocks furthest apart, in seconds; unknown where the bounds are too wide to exclude a warning",
			Limits: Limits{Warn: 0.4, Crit: 1}, Unit: " s", From: FromUs,
			Cause: "No time service runs on a host, or it cannot reach its servers; or a virtual machine was stopped and its clock with it.",
			Danger: "etcd's data is safe. Certificates are \"not yet valid\" or end early on some members, tokens are refused, and the logs of " +
				"different members cannot be put in order.",
			Fix: []string{
				"etcdops clock audit -w wide tells which clock stands apart", "on its host: timedatectl; chronyc tracking; chronyc sources -v",
				"docs/runbooks/clock-skew.md has the rest",
			},
			eval: evalSkew,
		},
		{
			ID: "clock.ntp", Title: "a time service keeps the members' clocks", Scope: ScopeMember, Depth: DepthNormal,
			Source: "the kernel's clock (adjtimex), of members run by etcdops serve, or on this machine",
			Rule: "offset that the time service told the kernel, in milliseconds; warns too where none keeps the clock and its possible error " +
				"has reached 16 s; told only, when every member is on loopback",
			Limits: Limits{Warn: 50}, Unit: " ms", From: FromUs,
			Cause:  "No time service is installed or runs, or it cannot reach its servers: UDP port 123 is often blocked.",
			Danger: "The clock runs as fast as its crystal: seconds in a week. What follows from that, clock.skew tells.",
			Fix:    []string{"on the host: timedatectl; systemctl enable --now chronyd", "chronyc sources -v shows servers that cannot be reached"},
			eval:   evalKernelClock,
		},
	}
}

// evalSkew judges the pair furthest apart, and tells the clocks that are not known.
func evalSkew(v *view, c Check) []Outcome {
	limit := time.Duration(c.Limits.Crit * float64(time.Second))
	r := v.clockReport(limit)
	if r == nil && !v.reached() {
		return nil
	}
	if r == nil {
		return unknown("the clocks were not read: " + v.whyNoList())
	}
	var out []Outcome
	for _, k := range r.Clocks {
		switch k.State {
		case clock.Missing:
			if m := v.clockMember(k); m != nil && !m.Started() {
				continue // left to membership.unstarted
			}
			out = append(out, Outcome{Severity: SeverityUnknown, Member: v.clockLabel(k), Message: "its clock was not read: " + k.Cause})
		case clock.Jumped:
			out = append(out, Outcome{
				Severity: SeverityWarning, Member: v.clockLabel(k), Message: k.Cause, Next: "etcdops clock audit -w wide",
			})
		case clock.Measured:
		}
	}
	if o, ok := worstPair(v, c, r); ok {
		out = append(out, o)
	}
	return out
}

// worstPair judges the two clocks that are furthest apart for sure, or could be.
func worstPair(v *view, c Check, r *clock.Report) (Outcome, bool) {
	if len(r.Pairs) == 0 {
		known := slices.ContainsFunc(r.Clocks, func(k clock.Clock) bool { return k.State == clock.Measured })
		return Outcome{Message: "there is no other clock to differ from"}, known && len(r.Clocks) == 1
	}
	worst, proven, possible := r.Pairs[0], time.Duration(-1), time.Duration(0)
	for _, p := range r.Pairs {
		least, most := p.Offset.Apart()
		if least > proven || least == proven && most > possible {
			worst, proven, possible = p, least, most
		}
	}
	widest := time.Duration(r.Apart.HiNS)
	a, b := v.clockLabel(r.Clocks[worst.First()]), v.clockLabel(r.Clocks[worst.Second()])
	message := fmt.Sprintf("%s and %s are %s apart", min(a, b), max(a, b), clock.Distance(worst.Offset))
	o := c.graded(proven.Seconds(), clock.Span(int64(proven)), message, v.skewNext(r, worst))
	if o.Severity == SeverityOK {
		o.Value, o.Next = "", ""
		o.Message = "any two clocks are less than " + clock.Span(int64(widest)) + " apart"
		if c.Limits.grade(widest.Seconds()) != SeverityOK {
			o = Outcome{
				Severity: SeverityUnknown, Message: "the clocks are known too coarsely: less than " + clock.Span(int64(widest)) + " apart, by " + sources(r),
				Next: "etcdops clock audit takes the seconds that a close look needs",
			}
		}
	}
	return o, true
}

// skewNext says where to look: at the clock of the two that is further from the middle one, where there are three.
func (v *view) skewNext(r *clock.Report, p clock.Pair) string {
	a, b := r.Clocks[p.First()], r.Clocks[p.Second()]
	if len(r.Pairs) < 3 || a.Offset == nil || b.Offset == nil {
		return "on both hosts: chronyc tracking; etcdops clock audit --ntp HOST tells which clock is wrong"
	}
	_, ofA := a.Offset.Apart()
	_, ofB := b.Offset.Apart()
	if ofA > ofB {
		b = a
	}
	return "on " + v.clockLabel(b) + ": chronyc tracking; etcdops clock audit -w wide"
}

// sources names where clocks were read.
func sources(r *clock.Report) string {
	var names []string
	for _, k := range r.Clocks {
		if name := string(k.Source); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// unkept is the possible error of a clock at which the kernel stops counting: nobody has kept it for long.
const unkept = 16 * time.Second

func evalKernelClock(v *view, c Check) []Outcome {
	warn := SeverityWarning
	if v.list != nil && onOneMachine(v.list.Members) {
		warn = SeverityInfo // one machine has one clock
	}
	return eachMember(v, func(m *member) Outcome {
		k := v.kernelOf(m)
		switch {
		case k == nil:
			return Outcome{Severity: SeverityUnknown, Message: "it is not run by etcdops serve, and not on this machine"}
		case !k.Synchronised && k.MaxErrorNS >= int64(unkept):
			return Outcome{
				Severity: warn, Message: "no time service keeps its clock", Next: "on its host: timedatectl; systemctl enable --now chronyd",
			}
		}
		offset := time.Duration(k.OffsetNS).Abs()
		o := c.graded(float64(offset)/1e6, clock.Span(int64(offset)), "its clock is "+clock.Span(int64(offset))+" from its time source", "on its host: chronyc tracking")
		if o.Severity >= SeverityWarning {
			o.Severity = min(o.Severity, warn)
		}
		return o
	})
}

// kernelOf returns what is known of the kernel's clock under a member.
func (v *view) kernelOf(m *member) *clock.Kernel {
	if v.facts.Clock != nil {
		for i := range v.facts.Clock.Clocks {
			if r := &v.facts.Clock.Clocks[i]; r.ID == m.ID.String() && r.Kernel != nil {
				return r.Kernel
			}
		}
	}
	if a, _ := m.scraped(); a != nil {
		kept, known := a.Metrics.value("etcdops_clock_kernel_synchronised")
		if known {
			offset, _ := a.Metrics.value("etcdops_clock_kernel_offset_seconds")
			most, _ := a.Metrics.value("etcdops_clock_kernel_max_error_seconds")
			return &clock.Kernel{Synchronised: kept == 1, OffsetNS: nanoseconds(offset), MaxErrorNS: nanoseconds(most)}
		}
	}
	if v.localOf(m) != nil {
		return v.facts.Kernel
	}
	return nil
}

// nanoseconds reads a metric in seconds; one that makes no sense becomes the nearest that does.
func nanoseconds(seconds float64) int64 {
	const most = 1e9
	if math.IsNaN(seconds) {
		return 0
	}
	return int64(min(max(seconds, -most), most) * 1e9)
}
