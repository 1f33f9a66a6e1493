package deploy_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup/schedule"
	"github.com/etcdops/etcdops/internal/deploy"
)

// expressions are cron expressions and the calendars that they become.
func expressions() map[string]string {
	return map[string]string{
		"0 */6 * * *":         "*-*-* 00,06,12,18:00:00 UTC",
		"@daily":              "*-*-* 00:00:00 UTC",
		"@weekly":             "Sun *-*-* 00:00:00 UTC",
		"@hourly":             "*-*-* *:00:00 UTC",
		"@yearly":             "*-01-01 00:00:00 UTC",
		"*/15 8-17 * * 1-5":   "Mon..Fri *-*-* 08..17:00,15,30,45:00 UTC",
		"30 3 1,15 * *":       "*-*-01,15 03:30:00 UTC",
		"5 4 * jan,JUL-sep 0": "Sun *-01,07..09-* 04:05:00 UTC",
		"0 0 * * 5-7":         "Fri..Sun *-*-* 00:00:00 UTC",
		"0 0 * * 7":           "Sun *-*-* 00:00:00 UTC",
		"10/20 1 * * *":       "*-*-* 01:10,30,50:00 UTC",
		"0 0 13 * 5":          "Fri *-*-13 00:00:00 UTC",
		"7 0 */10 * *":        "*-*-01,11,21,31 00:07:00 UTC",
		"0 12 * * sat,sun":    "Sat,Sun *-*-* 12:00:00 UTC",
	}
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	for cron, want := range expressions() {
		if got, err := deploy.Calendar(cron, ""); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", cron, got, err, want)
		}
	}
	if got, err := deploy.Calendar("30 3 * * *", "Europe/Berlin"); err != nil || got != "*-*-* 03:30:00 Europe/Berlin" {
		t.Errorf("in a zone: %q, %v", got, err)
	}
	for _, bad := range []string{"", "0 0 * *", "61 * * * *", "0 0 L * *", "0 0 * * 5#2", "@every 6h", "0 0 30 2 *"} {
		if got, err := deploy.Calendar(bad, ""); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
	if _, err := deploy.Calendar("0 0 * * *", "Moon/Base"); err == nil {
		t.Error("a zone that there is not was taken")
	}
}

// TestCalendarMeansTheSameToSystemd asks systemd for the next times, and the schedule of the daemon.
func TestCalendarMeansTheSameToSystemd(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not here")
	}
	begin := time.Date(2027, time.February, 20, 11, 7, 0, 0, time.UTC)
	elapse := regexp.MustCompile(`(?m)(?:Next elapse|Iter(?:ation|\.) #\d+|\(in UTC\)): (?:\w+ )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC`)
	const times = 12
	for cron := range expressions() {
		calendar, err := deploy.Calendar(cron, "")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", "calendar", "--base-time=2027-02-20 11:07:00 UTC", fmt.Sprintf("--iterations=%d", times), calendar)
		cmd.Env = append(cmd.Environ(), "TZ=UTC", "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", calendar, err, out)
		}
		found := elapse.FindAllSubmatch(out, -1)
		if len(found) != times {
			t.Fatalf("%d times in:\n%s", len(found), out)
		}
		plan, err := schedule.Parse(cron, "", 0, "")
		if err != nil {
			t.Fatal(err)
		}
		for i, at := 0, begin; i < times; i++ {
			at = plan.Next(at)
			if want := at.Format(time.DateTime); string(found[i][1]) != want {
				t.Errorf("%s as %s: %s to systemd, %s to the scheduler", cron, calendar, found[i][1], want)
				break
			}
		}
	}
}
