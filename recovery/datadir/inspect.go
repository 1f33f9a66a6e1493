package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// inspection puts together what log, snapshots and database say.
type inspection struct {
	Info
	opts   Options
	member string // the directory that holds snap and wal
	log    *logReader
	store  *store
	snaps  []snapFile
}

// Inspect reads a data directory, a snapshot or a database file in this process. It writes nothing and takes no lock. The
// error is only about a path that cannot be inspected at all (it does not exist, may not be read, holds nothing of etcd)
// or about ctx; damage is part of what is found.
//
// Files that are not trusted are read through Sandbox.
func Inspect(ctx context.Context, path string, opts Options) (Info, error) {
	start := time.Now()
	stat, err := os.Stat(path)
	if err != nil {
		return Info{}, err
	}
	i := &inspection{opts: opts}
	i.Path, i.State = path, StateClean
	i.Problems, i.Members, i.Removed, i.Changes, i.Snapshots = []Problem{}, []Member{}, []ops.MemberID{}, []Change{}, []Snap{}
	if stat.IsDir() {
		err = i.directory(ctx)
	} else {
		err = i.file(ctx)
	}
	if ctx.Err() != nil {
		return Info{}, context.Cause(ctx)
	}
	i.took(start)
	return i.Info, err
}

// file inspects a snapshot or a bare database.
func (i *inspection) file(ctx context.Context) error {
	i.Kind = KindSnapshot
	store, err := readDatabase(ctx, i.Path, true, i.opts)
	if store == nil {
		return err
	}
	i.store = store
	if store.db.Checksum == nil && !i.opts.Verified {
		i.Kind = KindDatabase
		i.add(SeverityWarning, "", "it has no checksum at its end: it is a copied database, whose log is missing; writes that the copied member acknowledged may not be in it")
	}
	i.takeDatabase(filepath.Base(i.Path), err)
	i.takeMembers(nil)
	i.version("")
	return nil
}

// directory inspects a data directory.
func (i *inspection) directory(ctx context.Context) error {
	i.Kind = KindDirectory
	i.member = memberDir(i.Path)
	walDir := i.opts.WALDir
	if walDir == "" {
		walDir = filepath.Join(i.member, "wal")
	}
	if !exists(walDir) && !exists(filepath.Join(i.member, "snap", "db")) {
		return &fs.PathError{Op: "inspect", Path: i.Path, Err: errors.New("there is neither a log (member/wal) nor a database (member/snap/db) in it: it is no data directory of etcd")}
	}
	i.Running = lockedByAnother(filepath.Join(i.member, "snap", "db"))
	if i.Running {
		i.add(SeverityWarning, "", "a process is using it: the facts are of one moment, and the next write makes them old")
	}
	log, err := readLog(ctx, walDir)
	if err != nil {
		i.add(SeverityDamage, i.relative(walDir), "the log cannot be read: "+cause(err)+"; if it is kept elsewhere, name that directory")
		log = &logReader{wal: WAL{Dir: walDir, Segments: []Segment{}}}
	}
	i.log = log
	i.readSnaps()
	i.readStore(ctx)
	i.takeLog()
	return nil
}

// memberDir is the directory that holds snap and wal.
func memberDir(path string) string {
	member := filepath.Join(path, "member")
	if !exists(member) && (exists(filepath.Join(path, "snap")) || exists(filepath.Join(path, "wal"))) {
		return path // the member directory itself was named
	}
	return member
}

// InUse tells whether a process uses a data directory now, as far as this system can tell.
func InUse(path string) bool { return lockedByAnother(filepath.Join(memberDir(path), "snap", "db")) }

// readStore reads the database that a start would use.
func (i *inspection) readStore(ctx context.Context) {
	file := filepath.Join(i.member, "snap", "db")
	if pending := i.pendingDatabase(file); pending != "" {
		file = pending
	}
	store, err := readDatabase(ctx, file, false, i.opts)
	if store == nil {
		i.add(SeverityDamage, i.relative(file), "the database cannot be read: "+cause(err))
		return
	}
	i.store = store
	i.takeDatabase(i.relative(file), err)
}

// takeDatabase takes over what the database says; err is why something is missing.
func (i *inspection) takeDatabase(name string, err error) {
	s := i.store
	s.db.File = name
	s.db.Users, s.db.Roles, s.db.Alarms = orEmpty(s.db.Users), orEmpty(s.db.Roles), orEmpty(s.db.Alarms)
	i.DB = &s.db
	for _, p := range s.problems {
		i.add(p.Severity, name, p.Text)
	}
	if err != nil {
		i.add(SeverityDamage, name, err.Error())
	}
	if i.Kind != KindDirectory && s.db.PageSize == 0 {
		i.worsen(StateUnreadable)
	}
	i.ClusterVersion, i.StorageVersion = s.cluster, s.storage
	for _, a := range s.db.Alarms {
		if a.Alarm == "CORRUPT" {
			i.add(SeverityWarning, name, corruptWords(a.Member))
		}
	}
}

