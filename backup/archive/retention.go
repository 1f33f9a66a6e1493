package archive

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// Retention is what becomes of one timeline when backups were removed: changes that lead from no backup to anywhere go.
type Retention struct {
	Timeline string
	Keep     []Ref     // some backup needs them, or the archiver goes on from them
	Wait     []Ref     // no backup needs them: they go after a grace
	Until    time.Time // when what waits may go
	Remove   []Ref     // and their grace is over
	Mark     *Trim     // to be written now, for what waits; nil when it is written
	Whole    bool      // nothing is left of the timeline: its documents go too

	trims []string // that say nothing any more once Remove has gone
}

// PlanRetention says which segments may go. needs are the revisions of the backups that changes must be kept from
// (backup.Policy.ArchiveFrom): a segment stays while one of them is at or before its last revision, and so does the one that
// holds a backup's own revision, which proves that they belong together. With no needs at all everything stays, and so do
// the end of the newest timeline, from which an archiver goes on, and timelines in which two histories lie.
//
// It is pure. Clocks decide about the grace alone, never about what is needed.
func PlanRetention(timelines []Timeline, needs []int64, now time.Time) []Retention {
	var out []Retention
	for i := range timelines {
		out = append(out, timelines[i].retention(needs, now, i == len(timelines)-1))
	}
	return out
}

// retention judges one timeline.
func (t *Timeline) retention(needs []int64, now time.Time, newest bool) Retention {
	r := Retention{Timeline: t.Name}
	floor := t.floor(needs, newest)
	cut := t.cut(floor, newest)
	if cut.Revision == 0 {
		r.Keep = append(append(r.Keep, t.Segments...), t.Aside...)
		r.Whole = !newest && t.Begin != nil && len(r.Keep) == 0 && floor > t.Last && len(needs) > 0
		return r
	}
	var marked, ripe Trim // the farthest ones up to the cut
	for _, trim := range t.Trims {
		if trim.Revision > cut.Revision {
			continue // written when less was needed than now
		}
		if trim.Revision > marked.Revision {
			marked = trim
		}
		if now.Sub(trim.At) >= backup.Grace && trim.Revision > ripe.Revision {
			ripe = trim
		}
	}
	for _, ref := range append(slices.Clip(t.Segments), t.Aside...) {
		switch {
		case ref.Last > cut.Revision:
			r.Keep = append(r.Keep, ref)
		case ref.Last > ripe.Revision:
			r.Wait = append(r.Wait, ref)
		default:
			r.Remove = append(r.Remove, ref)
		}
	}
	if marked.Revision < cut.Revision {
		cut.At = now.UTC()
		r.Mark, marked = &cut, cut
	}
	if len(r.Wait) > 0 {
		r.Until = marked.At.Add(backup.Grace)
	}
	for _, trim := range t.Trims {
		if trim.Revision < ripe.Revision {
			r.trims = append(r.trims, trim.Object)
		}
	}
	r.Whole = !newest && len(r.Keep)+len(r.Wait) == 0
	return r
}

// floor is the revision from which on a timeline is needed.
func (t *Timeline) floor(needs []int64, newest bool) int64 {
	floor := t.Last + 1
	if newest {
		floor = t.After // a backup may come that begins here
	}
	found := false
	for _, n := range needs {
		if n < t.After || n > t.Last && !newest {
			continue // it does not lead into this timeline
		}
		if !found || n < floor {
			floor, found = n, true
		}
	}
	if len(needs) == 0 || t.Fork != 0 && floor <= t.Last || len(t.Segments) == 0 && t.Begin == nil {
		return 0 // nobody knows what is needed
	}
	return floor
}

// cut is behind the last segment that ends before the floor; the zero Trim where there is none.
func (t *Timeline) cut(floor int64, newest bool) Trim {
	var cut Trim
	if t.Trimmed != nil && t.Trimmed.Revision < floor {
		cut = *t.Trimmed // what lies before it was to go already
	}
	n := len(t.Segments)
	if newest {
		n-- // the archiver goes on from the last one
	}
	for _, ref := range t.Segments[:max(n, 0)] {
		if ref.Last < floor {
			cut = trimOf(ref, time.Time{})
		}
	}
	return cut
}

// ApplyRetention does what a plan says, as far as it is still right: needs are those of now. The mark is written first;
// without it what is removed would be a gap. What is killed on the way is finished by the next run.
func ApplyRetention(ctx context.Context, s backup.Store, cluster ops.ClusterID, plan []Retention, needs []int64, now time.Time) error {
	fresh, err := Load(ctx, s, cluster)
	if err != nil {
		return fmt.Errorf("list the archive: %w", err)
	}
	planned := map[string]bool{}
	for _, r := range plan {
		for _, ref := range r.Remove {
			planned[ref.Object] = true
		}
		planned[r.Timeline] = r.Whole
	}
	for _, r := range PlanRetention(fresh, needs, now) {
		if err := r.apply(ctx, s, cluster, planned); err != nil {
			return fmt.Errorf("prune timeline %s: %w", r.Timeline, err)
		}
	}
	return nil
}

// apply changes one timeline.
func (r *Retention) apply(ctx context.Context, s backup.Store, cluster ops.ClusterID, planned map[string]bool) error {
	if r.Mark != nil {
		if err := putTrim(ctx, s, cluster, r.Timeline, *r.Mark); err != nil {
			return err
		}
	}
	all := true
	for _, ref := range r.Remove {
		if !planned[ref.Object] {
			all = false
			continue
		}
		if err := s.Delete(ctx, ref.Object); err != nil {
			return err
		}
	}
	if !all {
		return nil
	}
	for _, name := range r.trims {
		if err := s.Delete(ctx, name); err != nil {
			return err
		}
	}
	if r.Whole && planned[r.Timeline] {
		return removeDocuments(ctx, s, cluster, r.Timeline)
	}
	return nil
}

// removeDocuments removes what describes a timeline that has no segment left, the document that names it last.
func removeDocuments(ctx context.Context, s backup.Store, cluster ops.ClusterID, timeline string) error {
	dir := backup.SegmentPrefix(cluster) + timeline + "/"
	objects, err := s.List(ctx, dir)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, isSegment := parseName(cluster, o.Name); isSegment {
			return nil // it came meanwhile
		}
	}
	for _, o := range objects {
		if o.Name != dir+timelineDocument {
			if err := s.Delete(ctx, o.Name); err != nil {
				return err
			}
		}
	}
	return s.Delete(ctx, dir+timelineDocument)
}
