package cmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/ops"
)

// prunedTimeline is what becomes of the archived changes of one timeline.
type prunedTimeline struct {
	ClusterID   ops.ClusterID `json:"cluster_id"`
	Timeline    string        `json:"timeline"`
	KeepFrom    int64         `json:"keep_from"` // first revision whose change some backup needs; 0 when none is needed
	Kept        int           `json:"kept"`      // segments
	Marked      int           `json:"marked"`    // segments that go after their grace
	Until       *time.Time    `json:"until"`     // when that is over; null when none is marked
	Removed     int           `json:"removed"`
	RemovedSize int64         `json:"removed_bytes"`
}

// archivePlan is what prune does to the archives of a repository.
type archivePlan map[ops.ClusterID][]archive.Retention

// planArchives says which archived changes lead from no backup that a plan leaves.
func planArchives(ctx context.Context, repo *backup.Repository, policy backup.Policy, plan []backup.PruneStep, now time.Time) (archivePlan, error) {
	clusters, err := archive.Clusters(ctx, repo.Store())
	if err != nil {
		return nil, archiveError(repo, err)
	}
	needs := policy.ArchiveFrom(plan)
	out := archivePlan{}
	for _, cluster := range clusters {
		timelines, err := archive.Load(ctx, repo.Store(), cluster)
		if err != nil {
			return nil, archiveError(repo, err)
		}
		out[cluster] = archive.PlanRetention(timelines, needs[cluster], now)
	}
	return out, nil
}

func archiveError(repo *backup.Repository, err error) error {
	return &ops.HintError{
		Code: backup.CodeStore, Op: "prune archive in", Member: repo.Store().String(), Err: err, Hint: "run it again: what is left is finished then",
	}
}

// apply does it, as far as the backups that are there now still allow.
func (p archivePlan) apply(ctx context.Context, repo *backup.Repository, policy backup.Policy, now time.Time) error {
	if len(p) == 0 {
		return nil
	}
	left, err := repo.PlanPrune(ctx, policy, now)
	if left == nil {
		return err
	}
	// More than half being marked by now is what was agreed to: only what is needed counts here.
	needs := policy.ArchiveFrom(left)
	for cluster, plan := range p {
		if err := archive.ApplyRetention(ctx, repo.Store(), cluster, plan, needs[cluster], now); err != nil {
			return archiveError(repo, err)
		}
	}
	return nil
}

// rows are the plan for the report.
func (p archivePlan) rows() []prunedTimeline {
	out := []prunedTimeline{}
	for _, cluster := range slices.Sorted(maps.Keys(p)) {
		for _, r := range p[cluster] {
			row := prunedTimeline{ClusterID: cluster, Timeline: r.Timeline, Kept: len(r.Keep), Marked: len(r.Wait), Removed: len(r.Remove)}
			for _, ref := range r.Keep {
				if row.KeepFrom == 0 || ref.First < row.KeepFrom {
					row.KeepFrom = ref.First
				}
			}
			for _, ref := range r.Remove {
				row.RemovedSize += ref.Size
			}
			if row.Marked > 0 {
				row.Until = &r.Until
			}
			out = append(out, row)
		}
	}
	return out
}

// changes counts the timelines of which something is removed, or marked for the first time.
func (p archivePlan) changes() (n int) {
	for _, plan := range p {
		for _, r := range plan {
			if r.Mark != nil || len(r.Remove) > 0 || r.Whole {
				n++
			}
		}
	}
	return n
}

// text is a row for people.
func (t prunedTimeline) text() string {
	s := fmt.Sprintf("timeline %s: %d segments stay", t.Timeline, t.Kept)
	if t.KeepFrom > 0 {
		s += fmt.Sprintf(" (from revision %d)", t.KeepFrom)
	}
	if t.Marked > 0 {
		s += fmt.Sprintf(", %d marked: no backup that stays needs them, they go after %s", t.Marked, t.Until.UTC().Format(time.RFC3339))
	}
	if t.Removed > 0 {
		s += fmt.Sprintf(", %d removed (%s)", t.Removed, health.Bytes(t.RemovedSize))
	}
	return s
}
