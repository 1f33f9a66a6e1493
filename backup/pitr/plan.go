package pitr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/ops"
)

// CodeNoPoint says that a revision or a time cannot be restored.
const CodeNoPoint ops.Code = "ETO-4171"

// Base is a backup to begin with.
type Base struct {
	Entry           backup.Entry
	ID              backup.ID
	Revision        int64
	CompactRevision int64
}

// Facts are what a repository has of one cluster.
type Facts struct {
	Cluster   ops.ClusterID
	Bases     []Base             // good ones, newest first
	Timelines []archive.Timeline // oldest first
}

// Read collects the facts of a cluster. 0 means the only one in the repository; where there are several, the error is a
// *backup.SeveralClustersError.
func Read(ctx context.Context, r *backup.Repository, cluster ops.ClusterID) (Facts, error) {
	f := Facts{Cluster: cluster}
	entries, err := r.List(ctx)
	if err != nil {
		return f, err
	}
	if cluster == 0 {
		if err := r.OneCluster(entries); err != nil {
			return f, err
		}
	}
	for _, e := range entries {
		if e.Manifest == nil {
			continue
		}
		if f.Cluster == 0 {
			f.Cluster = e.Manifest.ClusterID
		}
		if e.Manifest.ClusterID != f.Cluster {
			continue
		}
		if e.Level() >= backup.LevelData {
			f.Bases = append(f.Bases, Base{Entry: e, ID: e.ID, Revision: e.Manifest.Revision, CompactRevision: e.Manifest.CompactRevision})
		}
	}
	slices.SortStableFunc(f.Bases, func(a, b Base) int {
		return cmp.Or(b.Entry.Manifest.TakenAt.Compare(a.Entry.Manifest.TakenAt), cmp.Compare(b.Revision, a.Revision))
	})
	if f.Cluster != 0 {
		f.Timelines, err = archive.Load(ctx, r.Store(), f.Cluster)
	}
	return f, err
}

// Plan is one way to a revision.
type Plan struct {
	Base     Base
	Rewind   bool          // back within the base: no segment is needed
	Timeline string        // of the segments; empty for none
	Segments []archive.Ref // in order; the first may lie before the base, to prove that they belong together
	Own      bool          // the timeline began with this base
}

// Plans lists the ways to a revision, the best first: a newest base at or before it and the segments from there on; then
// older bases; then back within a later base. timeline restricts it to one history; empty means the newest that has it: ways
// through what a cluster was before its history became another one come last. The error is CodeNoPoint, with the nearest
// revisions that can be restored.
func Plans(f Facts, revision int64, timeline string) ([]Plan, error) {
	var ways [][]Plan // by history, the oldest first
	for range len(f.Timelines) + 1 {
		ways = append(ways, nil)
	}
	add := func(history int, plans ...Plan) { ways[history] = append(ways[history], plans...) }
	chosen := func(b Base) bool { return timeline == "" || within(f.Timelines, timeline, b) }
	for _, b := range f.Bases {
		if chosen(b) && b.Revision == revision {
			add(f.historyOfBase(b), Plan{Base: b})
		}
	}
	for i := range slices.Backward(f.Timelines) {
		if t := &f.Timelines[i]; timeline == "" || t.Name == timeline {
			add(f.history(i), t2plans(f.Bases, t, revision)...)
		}
	}
	for _, b := range f.Bases {
		if chosen(b) && revision < b.Revision && revision >= max(b.CompactRevision, 1) {
			add(f.historyOfBase(b), Plan{Base: b, Rewind: true})
		}
	}
	slices.Reverse(ways)
	if all := slices.Concat(ways...); len(all) > 0 {
		return all, nil
	}
	return nil, noPoint(f, revision)
}

// history counts the histories up to a timeline: a new one begins where the cluster's was another one than archived.
func (f *Facts) history(timeline int) int {
	for i := timeline; i >= 0; i-- {
		if b := f.Timelines[i].Begin; b != nil && b.Reason == archive.ReasonDiverged {
			return i + 1
		}
	}
	return 0
}

