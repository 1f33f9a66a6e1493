package clock_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/clustertest/golden"
)

// TestScenarios judges the readings described in testdata: each golden file tells what it shows.
//
// A line is a source of one clock: NAME SOURCE, or NAME and what failed, then offset=, rtt=, n= (readings, one a round
// trip), at= (local time of the first), step= (added to the offset of the last reading), truth (a time server).
// The command's argument limit= is the limit.
func TestScenarios(t *testing.T) {
	t.Parallel()
	golden.Run(t, "testdata/scenarios", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		limit := time.Second
		if d.HasArg("limit") {
			var text string
			d.ScanArgs(t, "limit", &text)
			limit = duration(t, text)
		}
		report := clock.Evaluate(scene(t, d.Input), limit)
		switch d.Cmd {
		case "audit":
			return told(report)
		case "json":
			return golden.JSON(t, report)
		}
		return golden.Unknown(t, d)
	})
}

func scene(t *testing.T, input string) clock.Readings {
	t.Helper()
	r := clock.Readings{StartedAt: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), TookNS: int64(5 * time.Millisecond), RhoPPT: 85}
	index := map[string]int{}
	for line := range strings.Lines(strings.TrimSpace(input)) {
		fields := strings.Fields(line)
		name := fields[0]
		at, known := index[name]
		if !known {
			at = len(r.Clocks)
			index[name] = at
			r.Clocks = append(r.Clocks, clock.Reading{ID: fmt.Sprintf("a%02d", at+1), Name: name})
		}
		reading := &r.Clocks[at]
		set := map[string]time.Duration{"rtt": 100 * time.Microsecond, "n": 3}
		source := clock.Kind(fields[1])
		for _, field := range fields[2:] {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "truth":
				reading.Truth = true
			case "fails":
				reading.Failures = append(reading.Failures, clock.Failure{Source: source, URL: "http://" + name, Cause: strings.ReplaceAll(value, "_", " ")})
			case "n":
				n, err := strconv.Atoi(value)
				if err != nil {
					t.Fatal(err)
				}
				set[key] = time.Duration(n)
			default:
				set[key] = duration(t, value)
			}
		}
		if len(reading.Failures) == 0 || reading.Failures[len(reading.Failures)-1].Source != source {
			reading.Series = append(reading.Series, series(source, "http://"+name, set))
		}
	}
	return r
}

// series makes readings over a path of equal ways.
func series(source clock.Kind, url string, set map[string]time.Duration) clock.Series {
	s := clock.Series{Source: source, URL: url}
	for i := range int(set["n"]) {
		sent := set["at"] + time.Duration(i)*set["rtt"]
		shown := sent + set["rtt"]/2 + set["offset"]
		if i == int(set["n"])-1 {
			shown += set["step"]
		}
		sample := clock.Sample{SentNS: int64(sent), ReceivedNS: int64(sent + set["rtt"])}
		if source == clock.KindDate {
			shown = (shown + time.Hour).Truncate(time.Second) - time.Hour // downwards, also below zero
			sample.QuantumNS = int64(time.Second)
		}
		sample.FirstNS, sample.LastNS = int64(shown), int64(shown)
		s.Samples = append(s.Samples, sample)
	}
	return s
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// told writes a report in a few lines.
func told(r clock.Report) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s\n", r.Verdict, r.Summary)
	for _, c := range r.Clocks {
		fmt.Fprintf(&out, "%s %s", c.Name, c.State)
		switch {
		case c.Reference:
			out.WriteString(" reference")
		case c.Offset != nil:
			out.WriteString(" " + clock.Around(*c.Offset))
		}
		if c.Source != "" {
			fmt.Fprintf(&out, " by %s", c.Source)
		}
		if c.Cause != "" {
			fmt.Fprintf(&out, ": %s", c.Cause)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// FuzzEvaluate wants a report of any readings, and one that can be written.
func FuzzEvaluate(f *testing.F) {
	for _, input := range []string{"m1 probing\nm2 date offset=2s n=30 rtt=50ms\nm3 serve fails=refused", "m1 ntp truth\nm2 probing step=3s"} {
		text, err := json.Marshal(scene(&testing.T{}, input))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, int64(time.Second))
	}
	f.Add([]byte(`{"rho_ppt":-1,"clocks":[{"series":[{"samples":[{"sent_ns":9223372036854775807,"first_ns":-9223372036854775808}]}]},{}]}`), int64(-1))
	f.Fuzz(func(t *testing.T, text []byte, limit int64) {
		var r clock.Readings
		if json.Unmarshal(text, &r) != nil || len(r.Clocks) > 8 {
			return
		}
		report := clock.Evaluate(r, time.Duration(limit))
		if report.Verdict == clock.Pass {
			for _, c := range report.Clocks {
				if c.State != clock.Measured {
					t.Errorf("it passes though %s is %s", c.Name, c.State)
				}
			}
		}
		if _, err := json.Marshal(report); err != nil && !strings.Contains(err.Error(), "year outside of range") {
			t.Errorf("the report cannot be written: %v", err)
		}
	})
}
