package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/backup/rewind"
	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// restorePoint is what is known of the point that a restore goes to.
type restorePoint struct {
	moment   *pitr.Moment // of --to-time
	at       time.Time
	revision int64
	plans    []pitr.Plan
}

// runPointRestore restores a revision or a time by the best way that the repository offers.
func (a *app) runPointRestore(cmd *cobra.Command, repo *backup.Repository, o *restoreOptions, ref string, policy rewind.Policy, progress *backupProgress) error {
	keys, err := o.keys()
	if err != nil {
		return err
	}
	point, err := a.findPoint(cmd, repo, o, ref, keys)
	if err != nil {
		return err
	}
	if m := point.moment; m != nil {
		a.tellMoment(*m, point.at)
	}
	if o.token == "" {
		o.token = fmt.Sprintf("etcdops-%s-%d", point.plans[0].Base.ID, point.revision)
	}
	return a.tryPlans(cmd, repo, o, point, keys, policy, progress)
}

// tryPlans restores by the first way that leads there.
func (a *app) tryPlans(cmd *cobra.Command, repo *backup.Repository, o *restoreOptions, point restorePoint, keys backup.Identities, policy rewind.Policy, progress *backupProgress) error {
	targets, err := o.targets()
	if err != nil {
		return err
	}
	var failed error
	for _, plan := range point.plans {
		lib := backup.RestoreOptions{Targets: targets, Leases: policy, Keys: keys, Progress: progress.show}
		doc := o.document(plan.Base.Entry, point.revision, targets)
		if o.dryRun {
			if err := repo.CheckRestore(cmd.Context(), plan.Base.Entry, lib); err != nil {
				return err
			}
			a.tellWay(o, plan, nil)
			return a.print(cmd, doc, func() error { return a.tellRestore(doc, plan.Base.Entry, o) })
		}
		progress.about(plan.Base.ID)
		var result *pitr.Result
		lib.Rework = func(ctx context.Context, path string, out *backup.Restored) error {
			got, err := pitr.To(ctx, path, pitr.Segments{Store: repo.Store(), Refs: plan.Segments, Keys: keys}, point.revision,
				pitr.Options{Leases: policy, Own: plan.Own, GuessTTL: int64(o.leaseTTL.Seconds()), Progress: progress.show})
			if err != nil {
				return err
			}
			result = got
			out.Revision, out.HashKV, out.Leases, out.Keys = got.Revision, got.HashKV, got.Missing, got.Keys
			return nil
		}
		got, err := repo.Restore(cmd.Context(), plan.Base.Entry, lib)
		if err == nil {
			progress.end()
			doc.take(got)
			a.tellWay(o, plan, result)
			return a.print(cmd, doc, func() error {
				if o.quiet {
					return nil
				}
				return a.tellRestore(doc, plan.Base.Entry, o)
			})
		}
		failed = errors.Join(failed, err)
		if !worthAnother(cmd.Context(), err) || len(got.Members) > 0 {
			return err
		}
		progress.pause()
		fmt.Fprintf(a.io.Err, "backup %s does not lead there: %s\n", plan.Base.ID.Short(), ui.Safe(err.Error()))
	}
	return failed
}

// worthAnother says whether another backup may do what this one did not.
func worthAnother(ctx context.Context, err error) bool {
	switch ops.CodeOf(err) {
	case backup.CodeTargetExists, backup.CodeWrongKey, backup.CodeSpool, rewind.CodeLeaseMissing:
		return false
	default:
		return ctx.Err() == nil
	}
}

