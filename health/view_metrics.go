package health

import (
	"fmt"
	"strconv"
	"time"
)

// scraped returns the member's latest scrape, and nil with the reason when there is none.
func (m *member) scraped() (*MetricsAnswer, string) {
	reason := "its metrics were not asked for"
	var latest *MetricsAnswer
	for _, e := range m.answered {
		switch a := e.Metrics; {
		case a == nil:
		case a.Failure != nil:
			reason = "its metrics are not known: " + a.Failure.Message
		case a.Metrics != nil && (latest == nil || a.SentUS > latest.SentUS):
			latest = a
		}
	}
	return latest, reason
}

// eachMetrics makes one outcome for every member that gave its metrics; the others are unknown with the reason.
func eachMetrics(v *view, fn func(*member, Metrics) Outcome) []Outcome {
	return eachStatus(v, func(m *member, _ *StatusAnswer) Outcome {
		a, reason := m.scraped()
		if a == nil {
			return Outcome{Severity: SeverityUnknown, Message: reason}
		}
		return fn(m, a.Metrics)
	})
}

// window is what is known of a member at two moments.
type window struct {
	member      *member
	before, now Metrics
	status      *EarlierMember
	seconds     float64
}

// eachWindow makes one outcome for every member whose metrics are known at two moments of one process.
func eachWindow(v *view, fn func(window) Outcome) []Outcome {
	return eachStatus(v, func(m *member, _ *StatusAnswer) Outcome {
		w, reason := v.windowOf(m)
		if reason != "" {
			return Outcome{Severity: SeverityUnknown, Message: reason}
		}
		return fn(w)
	})
}

// ofMetrics and ofWindow evaluate checks that look at each member's metrics, or at its window, alone.
func ofMetrics(judge func(Check, Metrics) Outcome) func(*view, Check) []Outcome {
	return func(v *view, c Check) []Outcome {
		return eachMetrics(v, func(_ *member, ms Metrics) Outcome { return judge(c, ms) })
	}
}

func ofWindow(judge func(Check, window) Outcome) func(*view, Check) []Outcome {
	return func(v *view, c Check) []Outcome {
		return eachWindow(v, func(w window) Outcome { return judge(c, w) })
	}
}

// lacks is the outcome of a member without a metric.
func lacks(metric string) Outcome {
	return Outcome{Severity: SeverityUnknown, Message: "it has no metric " + metric}
}

// windowOf returns what is known of a member at two moments, or why it is not known.
func (v *view) windowOf(m *member) (w window, reason string) {
	a, reason := m.scraped()
	if a == nil {
		return w, reason
	}
	before, us := v.since(m, a.SentUS)
	switch {
	case before == nil:
		return w, "its earlier metrics are not known: it did not answer then"
	case before.Metrics == nil:
		return w, "its earlier metrics are not known"
	case restarted(before.Metrics, a.Metrics):
		return w, "it was restarted in between, so its counters began anew"
	}
	return window{member: m, before: before.Metrics, now: a.Metrics, status: before, seconds: float64(us) / 1e6}, ""
}

// over is the window as people say it: "over 10s".
func (w window) over() string { return "over " + span(w.seconds) }

// span writes a length of time for people.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case seconds > 1e9:
		return "years"
	case d >= 48*time.Hour:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	case d >= 2*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	case d >= 2*time.Minute:
		return strconv.Itoa(int(d.Minutes())) + "m"
	}
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second / 10).String()
}

// p99 judges the 99th percentile of a histogram of seconds over the window, in milliseconds.
func (c Check) p99(w window, metric, what, next string) Outcome {
	buckets := histogram(w.before, w.now, metric, "")[""]
	if len(buckets) == 0 {
		return lacks(metric)
	}
	seconds, total := quantile99(buckets)
	if total == 0 {
		return Outcome{Severity: SeverityUnknown, Message: "nothing was written " + w.over()}
	}
	ms := seconds * 1000
	shown := decimal(ms) + " ms"
	return c.graded(ms, shown, fmt.Sprintf("p99 of %s is %s (%.0f %s)", what, shown, total, w.over()), next)
}

// decimal writes a number with as many digits as are worth reading.
func decimal(n float64) string {
	switch {
	case n >= 100 || n == float64(int64(n)):
		return strconv.FormatFloat(n, 'f', 0, 64)
	case n >= 1:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'g', 2, 64)
}

// rising judges counters that should stand still: any growth over the window is told.
func (c Check) rising(w window, what, next string, metrics ...string) Outcome {
	total, told := 0.0, false
	for _, metric := range metrics {
		by, known := increase(w.before, w.now, metric, nil)
		total, told = total+by, told || known
	}
	if !told {
		return lacks(metrics[0])
	}
	o := Outcome{Value: decimal(total), Message: decimal(total) + " " + what + " " + w.over()}
	if total > 0 {
		o.Severity, o.Next = SeverityWarning, next
	}
	return o
}

// rate judges a counter's growth a second.
func (c Check) rate(w window, metric, what, next string, keep func(Sample) bool) Outcome {
	by, known := increase(w.before, w.now, metric, keep)
	if !known {
		return lacks(metric)
	}
	perSecond := by / w.seconds
	shown := decimal(perSecond) + "/s"
	return c.graded(perSecond, shown, fmt.Sprintf("%s %s %s (%s)", decimal(by), what, w.over(), shown), next)
}

// gauge judges the present value of a metric.
func (c Check) gauge(ms Metrics, metric, what, next string) Outcome {
	n, known := ms.value(metric)
	if !known {
		return lacks(metric)
	}
	return c.graded(n, decimal(n), decimal(n)+" "+what, next)
}
