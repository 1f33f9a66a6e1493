package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// sourceLimit is how long a member may take to show that a backup can be taken from it: one look at busy members proves nothing
// against them.
const sourceLimit = 30 * time.Second

// Do implements Action.
func (a *backupAction) Do(ctx context.Context, tell Tell) error {
	if a.r.Backup == nil {
		return noBackup(errors.New("there is no place for it"))
	}
	from, err := a.source(ctx, tell)
	if err != nil {
		return err
	}
	text, err := a.r.Backup.Take(ctx, a.r.Cluster, from.URL, a.r.Journal.Plan.Member.DBSize, tell)
	if err != nil {
		return &ops.HintError{Code: CodeBackup, Class: ops.ClassRefused, Op: "back up from", Member: from.Label(), Err: err, Hint: "--backup-to DIR names another place"}
	}
	return a.r.Journal.Put("backup", text)
}

// source is the voter to take the backup from: a follower where there is one that stays, so that clients notice least.
func (a *backupAction) source(ctx context.Context, tell Tell) (ops.MemberState, error) {
	limited, cancel := context.WithTimeout(ctx, sourceLimit)
	defer cancel()
	var from ops.MemberState
	err := wait(limited, func(ctx context.Context) (bool, error) {
		seen, err := a.r.Cluster.Observe(ctx)
		if err != nil {
			return false, err
		}
		for _, m := range seen.Members {
			usable := m.Condition == ops.Live && !m.Learner && !a.r.isTarget(m.ID)
			if usable && (from.ID == 0 || from.ID == seen.Leader) {
				from = m
			}
		}
		if from.ID == 0 {
			tell("a member must answer from which it can be taken", nil)
		}
		return from.ID != 0, nil
	})
	if from.ID == 0 && limited.Err() != nil && ctx.Err() == nil {
		return from, noBackup(fmt.Errorf("no voter that stays has answered for %s", sourceLimit))
	}
	return from, err
}

func noBackup(why error) error {
	return &ops.HintError{Code: CodeBackup, Class: ops.ClassRefused, Op: "back up", Err: why, Hint: "etcdops health; --backup-to DIR names a place"}
}
