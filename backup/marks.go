package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Schemas of the documents beside backups.
const (
	schemaHold   = "etcdops-repository-hold/1"
	schemaTomb   = "etcdops-repository-tomb/1"
	schemaLease  = "etcdops-repository-lease/1"
	schemaRecord = "etcdops-repository-record/1"
)

// Hold keeps a backup from being removed.
type Hold struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Tomb says that a backup is to be removed at the end of its grace.
type Tomb struct {
	At time.Time `json:"at"`
}

// lease says that a restore reads a backup.
type lease struct {
	Until time.Time `json:"until"`
}

// Record is what a verification after the making of a backup found.
type Record struct {
	At      time.Time `json:"at"`
	Level   Level     `json:"level"`   // that was asked for
	Problem string    `json:"problem"` // empty: it was reached
	Object  string    `json:"object"`  // that the problem is with
	TookMS  int64     `json:"took_ms"` // of a drill: from the command to the first read that a server answered
}

// Failed says whether something was wrong.
func (r *Record) Failed() bool { return r.Problem != "" }

// then is what is known after a further record, nil for none. What was found wrong at some level is wrong until that level
// is reached again. Bytes that were hashed again are still what they were found to be; a look at sizes says nothing new.
func (r *Record) then(next *Record) *Record {
	switch {
	case next == nil:
		return r
	case r == nil || next.Failed():
		return next
	case r.Failed() && next.Level < r.Level:
		return r
	case !r.Failed() && next.Level < min(r.Level, LevelStored):
		return r
	case !r.Failed() && next.Level < r.Level:
		kept := *next
		kept.Level = r.Level
		return &kept
	}
	return next
}

// recordName is where the record of a verification lies; the newest comes last.
func recordName(id ID, at time.Time) string {
	return fmt.Sprintf("%s%s/%s-%s", recordDir, id, at.UTC().Format(timeInName), NewID())
}

// readMarks reads what lies beside the backups. What cannot be read counts against removal, never for it.
func (r *Repository) readMarks(ctx context.Context, objects []Object, entries []Entry) error {
	byID := map[string]*Entry{}
	for i := range entries {
		byID[string(entries[i].ID)] = &entries[i]
	}
	for _, o := range objects {
		kind, rest, _ := strings.Cut(o.Name, "/")
		id, _, _ := strings.Cut(rest, "/")
		e := byID[id]
		if e == nil {
			continue
		}
		var err error
		switch kind + "/" {
		case holdDir:
			e.Hold = &Hold{}
			if err = readDocument(ctx, r.store, o.Name, schemaHold, e.Hold); documentError(err) {
				e.Hold, err = &Hold{Reason: "its document cannot be read"}, nil
			}
		case tombDir:
			e.Tomb = &Tomb{}
			if err = readDocument(ctx, r.store, o.Name, schemaTomb, e.Tomb); documentError(err) {
				e.Tomb, err = nil, nil
			}
		case leaseDir:
			var l lease
			if err = readDocument(ctx, r.store, o.Name, schemaLease, &l); documentError(err) {
				l, err = lease{Until: o.Modified.Add(leaseTime)}, nil
			}
			e.Leased = e.Leased || err == nil && time.Now().Before(l.Until)
		case recordDir:
			rec := &Record{}
			if err = readDocument(ctx, r.store, o.Name, schemaRecord, rec); documentError(err) {
				rec, err = nil, nil
			}
			e.Last = e.Last.then(rec)
			if rec != nil && rec.Level == LevelDrill && !rec.Failed() {
				e.Drill = rec
			}
		}
		if err != nil && !errors.Is(err, ErrNotExist) {
			return storeError("read "+o.Name+" in", r.store, err)
		}
	}
	return nil
}

// documentError says whether a document is there and cannot be used.
func documentError(err error) bool { return errors.Is(err, errDamaged) || errors.Is(err, errNewer) }

// SetHold keeps a backup, or lets it go again. A hold also saves one that is to be removed. One that is held already stays
// so, with the reason that it has: no moment is without a hold.
func (r *Repository) SetHold(ctx context.Context, e Entry, hold bool, reason string, now time.Time) error {
	if !hold {
		if err := r.store.Delete(ctx, holdDir+string(e.ID)); err != nil {
			return storeError("change hold in", r.store, err)
		}
		return nil
	}
	err := putDocument(ctx, r.store, holdDir+string(e.ID), schemaHold, Hold{At: now.UTC(), Reason: reason})
	if err != nil && !errors.Is(err, ErrExist) {
		return storeError("write hold in", r.store, err)
	}
	if err := r.store.Delete(ctx, tombDir+string(e.ID)); err != nil {
		return storeError("take mark of removal from", r.store, err)
	}
	// A prune takes the manifest away before it looks for holds a last time: one of the two sees the other.
	if _, err := readBytes(ctx, r.store, e.Dir+manifestName); errors.Is(err, ErrNotExist) {
		return r.noBackup(fmt.Errorf("backup %s is being removed at this moment", e.ID.Short()))
	} else if err != nil {
		return storeError("look for what is held in", r.store, err)
	}
	return nil
}

// spared says whether somebody holds or reads a backup now.
func (r *Repository) spared(ctx context.Context, id ID) (bool, error) {
	var objects []Object
	for _, prefix := range []string{holdDir + string(id), leaseDir + string(id) + "/"} {
		found, err := r.store.List(ctx, prefix)
		if err != nil {
			return false, err
		}
		objects = append(objects, found...)
	}
	marks := []Entry{{ID: id}}
	err := r.readMarks(ctx, objects, marks)
	return marks[0].Hold != nil || marks[0].Leased, err
}

// leaseTime is how long a restore keeps what it reads from being removed.
const leaseTime = 24 * time.Hour

// takeLease keeps a backup from being removed while it is read. In a repository that cannot be written to nothing removes
// anything either: that is no error.
func (r *Repository) takeLease(ctx context.Context, id ID) (release func()) {
	name := leaseDir + string(id) + "/" + string(NewID())
	if err := putDocument(ctx, r.store, name, schemaLease, lease{Until: time.Now().Add(leaseTime).UTC()}); err != nil {
		return func() {}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardLimit)
		defer cancel()
		_ = r.store.Delete(ctx, name) // it ends by itself
	}
}

// AddRecord keeps what a verification found beside the backup.
func (r *Repository) AddRecord(ctx context.Context, id ID, rec Record) error {
	data, err := seal(schemaRecord, rec)
	if err != nil {
		return err
	}
	if err := r.store.Put(ctx, recordName(id, rec.At), bytes.NewReader(data)); err != nil {
		return storeError("write record in", r.store, err)
	}
	return nil
}

// recordable says whether a failure is the backup's and not the surroundings'.
func recordable(err error) bool {
	code := ops.CodeOf(err)
	return code == CodeDamaged || code == CodeNotSound || code == CodeDrillFailed
}