// takeLog puts the log together with the database.
func (i *inspection) takeLog() {
	l := i.log
	var applied uint64
	if i.DB != nil {
		applied = i.DB.ConsistentIndex
	}
	if len(l.wal.Segments) > 0 {
		l.finish(applied)
	}
	for _, s := range l.wal.Segments {
		i.takeSegment(s)
	}
	for _, p := range l.notes {
		i.add(p.Severity, filepath.Join(i.relative(l.wal.Dir), p.Where), p.Text)
	}
	if l.meta != nil {
		i.MemberID, i.ClusterID = ops.MemberID(l.meta.GetNodeID()), ops.ClusterID(l.meta.GetClusterID())
	}
	if first := l.wal.FirstIndex; i.DB != nil && first > applied+1 && l.wal.Unapplied > 0 {
		i.add(SeverityDamage, i.relative(l.wal.Dir), fmt.Sprintf("the log begins at entry %d, and the database ends at entry %d: those between are lost", first, applied))
	}
	i.WAL, i.Log = &l.wal, &l.digest
	i.takeMembers(l)
	i.version(l.version)
}

// takeSegment tells what is wrong with a segment.
func (i *inspection) takeSegment(s Segment) {
	where := filepath.Join(i.relative(i.log.wal.Dir), s.Name)
	switch s.State {
	case SegmentTorn:
		i.worsen(StateTorn)
		i.add(SeverityWarning, where, s.Detail)
	case SegmentDiscarded:
		i.worsen(StateTorn)
		i.add(SeverityWarning, where, s.Detail)
	case SegmentDamaged, SegmentUnread:
		text := s.Detail
		if s.Discarded > 0 {
			text += fmt.Sprintf(" (%d bytes other than zero from there on)", s.Discarded)
		}
		i.add(SeverityDamage, where, text)
	case SegmentOK:
	}
}

// takeMembers builds the member list: what the database or, without one, the newest raft snapshot has, and the changes
// of the log since.
func (i *inspection) takeMembers(l *logReader) {
	var since uint64
	if i.store != nil {
		i.Members, i.Removed = append(i.Members, i.store.members...), append(i.Removed, i.store.removed...)
		since = i.store.db.ConsistentIndex
	}
	if len(i.Members) == 0 {
		since = i.membersOfSnapshot()
	}
	defer i.sortMembers()
	if l == nil {
		return
	}
	for id, name := range l.names {
		for k := range i.Members {
			if i.Members[k].ID == id && i.Members[k].Name == "" {
				i.Members[k].Name = name
			}
		}
	}
	known := i.knownOf(l)
	for _, c := range l.changes {
		switch {
		case c.Index > known:
			i.Changes = append(i.Changes, c)
		case c.Index > since:
			i.change(c, l.names[c.Member])
		}
	}
	if own := i.Own(); own != nil {
		i.Name = own.Name
	}
	if i.Name == "" {
		i.Name = l.names[i.MemberID]
	}
}

func (i *inspection) sortMembers() {
	slices.SortFunc(i.Members, func(a, b Member) int { return strings.Compare(a.Name+a.ID.String(), b.Name+b.ID.String()) })
}

func (i *inspection) knownOf(l *logReader) uint64 {
	known := l.wal.Commit
	if i.DB != nil {
		known = max(known, i.DB.ConsistentIndex)
	}
	return known
}

// change applies a committed change of membership; one that the database has already changes nothing.
func (i *inspection) change(c Change, name string) {
	at := slices.IndexFunc(i.Members, func(m Member) bool { return m.ID == c.Member })
	switch c.Action {
	case "remove":
		if at >= 0 {
			i.Members = slices.Delete(i.Members, at, at+1)
		}
		if !slices.Contains(i.Removed, c.Member) {
			i.Removed = append(i.Removed, c.Member)
		}
	case "promote":
		if at >= 0 {
			i.Members[at].Learner = false
		}
	case "add", "add-learner":
		if at < 0 && !slices.Contains(i.Removed, c.Member) {
			i.Members = append(i.Members, Member{ID: c.Member, Name: name, PeerURLs: orEmpty(c.URLs), ClientURLs: []string{}, Learner: c.Action == "add-learner"})
		}
	case "update":
		if at >= 0 {
			i.Members[at].PeerURLs = orEmpty(c.URLs)
		}
	}
}

// version finds out which minor version wrote the data. logged is the cluster version that the log tells.
func (i *inspection) version(logged string) {
	if i.ClusterVersion == "" {
		i.ClusterVersion = logged
	}
	for _, v := range []string{i.StorageVersion, i.ClusterVersion} {
		if parts := strings.SplitN(v, ".", 3); len(parts) == 3 {
			i.Version = parts[0] + "." + parts[1]
			return
		}
	}
	switch {
	case i.store == nil || i.store.db.PageSize == 0:
	case i.store.hasConf:
		i.Version = "3.5"
	default:
		i.Version = "3.4"
	}
}

// relative names a file as people see it.
func (i *inspection) relative(path string) string {
	if rel, err := filepath.Rel(i.Path, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// cause is an error without the path that is named beside it.
func cause(err error) string {
	if failure, ok := errors.AsType[*fs.PathError](err); ok {
		return failure.Err.Error()
	}
	return err.Error()
}

func corruptWords(id ops.MemberID) string {
	if id == 0 {
		return "the alarm CORRUPT is raised for no member in particular: the members' data differed"
	}
	return "the alarm CORRUPT is raised for member " + id.String() + ": its data differed from the others'"
}
