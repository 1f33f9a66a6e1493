package clock_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/clock"
)

// world is a model of clocks, paths and questions in which the truth is known.
type world struct {
	r   *rand.Rand
	rho float64 // every remote clock runs at 1 +- rho of the local one's speed, and may change its mind
}

// remote is one wall clock: its offset from the local one over local time.
type remote struct {
	knots []knot
}

type knot struct{ at, offset int64 }

// newRemote makes a clock whose offset wanders at no more than rho.
func (w *world) newRemote(offset int64, until int64) *remote {
	c := &remote{}
	for t := int64(0); t < until+int64(time.Second); {
		c.knots = append(c.knots, knot{t, offset})
		step := 1 + w.r.Int64N(until/4+1)
		t += step
		offset += int64((w.r.Float64()*2 - 1) * w.rho * float64(step))
	}
	return c
}

func (c *remote) offset(t int64) int64 {
	for i, k := range slices.Backward(c.knots) {
		if k.at > t {
			continue
		}
		if i == len(c.knots)-1 {
			return k.offset
		}
		n := c.knots[i+1]
		return k.offset + int64(float64(n.offset-k.offset)*float64(t-k.at)/float64(n.at-k.at))
	}
	return c.knots[0].offset
}

// sample asks at local time sent over a path of arbitrary asymmetry.
func (w *world) sample(c *remote, sent, path, quantum int64) clock.Sample {
	there, back, work := w.r.Int64N(path+1), w.r.Int64N(path+1), int64(0)
	if w.r.IntN(3) == 0 {
		work = w.r.Int64N(path + 1) // the server reads its clock twice
	}
	first, last := sent+there, sent+there+work
	cut := func(t int64) int64 {
		shown := c.offset(t) + t
		if quantum > 0 {
			rest := shown % quantum
			if rest < 0 {
				rest += quantum
			}
			shown -= rest
		}
		return shown
	}
	s := clock.Sample{SentNS: sent, ReceivedNS: last + back, FirstNS: cut(first), LastNS: cut(last), QuantumNS: quantum}
	if quantum > 0 {
		s.LastNS = s.FirstNS
	}
	return s
}

// readings makes an audit of n clocks, and returns the clocks with it.
func (w *world) readings(n int) (clock.Readings, []*remote, int64) {
	until := int64(time.Millisecond) << w.r.IntN(12)
	r := clock.Readings{StartedAt: time.Unix(1, 0), TookNS: until, RhoPPT: 100}
	var clocks []*remote
	for i := range n {
		c := w.newRemote(w.r.Int64N(int64(4*time.Second))-int64(2*time.Second), 2*until)
		reading := clock.Reading{Name: fmt.Sprintf("m%d", i+1)}
		for range 1 + w.r.IntN(2) {
			quantum := int64(0)
			if w.r.IntN(2) == 0 {
				quantum = int64(time.Second)
			}
			s := clock.Series{Source: clock.KindProbing}
			path := 1 + w.r.Int64N(until/4+1)
			for range 1 + w.r.IntN(12) {
				s.Samples = append(s.Samples, w.sample(c, w.r.Int64N(until), path, quantum))
			}
			reading.Series = append(reading.Series, s)
		}
		r.Clocks, clocks = append(r.Clocks, reading), append(clocks, c)
	}
	return r, clocks, 2 * until
}

