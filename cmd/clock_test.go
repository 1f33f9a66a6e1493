package cmd

import (
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// clockReport judges clocks that are off by what is given; nil was not read.
func clockReport(offsets ...any) clock.Report {
	var r clock.Readings
	for i, offset := range offsets {
		name := "m" + string(rune('1'+i))
		c := clock.Reading{ID: "a0" + name[1:], Name: name}
		if d, ok := offset.(time.Duration); ok {
			s := clock.Sample{ReceivedNS: 100_000, FirstNS: int64(d), LastNS: int64(d)}
			c.Series = []clock.Series{{Source: clock.KindProbing, URL: "http://" + name + ":2380", Samples: []clock.Sample{s}}}
		} else {
			c.Failures = []clock.Failure{{Source: clock.KindProbing, URL: "http://" + name + ":2380", Cause: "connection refused"}}
		}
		r.Clocks = append(r.Clocks, c)
	}
	return clock.Evaluate(r, time.Second)
}

// TestClockClass holds the exit codes of the verdicts.
func TestClockClass(t *testing.T) {
	t.Parallel()
	const none, far = time.Duration(0), 3 * time.Second
	for name, tt := range map[string]struct {
		report clock.Report
		class  ops.Class
		failed bool
	}{
		"pass":         {clockReport(none, none), 0, false},
		"fail":         {clockReport(none, far), ops.ClassCritical, true},
		"too close":    {clockReport(none, time.Second), ops.ClassCritical, true},
		"one missing":  {clockReport(none, none, nil), ops.ClassCritical, true},
		"none read":    {clockReport(nil, nil), ops.ClassUnreachable, true},
		"no clocks":    {clockReport(), ops.ClassUnreachable, true},
		"fail, misses": {clockReport(none, far, nil), ops.ClassCritical, true},
	} {
		if class, failed := clockClass(tt.report); class != tt.class || failed != tt.failed {
			t.Errorf("%s: %s is %v, %v", name, tt.report.Verdict, class, failed)
		}
	}
}

// TestClockTable prints reports as people see them: the verdict first, what to type next, names made safe, no line too
// long.
func TestClockTable(t *testing.T) {
	t.Parallel()
	hostile := clockReport(time.Duration(0), 3*time.Second, nil)
	hostile.Clocks[1].Name = "m2\x1b[2J\nCRIT forged"
	hostile.Clocks[2].Cause = strings.Repeat("why \u202e", 400)
	kernels := clockReport(time.Duration(0), time.Duration(0))
	for i := range kernels.Clocks {
		kernels.Clocks[i].Kernel = &clock.Kernel{MaxErrorNS: kernelCeiling}
	}
	for name, tt := range map[string]struct {
		report clock.Report
		lines  []string
	}{
		"fail": {clockReport(time.Duration(0), -700*time.Millisecond, 2500*time.Millisecond), []string{
			"FAIL  m2 and m3 are 3.200s +-111us apart (limit 1s)", "m1      ref              probing", "m2      -0.700s +-111us  probing",
			"CRIT  m3: its clock is +2.500s +-111us off m1  -> on its host: chronyc tracking, timedatectl",
		}},
		"no culprit": {clockReport(time.Duration(0), -700*time.Millisecond, 700*time.Millisecond), []string{
			"CRIT  m2 and m3 are too far apart; each alone is within the limit of m1",
		}},
		"missing": {clockReport(time.Duration(0), nil), []string{"UNKN  m2: not read: http://m2:2380 by probing: connection refused"}},
		"kernels": {kernels, []string{"WARN  m1, m2: no time service synchronises the clock there"}},
		"hostile": {hostile, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, out, _ := testApp()
			if err := printClock(a.io, tt.report, false); err != nil {
				t.Fatal(err)
			}
			for _, line := range tt.lines {
				if !strings.Contains(out.String(), line) {
					t.Errorf("no line %q", line)
				}
			}
			if !strings.HasPrefix(out.String(), string(tt.report.Verdict)) {
				t.Error("the verdict does not come first")
			}
			for line := range strings.Lines(out.String()) {
				if ui.Columns(line) > ui.MaxColumns+1 || strings.HasPrefix(line, "CRIT forged") || strings.ContainsAny(line, "\x1b\u202e") {
					t.Errorf("a line that must not be: %q", line)
				}
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}

// TestClockHistory draws clocks that come and go.
func TestClockHistory(t *testing.T) {
	t.Parallel()
	var h clockHistory
	for range historyRounds + 10 {
		h.add(clockReport(time.Duration(0), time.Second/2))
	}
	h.add(clockReport(time.Duration(0), nil))
	h.add(clockReport(time.Duration(0), -time.Second/2, time.Duration(0)))
	a, out, _ := testApp()
	_ = a
	if err := h.print(out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"OFFSET TO m1 OVER TIME, FROM -0.500s TO 0.500s", "█ ▁\n", "furthest apart so far: less than 0.500s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if ui.Columns(line) > ui.MaxColumns {
			t.Errorf("too long: %q", line)
		}
	}
}