// findPoint turns --to-revision or --to-time into a revision and the ways to it.
func (a *app) findPoint(cmd *cobra.Command, repo *backup.Repository, o *restoreOptions, ref string, keys backup.Identities) (restorePoint, error) {
	var p restorePoint
	facts, only, err := a.pointFacts(cmd, repo, o, ref)
	if err != nil {
		return p, err
	}
	p.revision = o.toRevision
	if o.toTime != "" {
		if p.at, err = time.Parse(time.RFC3339Nano, o.toTime); err != nil {
			return p, usageError(cmd, fmt.Errorf("--to-time is a time as in 2026-11-22T14:03:00Z, not %q", o.toTime))
		}
		moment, err := pitr.At(cmd.Context(), repo.Store(), facts, p.at, o.timeline, keys)
		if err != nil {
			return p, err
		}
		p.moment, p.revision = &moment, moment.Revision
		if o.timeline == "" {
			o.timeline = moment.Timeline
		}
	}
	if p.plans, err = pitr.Plans(facts, p.revision, o.timeline); err != nil || only == "" {
		return p, err
	}
	p.plans = slices.DeleteFunc(p.plans, func(plan pitr.Plan) bool { return plan.Base.ID != only })
	if len(p.plans) == 0 {
		return p, &ops.HintError{
			Code: pitr.CodeNoPoint, Class: ops.ClassRefused, Op: "restore", Member: fmt.Sprintf("revision %d", p.revision),
			Err: fmt.Errorf("backup %s does not lead there", only.Short()), Hint: "without ID the best way is taken",
		}
	}
	return p, nil
}

// pointFacts reads what the repository has of the cluster that is meant: that of a backup which was named, which is then the only
// one to begin with.
func (a *app) pointFacts(cmd *cobra.Command, repo *backup.Repository, o *restoreOptions, ref string) (facts pitr.Facts, only backup.ID, err error) {
	if ref != "" && ref != "latest" {
		entry, err := repo.Find(cmd.Context(), ref)
		if err != nil {
			return facts, "", err
		}
		if entry.Manifest == nil {
			return facts, "", fmt.Errorf("backup %s cannot be read: %s", entry.ID.Short(), entry.Problem)
		}
		facts, err = pitr.Read(cmd.Context(), repo, entry.Manifest.ClusterID)
		return facts, entry.ID, err
	}
	err = a.ofCluster(cmd, &o.backupOptions, func(cluster ops.ClusterID) error {
		facts, err = pitr.Read(cmd.Context(), repo, cluster)
		return err
	})
	return facts, "", err
}

// tellMoment says what a time was taken for, and how sure that is.
func (a *app) tellMoment(m pitr.Moment, at time.Time) {
	text := fmt.Sprintf("%s is revision %d", at.UTC().Format(time.RFC3339Nano), m.Revision)
	if !m.Received.IsZero() {
		text += fmt.Sprintf(" (received %s before)", at.Sub(m.Received).Round(time.Millisecond))
	}
	switch {
	case m.Exact():
		text += "; nothing else had been acknowledged by then, by the archiver's clock"
	case m.Latest < 0:
		text += "; changes may have been acknowledged between it and that time: the archive did not follow the cluster then"
	default:
		text += fmt.Sprintf("; revisions up to %d may have been acknowledged by then too: they were received after", m.Latest)
	}
	fmt.Fprintln(a.io.Err, ui.Wrap(text, 2, ui.MaxColumns, 0))
}

// tellWay says how the revision is reached, and what of it is proven.
func (a *app) tellWay(o *restoreOptions, plan pitr.Plan, got *pitr.Result) {
	if o.quiet {
		return
	}
	var parts []string
	switch {
	case plan.Rewind:
		parts = append(parts, fmt.Sprintf("back within backup %s (revision %d)", plan.Base.ID.Short(), plan.Base.Revision))
	default:
		parts = append(parts, fmt.Sprintf("backup %s (revision %d) and %d archived segments", plan.Base.ID.Short(), plan.Base.Revision, len(plan.Segments)))
	}
	if got != nil {
		if got.Proven > 0 {
			parts = append(parts, fmt.Sprintf("the hash at revision %d is the one that a member computed then", got.Proven))
		} else if len(plan.Segments) > 0 {
			parts = append(parts, "no member's own hash lies on the way: the changes are those that were received, and none is missing")
		}
		if got.AuthChanged {
			parts = append(parts, "USERS OR ROLES CHANGED between the backup and this revision: those of the backup are restored")
		}
		if len(got.Guessed) > 0 {
			parts = append(parts, fmt.Sprintf("%d leases were made again with a guessed time to live of %ds", len(got.Guessed), int64(o.leaseTTL.Seconds())))
		}
	}
	fmt.Fprintln(a.io.Err, ui.Wrap(strings.Join(parts, "; "), 2, ui.MaxColumns, 0))
}
