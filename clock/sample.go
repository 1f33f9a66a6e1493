package clock

import (
	"fmt"
	"time"
)

// Sample is one reading of a remote clock. All times are nanoseconds. Local ones count from the beginning of the audit on
// the monotonic clock of this machine, which nobody sets; remote ones are what the remote wall clock showed, less what the
// wall clock of this machine showed at the beginning. So they are small, and a step of the local clock changes nothing.
type Sample struct {
	SentNS     int64 `json:"sent_ns"`     // before the question was written
	ReceivedNS int64 `json:"received_ns"` // after the first byte of the answer
	FirstNS    int64 `json:"first_ns"`    // the remote clock as read first
	LastNS     int64 `json:"last_ns"`     // and as read last; the same for sources that read it once
	QuantumNS  int64 `json:"quantum_ns"`  // what the stamps were cut down to: 0, or a second for an HTTP Date
}

// Interval is a closed range of offsets in nanoseconds.
type Interval struct {
	LoNS int64 `json:"lo_ns"`
	HiNS int64 `json:"hi_ns"`
}

func (i Interval) empty() bool { return i.LoNS > i.HiNS }

// width is how far apart the ends are.
func (i Interval) width() int64 { return i.HiNS - i.LoNS }

// mid is the middle, and bound how far the ends are from it.
func (i Interval) mid() int64   { return i.LoNS + i.width()/2 }
func (i Interval) bound() int64 { return (i.width() + 1) / 2 }

// Apart returns the least and the largest distance from 0 within the interval.
func (i Interval) Apart() (least, most time.Duration) {
	a, b := i.apart()
	return time.Duration(a), time.Duration(b)
}

// apart returns the least and the largest distance from 0 within the interval.
func (i Interval) apart() (least, most int64) {
	return max(i.LoNS, -i.HiNS, 0), max(i.HiNS, -i.LoNS)
}

func (i Interval) and(o Interval) Interval {
	return Interval{LoNS: max(i.LoNS, o.LoNS), HiNS: min(i.HiNS, o.HiNS)}
}

// minus is the interval of the differences.
func (i Interval) minus(o Interval) Interval {
	return Interval{LoNS: i.LoNS - o.HiNS, HiNS: i.HiNS - o.LoNS}
}

// everything is the interval that says nothing; its ends can be subtracted from each other.
var everything = Interval{LoNS: -1 << 61, HiNS: 1 << 61} //nolint:gochecknoglobals // a constant

// grain is how much both clocks may have been cut down to.
const grain = int64(time.Microsecond) / 10

// at returns where the remote clock's offset lay at the instant t, which need not be within the sample: see the proof in
// the package's documentation. rho is the largest slew in parts per thousand.
func (s Sample) at(t, rho int64) Interval {
	drift := func(from int64) int64 { return (max(t-from, from-t)*rho + 999) / 1000 }
	return Interval{
		LoNS: s.LastNS - s.ReceivedNS - drift(s.ReceivedNS) - grain,
		HiNS: s.FirstNS + s.QuantumNS - s.SentNS + drift(s.SentNS) + grain,
	}
}

// middle is the instant at which the sample says most.
func (s Sample) middle() int64 { return s.SentNS + (s.ReceivedNS-s.SentNS)/2 }

// at is the intersection of what all samples say of the instant t.
func at(samples []Sample, t, rho int64) Interval {
	out := everything
	for _, s := range samples {
		out = out.and(s.at(t, rho))
	}
	return out
}

// maxInstants bounds the instants that are tried for a series of samples.
const maxInstants = 64

// instants are the moments worth looking at: the middles of the samples, and the edges between those of coarse clocks.
func instants(samples []Sample) []int64 {
	step := max(1, (len(samples)+maxInstants-1)/maxInstants)
	var out []int64
	for i := 0; i < len(samples); i += step {
		out = append(out, samples[i].middle())
	}
	if edge, ok := boundary(samples); ok {
		out = append(out, edge.mid())
	}
	return out
}

// boundary returns when, on the local clock, a coarse remote clock went from one value to the next: as narrowly as the
// samples tell.
func boundary(samples []Sample) (when Interval, ok bool) {
	for i, before := range samples {
		if before.QuantumNS == 0 {
			continue
		}
		for _, after := range samples[i+1:] {
			if after.FirstNS <= before.FirstNS {
				continue
			}
			if found := (Interval{before.SentNS, after.ReceivedNS}); !ok || found.width() < when.width() {
				when, ok = found, true
			}
			break
		}
	}
	return when, ok
}

// stopwatch is the local clock of one audit.
type stopwatch struct{ began time.Time }

// now is the time since the beginning, by the monotonic clock.
func (w stopwatch) now() int64 { return int64(time.Since(w.began)) }

// stamp puts down what a remote clock showed.
func (w stopwatch) stamp(t time.Time) (int64, error) {
	d := int64(t.Round(0).Sub(w.began))
	if max(d, -d) > maxOffset {
		return 0, fmt.Errorf("it shows the year %d, too far from this machine's to reckon with", t.UTC().Year())
	}
	return d, nil
}

// What a sample may hold: offsets of seventy years, audits of days, stamps cut down to minutes.
const (
	maxOffset  = int64(70*365*24) * int64(time.Hour)
	maxElapsed = int64(7*24) * int64(time.Hour)
	maxQuantum = int64(time.Minute)
)

// possible reports whether a sample can have been taken; one out of a file may hold anything.
func (s Sample) possible() bool {
	local := s.SentNS >= 0 && s.SentNS <= s.ReceivedNS && s.ReceivedNS <= maxElapsed
	remote := max(s.FirstNS, s.LastNS) <= maxOffset && min(s.FirstNS, s.LastNS) >= -maxOffset
	return local && remote && s.QuantumNS >= 0 && s.QuantumNS <= maxQuantum
}
