package health_test

import (
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/health"
)

// TestBackupAge judges what a repository may tell: nothing that is not known is ok, and every finding that can be mended
// names the command.
func TestBackupAge(t *testing.T) {
	t.Parallel()
	facts := describe(t, "m1\nm2\nm3")
	facts.Depth = health.DepthNormal
	ago := func(d time.Duration) *time.Time {
		at := facts.TakenAt.Add(-d)
		return &at
	}
	const day = 24 * time.Hour
	daily := func(latest time.Duration) health.BackupState {
		return health.BackupState{
			Repository: "s3://b", IntervalSeconds: int64(day.Seconds()), LatestAt: ago(latest), VerifiedAt: ago(latest), Looked: 3,
		}
	}
	change := func(s health.BackupState, by func(*health.BackupState)) *health.BackupState {
		by(&s)
		return &s
	}
	fresh, due := daily(time.Hour), daily(37*time.Hour)
	for name, tc := range map[string]struct {
		state    *health.BackupState
		severity health.Severity
		message  string
	}{
		"nobody told":           {nil, health.SeverityUnknown, "no backup repository is known here"},
		"out of reach":          {&health.BackupState{Repository: "s3://b", Problem: "no answer for 3s"}, health.SeverityUnknown, "s3://b: no answer for 3s"},
		"none":                  {&health.BackupState{Repository: "s3://b"}, health.SeverityCritical, "there is no backup of this cluster in s3://b"},
		"none good":             {&health.BackupState{Repository: "s3://b", Looked: 2, Damaged: 2}, health.SeverityCritical, "no backup of this cluster in s3://b is good (2 looked at)"},
		"fresh":                 {&fresh, health.SeverityOK, ""},
		"due":                   {&due, health.SeverityWarning, "the last good backup is 37h old, one is due every 24h"},
		"overdue":               {change(daily(3*day), func(*health.BackupState) {}), health.SeverityCritical, "the last good backup is 3d old"},
		"overdue, but archived": {change(daily(9*day), func(s *health.BackupState) { s.ArchivedTo = ago(time.Minute) }), health.SeverityOK, ""},
		"an archive that stopped": {
			change(daily(9*day), func(s *health.BackupState) { s.ArchivedTo = ago(2 * day) }), health.SeverityWarning, "what the archive holds is 2d old",
		},
		"fresh, with an archive that ended long ago": {change(fresh, func(s *health.BackupState) { s.ArchivedTo = ago(9 * day) }), health.SeverityOK, ""},
		"some damaged":      {change(fresh, func(s *health.BackupState) { s.Damaged = 1 }), health.SeverityWarning, "1 of the newest 3 backups in s3://b is damaged"},
		"never verified":    {change(fresh, func(s *health.BackupState) { s.VerifiedAt = nil }), health.SeverityWarning, "no backup was ever verified"},
		"no plan":           {change(fresh, func(s *health.BackupState) { s.IntervalSeconds = 0 }), health.SeverityUnknown, "how often one is due is not known"},
		"out of the future": {change(daily(-time.Hour), func(*health.BackupState) {}), health.SeverityWarning, "lies in the future"},
	} {
		facts.Backup = tc.state
		r := health.Evaluate(facts, health.Policy{Only: []string{"backup.age"}})
		if got := check(t, r, "backup.age").Severity; got != tc.severity {
			t.Errorf("%s: %s, want %s", name, got, tc.severity)
		}
		if tc.severity == health.SeverityOK {
			if len(r.Findings) > 0 {
				t.Errorf("%s: %+v", name, r.Findings)
			}
			continue
		}
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Message, tc.message) ||
			tc.severity >= health.SeverityWarning && !strings.HasPrefix(r.Findings[0].Next, "etcdops ") {
			t.Errorf("%s: %+v, want %q", name, r.Findings, tc.message)
		}
	}
}
