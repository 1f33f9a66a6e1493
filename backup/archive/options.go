package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// Options say how an archiver works. The zero value of a field means the default beside it.
type Options struct {
	Cluster    *ops.Cluster // required; its endpoints are used in turn
	Store      backup.Store // required
	Encryption backup.Encryption
	SpoolDir   string // where sealed segments wait for the store; required
	Program    string // version to note in segments
	Fence      int64  // token of the election that was won; 0 for none

	// TakeBase takes a backup of the cluster now. Required.
	TakeBase func(ctx context.Context, reason string) (*backup.Manifest, error)

	SealAfter time.Duration // a segment is closed when its first change is so old; default 30 s
	SealBytes int64         // or when it has so many bytes; default 16 MiB
	SpoolMax  int64         // bytes that may wait for the store before reading stops; default 1 GiB

	SyncEvery time.Duration // between linearizable reads; default 1 s
	AuthEvery time.Duration // between looks at users and roles; default 30 s
	HashEvery time.Duration // between hashes computed by a member; default 15 min; negative for never
	Retry     time.Duration // longest wait after a failure; default 5 s

	Notify func(Event)      // called for what a person may want to know; from one goroutine at a time
	Now    func() time.Time // default time.Now
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.SealAfter, 30*time.Second)
	set(&o.SyncEvery, time.Second)
	set(&o.AuthEvery, 30*time.Second)
	set(&o.HashEvery, 15*time.Minute)
	set(&o.Retry, 5*time.Second)
	if o.SealBytes == 0 {
		o.SealBytes = 16 << 20
	}
	if o.SpoolMax == 0 {
		o.SpoolMax = 1 << 30
	}
	if o.Notify == nil {
		o.Notify = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// EventKind names what an event is about.
type EventKind string

// The kinds of events.
const (
	EventTimeline EventKind = "timeline" // a new timeline has begun
	EventFollow   EventKind = "follow"   // the stream is followed, at a member
	EventBroken   EventKind = "broken"   // the stream broke; it is tried again
	EventGap      EventKind = "gap"      // changes were lost to a compaction
	EventDiverged EventKind = "diverged" // the cluster's history is another one now
	EventSealed   EventKind = "sealed"   // a segment was closed
	EventStored   EventKind = "stored"   // a segment is in the store
	EventStore    EventKind = "store"    // the store failed; segments wait
	EventAuth     EventKind = "auth"     // users or roles changed: a base is taken
	EventBase     EventKind = "base"     // a base was taken, or could not be
	EventStatus   EventKind = "status"   // somebody asked how far it is
)

// Status is where an archiver stands, as an event.
func (p Progress) Status(now time.Time) Event {
	following := "not following the cluster"
	if p.Following {
		following = "following"
	}
	text := fmt.Sprintf("%s; revision %d received, %d stored, the cluster at %d", following, p.Archived, p.Stored, p.Cluster)
	if !p.Synced.IsZero() {
		text += fmt.Sprintf("; nothing is missing up to %v ago", now.Sub(p.Synced).Round(time.Millisecond))
	}
	if p.Waiting > 0 {
		text += fmt.Sprintf("; %d bytes wait for the store", p.Waiting)
	}
	return Event{Time: now.UTC(), Kind: EventStatus, Timeline: p.Timeline, Revision: p.Archived, Text: text}
}

// Event is something that happened to an archiver.
type Event struct {
	Time     time.Time `json:"time"`
	Kind     EventKind `json:"kind"`
	Timeline string    `json:"timeline"`
	Revision int64     `json:"revision"` // the newest archived one
	Text     string    `json:"text"`     // one sentence
	Err      error     `json:"-"`
}

// Progress is where an archiver stands.
type Progress struct {
	Timeline  string
	Archived  int64     // newest revision received
	Stored    int64     // newest revision in the store
	Cluster   int64     // the cluster's newest revision when it was asked last
	Synced    time.Time // up to when nothing is missing
	Waiting   int64     // bytes that wait for the store
	Segments  int64     // stored by this run
	Restarts  int64     // of the stream
	Gaps      int64
	Timelines int64 // begun by this run
	Following bool
}
