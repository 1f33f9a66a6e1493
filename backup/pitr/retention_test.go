package pitr_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/ops"
)

// memory is a store for planning: names, sizes and documents.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (m *memory) Put(_ context.Context, name string, body backup.Body) error {
	data, err := io.ReadAll(body)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[name]; there {
		return backup.ErrExist
	}
	m.objects[name] = data
	return err
}

func (m *memory) Open(_ context.Context, name string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, there := m.objects[name]
	if !there {
		return nil, backup.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m *memory) List(_ context.Context, prefix string) ([]backup.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []backup.Object
	for name, data := range m.objects {
		if strings.HasPrefix(name, prefix) {
			out = append(out, backup.Object{Name: name, Size: int64(len(data))})
		}
	}
	slices.SortFunc(out, func(a, b backup.Object) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

func (m *memory) Sweep(context.Context, time.Time) (int, error) { return 0, nil }

func (m *memory) String() string { return "memory" }

// life is a random life of a repository with an archive: bases, timelines cut by two archivers where each liked, and gaps.
type life struct {
	store   *memory
	cluster ops.ClusterID
	entries []backup.Entry
	reached []time.Time // when each revision was made
}

// chainAt is the end of a chain at a revision, as names of segments carry it.
func chainAt(timeline string, after, revision int64) string {
	if revision == after {
		return archive.Genesis(1, timeline, after).Short()
	}
	return fmt.Sprintf("%012x", uint64(revision)*2654435761%(1<<48))
}

const (
	minutesBetween = 7 // revisions, in a life
	livedRevisions = 200
)

var born = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newLife(t *testing.T, r *rand.Rand) *life {
	t.Helper()
	l := &life{store: &memory{objects: map[string][]byte{}}, cluster: 1}
	for i := range int64(livedRevisions + 1) {
		l.reached = append(l.reached, born.Add(time.Duration(i)*minutesBetween*time.Minute))
	}
	at := int64(2 + r.IntN(50))
	for at < livedRevisions-20 {
		l.base(r, at, backup.LevelData)
		end := min(at+20+r.Int64N(livedRevisions), livedRevisions)
		l.timeline(t, r, at, end)
		at = end + 1 + r.Int64N(15) // the gap after it; the next timeline begins with a base
	}
	for range r.IntN(12) {
		level := backup.LevelData
		if r.IntN(8) == 0 {
			level = backup.LevelNone
		}
		l.base(r, 2+r.Int64N(livedRevisions-2), level)
	}
	return l
}

// base is a backup taken when a revision was the newest.
func (l *life) base(r *rand.Rand, revision int64, level backup.Level) {
	m := &backup.Manifest{
		ID: backup.ID(fmt.Sprintf("%016x", r.Uint64())), ClusterID: l.cluster, Level: level, Revision: revision,
		CompactRevision: max(1, revision-r.Int64N(10)), TakenAt: l.reached[revision].Add(time.Second),
	}
	e := backup.Entry{ID: m.ID, Manifest: m, Dir: m.Dir()}
	if r.IntN(15) == 0 {
		e.Hold = &backup.Hold{}
	}
	if r.IntN(15) == 0 {
		e.Leased = true
	}
	l.entries = append(l.entries, e)
	slices.SortFunc(l.entries, func(a, b backup.Entry) int { return b.Manifest.TakenAt.Compare(a.Manifest.TakenAt) })
}

// timeline archives the changes after a base, once or twice.
func (l *life) timeline(t *testing.T, r *rand.Rand, after, last int64) {
	t.Helper()
	name := archive.NewTimeline(l.reached[after].Add(2 * time.Second))
	dir := backup.SegmentPrefix(l.cluster) + name + "/"
	b := archive.Beginning{ClusterID: l.cluster, Timeline: name, CreatedAt: l.reached[after].Add(2 * time.Second), BaseRevision: after}
	if err := backup.PutDocument(t.Context(), l.store, dir+"timeline.json", "etcdops-timeline/1", b); err != nil {
		t.Fatal(err)
	}
	for range 1 + r.IntN(2) {
		for first := after + 1; first <= last; {
			to := min(first+r.Int64N(60), last)
			object := fmt.Sprintf("%s%020d-%020d-%s-%s-%011x", dir, first, to, chainAt(name, after, first-1), chainAt(name, after, to), l.reached[to].Add(3*time.Second).UnixMilli())
			l.store.objects[object] = nil
			first = to + 1
		}
	}
}

// facts are what a restore plans with.
func (l *life) facts(t *testing.T) pitr.Facts {
	t.Helper()
	f := pitr.Facts{Cluster: l.cluster}
	for _, e := range l.entries {
		if e.Level() >= backup.LevelData {
			f.Bases = append(f.Bases, pitr.Base{Entry: e, ID: e.ID, Revision: e.Manifest.Revision, CompactRevision: e.Manifest.CompactRevision})
		}
	}
	var err error
	if f.Timelines, err = archive.Load(t.Context(), l.store, l.cluster); err != nil {
		t.Fatal(err)
	}
	return f
}

// prune is a run of it at a time.
func (l *life) prune(t *testing.T, p backup.Policy, now time.Time) {
	t.Helper()
	plan, err := p.Plan(l.entries, now)
	if err != nil {
		return // refused: nothing is done
	}
	var left []backup.Entry
	for _, s := range plan {
		switch s.Action {
		case backup.ActionRemove:
			continue
		case backup.ActionMark:
			s.Entry.Tomb = &backup.Tomb{At: now}
		case backup.ActionRevive:
			s.Entry.Tomb = nil
		case backup.ActionKeep, backup.ActionWait:
		}
		left = append(left, s.Entry)
	}
	needs := p.ArchiveFrom(plan)[l.cluster]
	timelines, err := archive.Load(t.Context(), l.store, l.cluster)
	if err != nil {
		t.Fatal(err)
	}
	l.entries = left
	if err := archive.ApplyRetention(t.Context(), l.store, l.cluster, archive.PlanRetention(timelines, needs, now), needs, now); err != nil {
		t.Fatal(err)
	}
}

// promised lists the revisions that a policy promises to keep: those of backups that its rules keep, and every state of the
// window before the newest backup.
func (l *life) promised(p backup.Policy, drawn []int64) []int64 {
	var out []int64
	if len(l.entries) == 0 {
		return nil
	}
	newest := l.entries[0]
	if newest.Level() < backup.LevelData {
		return nil
	}
	out = append(out, newest.Manifest.Revision)
	start := newest.Manifest.TakenAt.Add(-p.Window)
	for _, revision := range drawn {
		// Archived after the newest backup too: it is the newest state there is.
		if p.Window > 0 && !l.reached[revision].Before(start) {
			out = append(out, revision)
		}
	}
	for _, e := range l.entries {
		if e.Hold != nil && e.Level() >= backup.LevelData {
			out = append(out, e.Manifest.Revision)
		}
	}
	return out
}

// TestPruneKeepsEveryPromisedPoint has random policies prune random lives of a repository, again and again, with a clock that
// jumps by years both ways: what the policy promises and could be restored before can be restored after, by the planner that
// restores use. Without a window, nothing that any backup left leads to is lost.
func TestPruneKeepsEveryPromisedPoint(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 6))
	removed, wholes := 0, 0
	for n := range 10_000 {
		l := newLife(t, r)
		p := backup.Policy{
			Last: r.IntN(4), Hourly: r.IntN(4), Daily: r.IntN(4), Weekly: r.IntN(2), Monthly: r.IntN(2), Force: r.IntN(4) > 0,
		}
		if r.IntN(2) == 0 {
			p.Window = time.Duration(r.IntN(40*60)) * time.Minute
		}
		if p.Empty() {
			p.Last = 1
		}
		before, objects := l.facts(t), len(l.store.objects)
		drawn := make([]int64, 12)
		for i := range drawn {
			drawn[i] = 2 + r.Int64N(livedRevisions-1)
		}
		want := slices.DeleteFunc(l.promised(p, drawn), func(revision int64) bool { _, err := pitr.Plans(before, revision, ""); return err != nil })
		now := l.reached[livedRevisions].Add(time.Minute)
		for range 3 {
			l.prune(t, p, now)
			now = now.Add([]time.Duration{time.Hour, 25 * time.Hour, 25 * time.Hour, -10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour}[r.IntN(5)])
		}
		after := l.facts(t)
		if p.Window <= 0 {
			want = append(want, reachable(before, after, drawn)...)
		}
		for _, revision := range want {
			if _, err := pitr.Plans(after, revision, ""); err != nil {
				t.Fatalf("seed %d, life %d: policy %+v: revision %d cannot be restored any more: %v\nbefore %s\nafter  %s",
					seed, n, p, revision, err, tellFacts(before), tellFacts(after))
			}
		}
		if end := len(before.Timelines) - 1; end >= 0 {
			was, is := before.Timelines[end], after.Timelines[len(after.Timelines)-1]
			if was.Name != is.Name || was.Last != is.Last || was.Chain != is.Chain {
				t.Fatalf("seed %d, life %d: an archiver cannot go on: the archive ended at %d of %s, and now at %d of %s", seed, n, was.Last, was.Name, is.Last, is.Name)
			}
		}
		if len(after.Timelines) < len(before.Timelines) {
			wholes++
		}
		if len(l.store.objects) < objects {
			removed++
		}
	}
	if removed < 500 || wholes < 50 {
		t.Errorf("of 10,000 lives something was removed in %d, and a whole timeline in %d: it is not tested", removed, wholes)
	}
}

// reachable lists those revisions to which a base that is left led before.
func reachable(before, after pitr.Facts, drawn []int64) (out []int64) {
	f := before
	f.Bases = after.Bases
	for _, revision := range drawn {
		if _, err := pitr.Plans(f, revision, ""); err == nil {
			out = append(out, revision)
		}
	}
	return out
}

// tellFacts is a life in a few lines, for a test that failed.
func tellFacts(f pitr.Facts) string {
	var b strings.Builder
	for _, base := range f.Bases {
		fmt.Fprintf(&b, "base %d..%d; ", base.CompactRevision, base.Revision)
	}
	for _, t := range f.Timelines {
		fmt.Fprintf(&b, "timeline %d..%d in %d segments, %d aside; ", t.After, t.Last, len(t.Segments), len(t.Aside))
	}
	return b.String()
}
