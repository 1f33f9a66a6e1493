package schedule_test

import (
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup/schedule"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestDaysOfOtherLengths runs through the days on which clocks change: a slot in the hour that is missing or comes twice is
// met once.
func TestDaysOfOtherLengths(t *testing.T) {
	for name, c := range map[string]struct{ from, to string }{
		"spring": {"2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"},
		"autumn": {"2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z"},
	} {
		for _, expr := range []string{"30 2 * * *", "0 6 * * *"} {
			s, err := schedule.Parse(expr, "Europe/Berlin", 0, "")
			if err != nil {
				t.Fatal(err)
			}
			runs, end := 0, at(t, c.to)
			newest := at(t, c.from)
			for now := newest; now.Before(end); now = now.Add(time.Minute) {
				if due, missed := s.Due(now, newest); due {
					if missed != 0 {
						t.Errorf("%s, %s: %d missed at %s", name, expr, missed, now)
					}
					runs++
					newest = now
				}
			}
			if runs != 3 {
				t.Errorf("%s, %s: %d runs in three days", name, expr, runs)
			}
		}
	}
}

// TestOneCatchUp leaves the machine off for days: one run, at once, and the next at its slot.
func TestOneCatchUp(t *testing.T) {
	s, err := schedule.Parse("0 */6 * * *", "", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	now := at(t, "2026-05-04T05:00:00Z")
	due, missed := s.Due(now, at(t, "2026-05-01T00:00:10Z"))
	if !due || missed != 11 {
		t.Errorf("due %v, missed %d", due, missed)
	}
	if due, _ := s.Due(now, now); due {
		t.Error("due again right after the run")
	}
	if next := s.Next(now); !next.Equal(at(t, "2026-05-04T06:00:00Z")) {
		t.Errorf("next is %s", next)
	}
	if due, missed := s.Due(now, time.Time{}); !due || missed != 0 {
		t.Errorf("without a backup: due %v, missed %d", due, missed)
	}
}

// TestJitterIsTheSameEachTime holds the delay to its bound, and equal for equal names.
func TestJitterIsTheSameEachTime(t *testing.T) {
	from := at(t, "2026-05-01T00:00:00Z")
	delays := map[time.Duration]bool{}
	for _, name := range []string{"a", "b", "c", "d"} {
		s, err := schedule.Parse("0 * * * *", "UTC", 10*time.Minute, name)
		if err != nil {
			t.Fatal(err)
		}
		first := s.Next(from)
		if second := s.Next(first); second.Sub(first) != time.Hour {
			t.Errorf("%s: %s after %s", name, second, first)
		}
		delay := first.Sub(first.Truncate(time.Hour))
		if delay < 0 || delay >= 10*time.Minute {
			t.Errorf("%s: delay %s", name, delay)
		}
		delays[delay] = true
	}
	if len(delays) < 3 {
		t.Errorf("delays %v", delays)
	}
}

func TestBadExpressions(t *testing.T) {
	for _, c := range [][2]string{{"", ""}, {"* * *", ""}, {"61 * * * *", ""}, {"0 0 30 2 *", ""}, {"0 0 * * *", "Moon/Base"}, {"CRON_TZ=UTC 0 0 * * *", ""}} {
		if _, err := schedule.Parse(c[0], c[1], 0, ""); err == nil {
			t.Errorf("%q in %q was taken", c[0], c[1])
		}
	}
}
