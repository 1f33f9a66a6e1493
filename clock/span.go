package clock

import (
	"strconv"
	"time"
)

// Span writes a duration in nanoseconds for people: digits and a unit that fit, in ASCII.
func Span(ns int64) string {
	sign := ""
	if ns < 0 {
		sign, ns = "-", -ns
	}
	switch d := time.Duration(ns); {
	case d >= time.Minute:
		return sign + d.Round(time.Millisecond).String()
	case d >= 100*time.Millisecond:
		return sign + strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + "s"
	case d >= time.Millisecond:
		return sign + strconv.FormatFloat(float64(ns)/1e6, 'f', 2, 64) + "ms"
	}
	return sign + strconv.FormatInt((ns+999)/1000, 10) + "us"
}

// Distance writes how far two clocks are apart, whichever is ahead: "3.200s +-94us".
func Distance(i Interval) string {
	if i.mid() < 0 {
		i = Interval{}.minus(i)
	}
	return Span(i.mid()) + " +-" + Span(i.bound())
}

// Around writes an interval of offsets for people: "-0.700s +-17us".
func Around(i Interval) string {
	sign := "+"
	if i.mid() < 0 {
		sign = ""
	}
	return sign + Span(i.mid()) + " +-" + Span(i.bound())
}
