package health

import (
	"fmt"
	"time"
)

// nextBackup is what to type when a backup is due.
const nextBackup = "etcdops backup create; etcdops explain backup.age"

func evalBackup(v *view, c Check) []Outcome {
	b := v.facts.Backup
	switch {
	case b == nil:
		return unknown("no backup repository is known here: --repo or ETCDOPS_BACKUP_REPO names it")
	case b.Problem != "":
		return []Outcome{{Severity: SeverityUnknown, Message: b.Repository + ": " + b.Problem, Next: "etcdops backup list"}}
	case b.LatestAt == nil && b.Looked > 0:
		return critical(fmt.Sprintf("no backup of this cluster in %s is good (%d looked at)", b.Repository, b.Looked), "etcdops backup create; etcdops backup list")
	case b.LatestAt == nil:
		return critical("there is no backup of this cluster in "+b.Repository, nextBackup)
	}
	out := []Outcome{c.backupAge(b, v.facts.TakenAt)}
	if b.Damaged > 0 {
		out = append(out, Outcome{
			Severity: SeverityWarning, Value: fmt.Sprintf("%d of %d", b.Damaged, b.Looked),
			Message: fmt.Sprintf("%d of the newest %s in %s %s damaged", b.Damaged, plural(b.Looked, "backup"), b.Repository, verb(b.Damaged, "is", "are")),
			Next:    "etcdops backup list; etcdops explain backup.age",
		})
	}
	if b.VerifiedAt == nil {
		return append(out, Outcome{Severity: SeverityWarning, Message: "no backup was ever verified", Next: "etcdops backup verify"})
	}
	since := span(v.facts.TakenAt.Sub(*b.VerifiedAt).Seconds())
	return append(out, Outcome{Value: since, Message: "a backup was verified " + since + " ago"})
}

// wrongClock is how far in the future a backup may lie before a clock must be wrong.
const wrongClock = 5 * time.Minute

// backupAge judges how much would be lost with the cluster.
func (c Check) backupAge(b *BackupState, now time.Time) Outcome {
	held, what := *b.LatestAt, "the last good backup"
	if b.ArchivedTo != nil && b.ArchivedTo.After(held) {
		held, what = *b.ArchivedTo, "what the archive holds"
	}
	age := now.Sub(held)
	shown := span(max(0, age.Seconds()))
	switch {
	case age < -wrongClock:
		return Outcome{
			Severity: SeverityWarning, Value: shown, Next: "etcdops clock audit",
			Message: what + " in " + b.Repository + " lies in the future: a clock is wrong, and its age is not known",
		}
	case b.IntervalSeconds <= 0:
		return Outcome{Severity: SeverityUnknown, Value: shown, Message: what + " is " + shown + " old; how often one is due is not known"}
	}
	interval := float64(b.IntervalSeconds)
	return c.graded(age.Seconds()/interval, shown, fmt.Sprintf("%s is %s old, one is due every %s", what, shown, span(interval)), nextBackup)
}
