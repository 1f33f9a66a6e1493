package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

const (
	schemaTimeline = "etcdops-timeline/1"
	schemaSync     = "etcdops-archive-sync/1"
	syncPrefix     = "sync-"
)

// Reason says why a timeline began.
type Reason string

// The reasons.
const (
	ReasonFirst    Reason = "first"    // nothing was archived before
	ReasonGap      Reason = "gap"      // changes were compacted away before they could be read
	ReasonDiverged Reason = "diverged" // the cluster's history is another one: it was restored or rebuilt
)

// Beginning is the document of a timeline: what it begins with.
type Beginning struct {
	ClusterID    ops.ClusterID `json:"cluster_id"`
	Timeline     string        `json:"timeline"`
	CreatedAt    time.Time     `json:"created_at"`
	BaseID       backup.ID     `json:"base_id"`
	BaseRevision int64         `json:"base_revision"` // the first segment begins after it
	BaseHash     backup.Hash   `json:"base_hash"`
	Reason       Reason        `json:"reason"`
	Parent       string        `json:"parent"`      // the timeline before; empty for none
	ParentLast   int64         `json:"parent_last"` // its newest revision
	Fence        int64         `json:"fence"`
}

// Timeline is a run of segments that continue each other.
type Timeline struct {
	Name     string
	Begin    *Beginning // nil where the document is missing or damaged
	After    int64      // the revision that it begins after
	Last     int64      // newest revision; After when it has no segment
	Chain    string     // Chain.Short at Last
	Segments []Ref      // in order, each beginning where the one before ends
	Aside    []Ref      // repeated by others, or without connection to the beginning
	Fork     int64      // revision from which on two histories lie in it; 0 for none
	Synced   time.Time  // up to when it is known that nothing came after Last; zero for unknown
	Trims    []Trim     // that retention has written
	Trimmed  *Trim      // the one that it begins after; nil where it begins with its base
}

// Load lists the timelines of a cluster, oldest first. Objects that are no segments are left alone.
func Load(ctx context.Context, s backup.Store, cluster ops.ClusterID) ([]Timeline, error) {
	objects, err := s.List(ctx, backup.SegmentPrefix(cluster))
	if err != nil {
		return nil, err
	}
	byName := map[string]*Timeline{}
	var names []string
	get := func(name string) *Timeline {
		if byName[name] == nil {
			byName[name] = &Timeline{Name: name}
			names = append(names, name)
		}
		return byName[name]
	}
	for _, o := range objects {
		dir, file := path.Split(o.Name)
		name := path.Base(dir)
		ref, isSegment := parseName(cluster, o.Name)
		switch {
		case isSegment:
			ref.Size = o.Size
			t := get(ref.Timeline)
			t.Aside = append(t.Aside, ref)
		case !validTimeline(name):
		case file == timelineDocument:
			var b Beginning
			if err := backup.ReadDocument(ctx, s, o.Name, schemaTimeline, &b); err == nil && b.Timeline == name && b.ClusterID == cluster {
				get(name).Begin = &b
			} else if err != nil && !backup.IsDamaged(err) && !errors.Is(err, backup.ErrNotExist) {
				return nil, err // the store fails: what the timeline begins with is not known, which is not to say that it has no beginning
			}
		case strings.HasPrefix(file, syncPrefix):
			get(name).noteSync(cluster, file)
		case strings.HasPrefix(file, trimPrefix):
			if trim, ok := readTrim(ctx, s, o, file); ok {
				t := get(name)
				t.Trims = append(t.Trims, trim)
			}
		}
	}
	slices.Sort(names)
	out := make([]Timeline, len(names))
	for i, name := range names {
		out[i] = *byName[name]
		out[i].connect(cluster)
	}
	return out, nil
}

// node is a point of a timeline's history.
type node struct {
	revision int64
	chain    string
}

