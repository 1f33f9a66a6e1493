package recovery

import (
	"context"
	"errors"

	"github.com/etcdops/etcdops/ops"
)

// backupAction takes the backup before anything is changed.
type backupAction struct{ base }

// Done implements Action.
func (a *backupAction) Done(ctx context.Context) (bool, error) {
	if a.r.Backup == nil {
		return false, nil
	}
	return a.r.Backup.Done(ctx)
}

// Do implements Action. A follower is asked where there is one that survives, so that clients notice least.
func (a *backupAction) Do(ctx context.Context, tell Tell) error {
	seen, err := a.r.Cluster.Observe(ctx)
	if err != nil {
		return err
	}
	var from ops.MemberState
	for _, m := range seen.Members {
		usable := m.Condition == ops.Live && !m.Learner && !a.r.isTarget(m.ID)
		if usable && (from.ID == 0 || from.ID == seen.Leader) {
			from = m
		}
	}
	if a.r.Backup == nil || from.ID == 0 {
		return &ops.HintError{
			Code: CodeBackup, Class: ops.ClassRefused, Op: "back up", Err: errors.New("there is no member to take it from, or no place for it"),
			Hint: "--backup-to DIR",
		}
	}
	text, err := a.r.Backup.Take(ctx, a.r.Cluster, from.URL, a.r.Journal.Plan.Member.DBSize, tell)
	if err != nil {
		return &ops.HintError{Code: CodeBackup, Class: ops.ClassRefused, Op: "back up from", Member: from.Label(), Err: err, Hint: "--backup-to DIR names another place"}
	}
	return a.r.Journal.Put("backup", text)
}
