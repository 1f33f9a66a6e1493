package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Grace is how long a backup that no rule keeps stays in the repository, marked: a hold in between saves it.
const Grace = 24 * time.Hour

// PruneAction is what becomes of a backup.
type PruneAction string

// The actions.
const (
	ActionKeep   PruneAction = "keep"
	ActionMark   PruneAction = "mark"   // no rule keeps it: it goes after its grace
	ActionWait   PruneAction = "wait"   // marked, and its grace is not over
	ActionRemove PruneAction = "remove" // marked, and its grace is over
	ActionRevive PruneAction = "revive" // marked before, and kept by a rule now
)

// PruneStep is what becomes of one backup, and why.
type PruneStep struct {
	Entry   Entry
	Action  PruneAction
	Reasons []string
}

// PlanPrune says what a policy does to each backup now. The error, when there is one, is CodePruneRefused: the plan is
// returned all the same, to be looked at, and ApplyPrune must not be called.
func (r *Repository) PlanPrune(ctx context.Context, p Policy, now time.Time) ([]PruneStep, error) {
	list, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	plan, refused := p.Plan(list, now)
	if refused != nil {
		hint := "--force allows to remove more than half; --dry-run shows the plan"
		if errors.Is(refused, errFuture) {
			hint = "check the clock of this machine, and of the one that took that backup: timedatectl"
		}
		return plan, &ops.HintError{
			Code: CodePruneRefused, Class: ops.ClassRefused, Op: "prune", Member: r.store.String(), Err: refused, Hint: hint,
		}
	}
	return plan, nil
}

// Plan says what the policy does to each backup of a list, newest first within a cluster. An error means that nothing may be
// done.
func (p Policy) Plan(list []Entry, now time.Time) ([]PruneStep, error) {
	byID := map[ID]Entry{}
	var judged []Snapshot
	var plan []PruneStep
	for _, e := range list {
		if e.Manifest == nil { // nobody knows what it is: it stays
			plan = append(plan, PruneStep{Entry: e, Action: ActionKeep, Reasons: []string{"its manifest cannot be read"}})
			continue
		}
		byID[e.ID] = e
		judged = append(judged, Snapshot{
			ID: e.ID, ClusterID: e.Manifest.ClusterID, TakenAt: e.Manifest.TakenAt, Revision: e.Manifest.Revision,
			Level: e.Level(), Held: e.Hold != nil, Leased: e.Leased, Marked: e.Tomb != nil,
		})
	}
	verdicts, err := p.Apply(now, judged)
	for _, v := range verdicts {
		plan = append(plan, stepOf(v, byID[v.ID], now))
	}
	return plan, err
}

// ArchiveFrom lists, for each cluster, the revisions of the backups that archived changes must be kept from when a plan of the
// policy is done: of all that are left, or with a window, of those in it, of the one that it begins in, of one more before
// that in case that one is damaged, and of any that a restore reads.
func (p Policy) ArchiveFrom(plan []PruneStep) map[ops.ClusterID][]int64 {
	out := map[ops.ClusterID][]int64{}
	past := map[ops.ClusterID]int{} // good backups met since the window began
	for _, s := range plan {
		cluster, revision, ok := placeOf(s.Entry.Dir)
		if m := s.Entry.Manifest; m != nil {
			cluster, revision, ok = m.ClusterID, m.Revision, true
		}
		if !ok || s.Action == ActionRemove {
			continue
		}
		if p.Window <= 0 || past[cluster] <= 1 || s.Entry.Leased || s.Entry.Manifest == nil {
			out[cluster] = append(out[cluster], revision)
		}
		lasting := s.Action == ActionKeep || s.Action == ActionRevive
		if slices.Contains(s.Reasons, reasonBegins) || past[cluster] > 0 && lasting && s.Entry.Level() >= LevelData {
			past[cluster]++
		}
	}
	return out
}

func stepOf(v Verdict, e Entry, now time.Time) PruneStep {
	s := PruneStep{Entry: e, Action: ActionKeep, Reasons: v.Reasons}
	switch {
	case v.Keep && e.Tomb != nil:
		s.Action = ActionRevive
	case v.Keep:
	case e.Tomb == nil:
		s.Action, s.Reasons = ActionMark, []string{"no rule keeps it"}
	case now.Sub(e.Tomb.At) < Grace:
		s.Action, s.Reasons = ActionWait, []string{"no rule keeps it; it goes after " + e.Tomb.At.Add(Grace).UTC().Format(time.RFC3339)}
	default:
		s.Action, s.Reasons = ActionRemove, []string{"no rule keeps it, and its grace is over"}
	}
	return s
}

// ApplyPrune does what a plan says. What somebody has held or begun to read since the plan was made stays. Nothing is done
// when what was to stay is gone meanwhile, or was found damaged: others may go only because these stay.
func (r *Repository) ApplyPrune(ctx context.Context, plan []PruneStep, now time.Time) error {
	fresh, err := r.List(ctx)
	if err != nil {
		return err
	}
	spared, level := map[ID]bool{}, map[ID]Level{}
	for _, e := range fresh {
		spared[e.ID], level[e.ID] = e.Hold != nil || e.Leased, e.Level()
	}
	for _, s := range plan {
		now, there := level[s.Entry.ID]
		if stays := s.Action == ActionKeep || s.Action == ActionRevive; stays && (!there || now < s.Entry.Level()) {
			return &ops.HintError{
				Code: CodePruneRefused, Class: ops.ClassRefused, Op: "prune", Member: r.store.String(), Hint: "make the plan again: etcdops backup prune",
				Err: fmt.Errorf("backup %s was to stay, and is gone or damaged since the plan was made; nothing was changed", s.Entry.ID.Short()),
			}
		}
	}
	for _, s := range plan {
		var err error
		switch {
		case s.Action == ActionRevive:
			err = r.store.Delete(ctx, tombDir+string(s.Entry.ID))
		case spared[s.Entry.ID]:
		case s.Action == ActionMark:
			err = putDocument(ctx, r.store, tombDir+string(s.Entry.ID), schemaTomb, Tomb{At: now.UTC()})
			if errors.Is(err, ErrExist) {
				err = nil
			}
		case s.Action == ActionRemove:
			err = r.remove(ctx, s.Entry)
		}
		if err != nil {
			return storeError("prune", r.store, err)
		}
	}
	return nil
}

// remove deletes a backup: its manifest first, so that it is no backup any more, its marks last. Who has held it or begun to
// read it by then gets the manifest back.
func (r *Repository) remove(ctx context.Context, e Entry) error {
	if spared, err := r.spared(ctx, e.ID); err != nil || spared {
		return err
	}
	manifest, err := readBytes(ctx, r.store, e.Dir+manifestName)
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	if err := r.store.Delete(ctx, e.Dir+manifestName); err != nil {
		return err
	}
	if spared, err := r.spared(ctx, e.ID); (err != nil || spared) && manifest != nil {
		return errors.Join(err, r.store.Put(context.WithoutCancel(ctx), e.Dir+manifestName, bytes.NewReader(manifest)))
	}
	var names []string
	for _, prefix := range []string{e.Dir, recordDir + string(e.ID) + "/", leaseDir + string(e.ID) + "/", tombDir + string(e.ID)} {
		objects, err := r.store.List(ctx, prefix)
		if err != nil {
			return err
		}
		for _, o := range objects {
			names = append(names, o.Name)
		}
	}
	for _, name := range names {
		if err := r.store.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