// connect finds the way through the segments that goes farthest. Segments that overlap or repeat each other (two
// archivers) are fine: what has one chain at a revision is one history. Where retention has removed the first ones, the way
// begins at its trim.
func (t *Timeline) connect(cluster ops.ClusterID) {
	all := t.Aside
	slices.SortFunc(all, func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last), a.SealedAt.Compare(b.SealedAt), cmp.Compare(a.Object, b.Object))
	})
	reached := map[node]int{} // the segment that leads there
	chains := map[int64]string{}
	var far node
	if start, ok := t.start(cluster, all); ok {
		reached[start], chains[start.revision], far = -1, start.chain, start
	}
	trims := map[node]*Trim{}
	for i := range t.Trims {
		trims[node{t.Trims[i].Revision, t.Trims[i].Chain}] = &t.Trims[i]
	}
	for i, r := range all {
		from, to := node{r.First - 1, r.Previous}, node{r.Last, r.Chain}
		if _, known := reached[from]; !known {
			if trims[from] == nil {
				continue
			}
			reached[from] = -1 // all that leads there begins before and has been seen: it is gone
		}
		if c, met := chains[to.revision]; met && c != to.chain && (t.Fork == 0 || to.revision < t.Fork) {
			t.Fork = r.First
		}
		chains[to.revision] = to.chain
		if _, known := reached[to]; !known {
			reached[to] = i
		}
		if to.revision > far.revision {
			far = to
		}
	}
	if far.revision == 0 {
		return
	}
	t.Last, t.Chain, t.After = far.revision, far.chain, far.revision
	t.Segments, t.Aside = walkBack(all, reached, far)
	if n := len(t.Segments); n > 0 {
		t.After = t.Segments[0].First - 1
		if begin, ok := t.start(cluster, all); !ok || begin.revision != t.After {
			t.Trimmed = trims[node{t.After, t.Segments[0].Previous}]
		}
		if t.Synced.Before(t.Segments[n-1].SealedAt) {
			t.Synced = time.Time{} // of the time before the last segment
		}
	}
}

// start is where the timeline begins.
func (t *Timeline) start(cluster ops.ClusterID, sorted []Ref) (node, bool) {
	if t.Begin != nil {
		return node{t.Begin.BaseRevision, Genesis(cluster, t.Name, t.Begin.BaseRevision).Short()}, true
	}
	for _, r := range sorted {
		if r.Previous == Genesis(cluster, t.Name, r.First-1).Short() {
			return node{r.First - 1, r.Previous}, true
		}
	}
	return node{}, false
}

// walkBack collects the segments that lead to a node, in order, and the others.
func walkBack(all []Ref, reached map[node]int, to node) (way, aside []Ref) {
	used := map[int]bool{}
	for i := reached[to]; i >= 0; i = reached[to] {
		used[i] = true
		to = node{all[i].First - 1, all[i].Previous}
	}
	for i, r := range all {
		if used[i] {
			way = append(way, r)
		} else {
			aside = append(aside, r)
		}
	}
	return way, aside
}

// Covering returns the segments that hold the revisions after one, up to and with another, and the one before them, which
// proves that a base belongs to them. ok is false when some are missing.
func (t *Timeline) Covering(after, to int64) (segments []Ref, ok bool) {
	if after < t.After || to > t.Last {
		return nil, false
	}
	for _, r := range t.Segments {
		if r.Last >= after && r.First <= to {
			segments = append(segments, r)
		}
	}
	return segments, true
}

// putBeginning writes the document of a timeline.
func putBeginning(ctx context.Context, s backup.Store, b Beginning) error {
	name := backup.SegmentPrefix(b.ClusterID) + b.Timeline + "/" + timelineDocument
	return backup.PutDocument(ctx, s, name, schemaTimeline, b)
}

// syncName is the name of the document that says: at that time, nothing had come after a revision.
func syncName(cluster ops.ClusterID, timeline string, revision int64, at time.Time) string {
	return fmt.Sprintf("%s%s/%s%020d-%011x", backup.SegmentPrefix(cluster), timeline, syncPrefix, revision, at.UnixMilli())
}

// noteSync takes what the name of such a document says.
func (t *Timeline) noteSync(_ ops.ClusterID, file string) {
	fields := strings.Split(file, "-")
	if len(fields) != 3 {
		return
	}
	if ms, err := strconv.ParseInt(fields[2], 16, 64); err == nil && time.UnixMilli(ms).After(t.Synced) {
		t.Synced = time.UnixMilli(ms).UTC()
	}
}

// putSync writes that document and takes the one before away.
func putSync(ctx context.Context, s backup.Store, cluster ops.ClusterID, timeline string, sync Sync, before string) (string, error) {
	name := syncName(cluster, timeline, sync.Revision, sync.Asked)
	if name == before {
		return name, nil
	}
	if err := backup.PutDocument(ctx, s, name, schemaSync, sync); err != nil && !errors.Is(err, backup.ErrExist) {
		return before, err
	}
	if before == "" {
		return name, nil
	}
	return name, s.Delete(ctx, before)
}