// historyOfBase is the history that a base is of, by the time when it was taken.
func (f *Facts) historyOfBase(b Base) int {
	for i, t := range slices.Backward(f.Timelines) {
		if t.Begin != nil && (t.Begin.BaseID == b.ID || !b.Entry.Manifest.TakenAt.Before(t.Begin.CreatedAt)) {
			return f.history(i)
		}
	}
	return 0
}

// t2plans are the ways through one timeline: each base in it, the nearest first.
func t2plans(bases []Base, t *archive.Timeline, revision int64) []Plan {
	if t.Fork != 0 && revision >= t.Fork {
		return nil // two histories: nothing says which one is meant
	}
	var out []Plan
	for _, b := range bases {
		if b.Revision > revision || b.Revision == revision {
			continue
		}
		if refs, ok := t.Covering(b.Revision, revision); ok {
			own := t.Begin != nil && t.Begin.BaseID == b.ID
			out = append(out, Plan{Base: b, Timeline: t.Name, Segments: refs, Own: own})
		}
	}
	slices.SortStableFunc(out, func(a, b Plan) int { return cmp.Compare(b.Base.Revision, a.Base.Revision) })
	return out
}

// within says whether a base may be of a timeline.
func within(all []archive.Timeline, name string, b Base) bool {
	for _, t := range all {
		if t.Name == name {
			return b.Revision >= t.After && b.Revision <= t.Last
		}
	}
	return false
}

// Window is a run of revisions that can all be restored.
type Window struct {
	From, To int64
	Bases    int
	Timeline string // the newest of those that it is made of; empty for bases alone
}

// Windows lists what can be restored, joined where it touches, newest first.
func Windows(f Facts) []Window {
	var all []Window
	for _, b := range f.Bases {
		w := Window{From: max(b.CompactRevision, 1), To: b.Revision, Bases: 1}
		for _, t := range f.Timelines {
			if b.Revision >= t.After && b.Revision <= t.Last && t.Last > w.To {
				w.To, w.Timeline = t.Last, t.Name
				if t.Fork != 0 {
					w.To = max(b.Revision, t.Fork-1)
				}
			}
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b Window) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	var out []Window
	for _, w := range all {
		if n := len(out); n > 0 && w.From <= out[n-1].To+1 {
			last := &out[n-1]
			last.Bases += w.Bases
			if w.To > last.To {
				last.To, last.Timeline = w.To, w.Timeline
			}
			continue
		}
		out = append(out, w)
	}
	slices.Reverse(out)
	return out
}

// noPoint says what can be restored instead.
func noPoint(f Facts, revision int64) error {
	below, above := int64(0), int64(0)
	for _, w := range Windows(f) {
		if w.To < revision {
			below = max(below, w.To)
		}
		if w.From > revision && (above == 0 || w.From < above) {
			above = w.From
		}
	}
	var near []string
	if below > 0 {
		near = append(near, fmt.Sprintf("before it %d", below))
	}
	if above > 0 {
		near = append(near, fmt.Sprintf("after it %d", above))
	}
	hint := "etcdops backup create; etcdops backup archive"
	if len(near) > 0 {
		hint = "the nearest that can be: " + strings.Join(near, ", ")
	}
	return &ops.HintError{
		Code: CodeNoPoint, Class: ops.ClassRefused, Op: "restore", Member: fmt.Sprintf("revision %d", revision),
		Err: errors.New("no backup and no archived changes reach it"), Hint: hint,
	}
}

// Explanations returns one explanation for each code of this package, in the order of the codes.
func Explanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeNoPoint), Title: "the revision or time cannot be restored",
			Cause:  "No backup holds it in its history, and the archive has not followed the cluster there: it was not running, or the cluster compacted before it came back.",
			Danger: "None: nothing was written. The state of that moment is not in this repository.",
			Fix: []string{
				"take the nearest revision that the error names", "etcdops backup status lists all that can be restored",
				"a member's data directory of that time may still have it: etcdops inspect",
			},
		},
	}
}
