package pitr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/ops"
)

// Moment is what a time means in revisions.
type Moment struct {
	Revision int64     // the newest one that had been received by then
	Received time.Time // when it was; zero where a base stands for it
	Timeline string
	// Latest is the newest revision that may have been acknowledged by then: changes after Revision up to it came later,
	// and nothing says when they were made. -1 where nothing limits it.
	Latest int64
}

// Exact says whether the state of the time is known for sure, as far as the archiver's clock is right.
func (m Moment) Exact() bool { return m.Latest == m.Revision }

// At finds the revision of a time: by the archive where it was running, else by the newest base before it. Times are those
// of the archiver's clock when it received a change, which is later than the member made it.
func At(ctx context.Context, s backup.Store, f Facts, at time.Time, timeline string, keys backup.Identities) (Moment, error) {
	for i := len(f.Timelines) - 1; i >= 0; i-- {
		t := &f.Timelines[i]
		if timeline != "" && t.Name != timeline || t.Begin == nil || t.Begin.CreatedAt.After(at) {
			continue
		}
		if t.Trimmed != nil && at.Before(t.Trimmed.Received) {
			break // retention has removed the changes of that time: what is left says nothing of it
		}
		m, known, err := inTimeline(ctx, s, t, at, keys)
		if err != nil {
			return m, err
		}
		if known {
			return m, nil
		}
		if until := KnownUntil(t); until.Before(at) && i == len(f.Timelines)-1 {
			return m, noTime(at, fmt.Sprintf("the archive knows up to %s (revision %d)", until.Format(time.RFC3339Nano), t.Last))
		}
		break // between two timelines
	}
	for _, b := range f.Bases {
		if taken := b.Entry.Manifest.TakenAt; !taken.After(at) {
			return Moment{Revision: b.Revision, Latest: -1}, nil
		}
	}
	return Moment{}, noTime(at, "no backup is so old")
}

func noTime(at time.Time, why string) error {
	return &ops.HintError{
		Code: CodeNoPoint, Class: ops.ClassRefused, Op: "restore", Member: at.UTC().Format(time.RFC3339Nano), Err: errors.New(why),
		Hint: "etcdops backup status lists what can be restored",
	}
}

// KnownUntil is the time up to which a timeline tells; zero when nothing says.
func KnownUntil(t *archive.Timeline) time.Time {
	if t.Begin == nil {
		return time.Time{}
	}
	until := t.Begin.CreatedAt
	if n := len(t.Segments); n > 0 {
		until = t.Segments[n-1].SealedAt
	}
	if t.Synced.After(until) {
		until = t.Synced
	}
	return until
}

// maxLookahead is how many segments are read to find out what may have been acknowledged by a time.
const maxLookahead = 3

// inTimeline looks for a time in a timeline.
func inTimeline(ctx context.Context, s backup.Store, t *archive.Timeline, at time.Time, keys backup.Identities) (Moment, bool, error) {
	m := Moment{Revision: t.After, Timeline: t.Name, Latest: -1}
	first := len(t.Segments)
	for i, r := range t.Segments {
		if !r.SealedAt.Before(at) {
			first = i
			break
		}
		m.Revision = r.Last
	}
	if first == len(t.Segments) {
		m.Latest = m.Revision
		return m, !t.Synced.Before(at), nil
	}
	done := errors.New("found")
	for i := first; i < min(len(t.Segments), first+maxLookahead); i++ {
		var now time.Time
		_, err := archive.ReadObject(ctx, s, t.Segments[i], archive.Visitor{
			Time: func(received time.Time) error { now = received; return nil },
			Entry: func(revision int64, _ archive.Entry) error {
				if !now.After(at) {
					m.Revision, m.Received = revision, now
				}
				return nil
			},
			Note: func(n archive.Note) error {
				if n.Sync != nil && !n.Sync.Asked.Before(at) {
					m.Latest = max(n.Sync.Revision, m.Revision)
					if !n.Sync.Since.After(at) {
						m.Latest = m.Revision // nothing was changed from before the time to after it
					}
					return done
				}
				return nil
			},
		}, keys)
		if errors.Is(err, done) {
			break
		}
		if err != nil {
			return m, false, fmt.Errorf("%s: %w", t.Segments[i].Object, err)
		}
	}
	return m, true, nil
}