// TestTruthIsInside wants the truth within every bound, whatever the skews, the paths, the slews and the quantum, and every
// verdict to be right.
func TestTruthIsInside(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{r: rand.New(rand.NewPCG(seed, 1)), rho: 0.1}
	const runs = 3000
	verdicts := map[clock.Verdict]int{}
	for run := range runs {
		readings, clocks, until := w.readings(2 + w.r.IntN(3))
		limit := time.Duration(1 + w.r.Int64N(int64(3*time.Second)))
		report := clock.Evaluate(readings, limit)
		verdicts[report.Verdict]++
		for i, c := range report.Clocks {
			if c.State != clock.Measured {
				t.Fatalf("seed %d run %d: %s is %s: %s", seed, run, c.Name, c.State, c.Cause)
			}
			if lo, hi := span(until, clocks[i].offset, clocks[i]); hi < c.Local.LoNS || lo > c.Local.HiNS {
				t.Fatalf("seed %d run %d: %s was off by %d to %d, told %+v", seed, run, c.Name, lo, hi, *c.Local)
			}
		}
		closest, furthest := int64(0), int64(0) // of all pairs: what can and what must be said of their largest distance
		for _, p := range report.Pairs {
			a, b := index(report, p.A), index(report, p.B)
			lo, hi := span(until, func(t int64) int64 { return clocks[a].offset(t) - clocks[b].offset(t) }, clocks[a], clocks[b])
			if hi < p.Offset.LoNS || lo > p.Offset.HiNS {
				t.Fatalf("seed %d run %d: %s and %s were %d to %d apart, told %+v", seed, run, p.A, p.B, lo, hi, p.Offset)
			}
			closest, furthest = max(closest, lo, -hi), max(furthest, hi, -lo)
		}
		if report.Verdict == clock.Pass && closest >= int64(limit) || report.Verdict == clock.Fail && furthest < int64(limit) {
			t.Fatalf("seed %d run %d: %s, with clocks %d to %d apart and limit %d", seed, run, report.Verdict, closest, furthest, limit)
		}
	}
	for _, v := range []clock.Verdict{clock.Pass, clock.Fail, clock.Inconclusive} {
		if verdicts[v] < runs/50 {
			t.Errorf("only %d of %d runs ended with %s: the model asks too little", verdicts[v], runs, v)
		}
	}
	if verdicts[clock.Unstable] > 0 {
		t.Errorf("%d of %d runs are called unstable", verdicts[clock.Unstable], runs)
	}
}

// TestStaysSharp wants the bounds of steady clocks to be no wider than their paths make them: an audit that says nothing
// is always right.
func TestStaysSharp(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{r: rand.New(rand.NewPCG(seed, 2))}
	for run := range 200 {
		var readings clock.Readings
		rtt := 2 * time.Duration(1+w.r.Int64N(int64(50*time.Millisecond)))
		for i := range 3 {
			c := w.newRemote(w.r.Int64N(int64(time.Hour)), int64(time.Minute))
			reading := clock.Reading{Name: fmt.Sprintf("m%d", i+1), Series: []clock.Series{{Source: clock.KindProbing}}}
			for k := range 10 {
				reading.Series[0].Samples = append(reading.Series[0].Samples, w.sample(c, int64(k)*int64(rtt), int64(rtt/2), 0))
			}
			readings.Clocks = append(readings.Clocks, reading)
		}
		report := clock.Evaluate(readings, time.Second)
		for _, p := range report.Pairs {
			if width := time.Duration(p.Offset.HiNS - p.Offset.LoNS); width > 3*rtt {
				t.Fatalf("seed %d run %d: a pair is known to %v, with round trips of %v", seed, run, width, rtt)
			}
		}
	}
}

// TestStepsAreSeen sets a clock during an audit, by more than its readings leave in doubt.
func TestStepsAreSeen(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{r: rand.New(rand.NewPCG(seed, 3)), rho: 0.05}
	for run := range 500 {
		readings, _, until := w.readings(3)
		s := &readings.Clocks[w.r.IntN(3)].Series[0]
		if len(s.Samples) < 2 {
			continue
		}
		step := 3*until + int64(3*time.Second)
		if w.r.IntN(2) == 0 {
			step = -step
		}
		s.Samples[0].FirstNS, s.Samples[0].LastNS = s.Samples[0].FirstNS+step, s.Samples[0].LastNS+step
		if report := clock.Evaluate(readings, time.Hour); report.Verdict != clock.Unstable {
			t.Fatalf("seed %d run %d: a step of %v is called %s", seed, run, time.Duration(step), report.Verdict)
		}
	}
}

// span is the least and the largest value of f over an audit's time; f is straight between the knots of the clocks.
func span(until int64, f func(int64) int64, clocks ...*remote) (lo, hi int64) {
	lo, hi = min(f(0), f(until)), max(f(0), f(until))
	for _, c := range clocks {
		for _, k := range c.knots {
			if k.at <= until {
				lo, hi = min(lo, f(k.at)), max(hi, f(k.at))
			}
		}
	}
	return lo - 1, hi + 1 // f is rounded
}

func index(r clock.Report, name string) int {
	for i, c := range r.Clocks {
		if c.Name == name {
			return i
		}
	}
	return -1
}
