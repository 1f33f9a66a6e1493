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

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/ops"
)

// Limits of what is kept of a log in memory.
const (
	keptTail  = 100      // entries beyond commit that are listed
	keptBytes = 16 << 20 // content of entries whose fate is not known yet
)

// logReader reads a write-ahead log from its oldest segment on.
type logReader struct {
	wal    WAL
	digest Digest
	kinds  []entryKind // of each entry in digest
	meta   *etcdserverpb.Metadata

	snaps   []snapMark               // in order of appearance
	pending map[uint64]*raftpb.Entry // content of entries above the commit index
	bytes   int                      // size of pending
	changes []Change                 // every change of membership, in order
	names   map[ops.MemberID]string  // as published in the log
	version string                   // of the cluster, as agreed in the log
	gap     string                   // a gap between two entries, which ends the readable log
	notes   []Problem
}

// readLog reads all segments of dir. Problems of the files are told in the segments; an error means that there is no log
// or that it cannot be listed.
func readLog(ctx context.Context, dir string) (*logReader, error) {
	names, err := segmentNames(dir)
	if err != nil {
		return nil, err
	}
	l := &logReader{pending: map[uint64]*raftpb.Entry{}, names: map[ops.MemberID]string{}}
	l.wal.Dir, l.wal.Whole = dir, true
	var crc uint32
	var before uint64
	broken := false
	for i, name := range names {
		seq, _ := parseSegmentName(name)
		if i > 0 && seq != before+1 {
			l.damage(name, fmt.Sprintf("%d segments before it are missing", seq-before-1))
			broken = true
		}
		before = seq
		segment := Segment{Name: name, State: SegmentUnread, Detail: "it follows damage"}
		if !broken {
			segment, crc = l.readSegment(ctx, filepath.Join(dir, name), crc, i == len(names)-1)
			broken = segment.State == SegmentDamaged || segment.State == SegmentUnread
		} else if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			segment.Size = info.Size()
		}
		l.wal.Segments = append(l.wal.Segments, segment)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return l, nil
}

// segmentNames lists the segments in order.
func segmentNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, ok := parseSegmentName(e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, &fs.PathError{Op: "read", Path: dir, Err: errors.New("there is no segment of a log")}
	}
	slices.Sort(names)
	return names, nil
}

// parseSegmentName reads the sequence number of "0000000000000001-000000000000a3f2.wal".
func parseSegmentName(name string) (seq uint64, ok bool) {
	base, isWAL := strings.CutSuffix(name, ".wal")
	var index uint64
	if !isWAL || len(base) != 33 {
		return 0, false
	}
	n, err := fmt.Sscanf(base, "%016x-%016x", &seq, &index)
	return seq, n == 2 && err == nil
}

// readSegment reads one file; crc is the checksum of the log up to it.
func (l *logReader) readSegment(ctx context.Context, file string, crc uint32, last bool) (Segment, uint32) {
	out := Segment{Name: filepath.Base(file), State: SegmentOK}
	f, err := os.Open(file)
	if err != nil {
		out.State, out.Detail = SegmentUnread, err.Error()
		return out, crc
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		out.State, out.Detail = SegmentUnread, "it is no regular file"
		return out, crc
	}
	out.Size = info.Size()
	s := &segmentReader{r: f, size: out.Size, crc: crc}
	var rec walpb.Record
	for {
		err = s.next(&rec)
		if err == nil {
			err = l.take(&rec, &out)
		}
		if err != nil || ctx.Err() != nil {
			break
		}
		out.Records++
	}
	out.Offset = s.at
	switch {
	case errors.Is(err, errEnd):
		out.end(s, last)
	default:
		out.State, out.Detail = s.verdict(err, last)
		out.Discarded, _ = s.discarded(s.at) // the state says already that something is lost
	}
	return out, s.crc
}

// end judges what follows the regular end of a segment.
func (out *Segment) end(s *segmentReader, last bool) {
	n, err := s.discarded(s.at)
	out.Discarded = n
	next, found := s.recordBehind()
	switch {
	case out.Records == 0:
		out.State, out.Detail = SegmentDamaged, "there is no record in it"
	case err != nil:
		out.State, out.Detail = SegmentDamaged, "its end cannot be read: "+err.Error()
	case n == 0:
	case found:
		out.State, out.Detail = SegmentDamaged, fmt.Sprintf("zeroes at byte %d, and a record behind them at byte %d", s.at, next)
	case last:
		out.State, out.Detail = SegmentDiscarded, fmt.Sprintf("%d bytes other than zero after its end, which etcd would throw away: a write that was cut off at its beginning", n)
	default:
		out.State, out.Detail = SegmentDamaged, fmt.Sprintf("%d bytes other than zero after its end, and newer segments follow", n)
	}
}

// take takes a record that matches its checksum.
func (l *logReader) take(rec *walpb.Record, out *Segment) error {
	switch rec.GetType() {
	case wal.MetadataType:
		var meta etcdserverpb.Metadata
		if proto.Unmarshal(rec.GetData(), &meta) != nil {
			return errNoRecord
		}
		l.meta = &meta
	case wal.EntryType:
		var e raftpb.Entry
		if proto.Unmarshal(rec.GetData(), &e) != nil {
			return errNoRecord
		}
		out.Entries++
		return l.entry(&e)
	case wal.StateType:
		var st raftpb.HardState
		if proto.Unmarshal(rec.GetData(), &st) != nil {
			return errNoRecord
		}
		l.wal.Term, l.wal.Vote, l.wal.Commit = st.GetTerm(), ops.MemberID(st.GetVote()), st.GetCommit()
		l.forget(st.GetCommit())
	case wal.SnapshotType:
		var snap walpb.Snapshot
		if proto.Unmarshal(rec.GetData(), &snap) != nil {
			return errNoRecord
		}
		l.snaps = append(l.snaps, snapMark{index: snap.GetIndex(), term: snap.GetTerm()})
	}
	return nil
}

// entry takes an entry, which replaces what the log had from its index on.
func (l *logReader) entry(e *raftpb.Entry) error {
	index := e.GetIndex()
	if index == 0 {
		return errNoRecord
	}
	if n := len(l.digest.Sums); n > 0 && index > l.digest.Last()+1 {
		if !l.snapshotBefore(index) {
			l.gap = fmt.Sprintf("entry %d follows entry %d, and no snapshot stands between", index, l.digest.Last())
			return errNoRecord
		}
		l.digest = Digest{} // a snapshot was received that took the place of all before
		l.kinds = nil
	}
	l.digest.put(index, e.GetTerm(), checksum(e))
	kind, change := classify(e)
	l.kinds = append(l.kinds[:min(uint64(len(l.kinds)), index-l.digest.First)], kind)
	for len(l.changes) > 0 && l.changes[len(l.changes)-1].Index >= index {
		l.changes = l.changes[:len(l.changes)-1]
	}
	if change != nil {
		l.changes = append(l.changes, *change)
	}
	l.publications(e)
	l.keep(e)
	return nil
}

// snapshotBefore tells whether a snapshot of the log ends right before an index.
func (l *logReader) snapshotBefore(index uint64) bool {
	return slices.ContainsFunc(l.snaps, func(s snapMark) bool { return s.index+1 == index })
}

// keep keeps the content of an entry until it is known to be committed.
func (l *logReader) keep(e *raftpb.Entry) {
	index := e.GetIndex()
	for i := index; ; i++ { // what it replaces
		old, ok := l.pending[i]
		if !ok {
			break
		}
		l.bytes -= len(old.Data)
		delete(l.pending, i)
	}
	if index <= l.wal.Commit {
		return
	}
	if l.bytes+len(e.Data) > keptBytes {
		return
	}
	l.bytes += len(e.Data)
	l.pending[index] = e
}

// forget drops the content of entries up to the commit index.
func (l *logReader) forget(commit uint64) {
	if len(l.pending) == 0 {
		return
	}
	for i, e := range l.pending {
		if i <= commit {
			l.bytes -= len(e.Data)
			delete(l.pending, i)
		}
	}
}

// finish fills in what is known once everything is read; applied is the last entry that the database contains.
func (l *logReader) finish(applied uint64) {
	w := &l.wal
	for i := range l.snaps {
		if s := l.snaps[i]; s.index <= w.Commit && s.index >= w.SnapshotIndex {
			w.SnapshotIndex, w.SnapshotTerm = s.index, s.term
		}
	}
	d := &l.digest
	d.SnapshotIndex, d.SnapshotTerm = w.SnapshotIndex, w.SnapshotTerm
	if len(d.Sums) > 0 && d.Last() < w.SnapshotIndex { // a snapshot was received, and nothing since
		*d = Digest{SnapshotIndex: w.SnapshotIndex, SnapshotTerm: w.SnapshotTerm}
		l.kinds = nil
	}
	if len(d.Sums) == 0 {
		w.LastIndex, w.LastTerm = w.SnapshotIndex, w.SnapshotTerm
	} else {
		w.FirstIndex, w.LastIndex = d.First, d.Last()
		w.FirstTerm, _ = d.Term(d.First)
		w.LastTerm, _ = d.Term(d.Last())
	}
	for _, s := range w.Segments {
		if s.State == SegmentDamaged || s.State == SegmentUnread {
			w.Whole = false
		}
	}
	if w.Commit > w.LastIndex {
		l.damage("", fmt.Sprintf("the log ends at entry %d, and it says that %d was committed: its end is lost", w.LastIndex, w.Commit))
	}
	if applied > w.LastIndex {
		l.damage("", fmt.Sprintf("the log ends at entry %d, and the database contains entry %d: the log's end is lost", w.LastIndex, applied))
	}
	if l.gap != "" {
		l.damage("", l.gap)
	}
	l.unapplied(applied)
	l.tail(max(w.Commit, applied))
}

// tail lists what is beyond the last entry that is known to be committed.
func (l *logReader) tail(known uint64) {
	w := &l.wal
	w.Tail.Entries = []TailEntry{}
	if w.LastIndex <= known {
		return
	}
	w.Tail.From, w.Tail.To = known+1, w.LastIndex
	if len(l.digest.Sums) > 0 {
		w.Tail.From = max(w.Tail.From, l.digest.First)
	}
	for i := w.Tail.From; i <= w.Tail.To; i++ {
		if len(w.Tail.Entries) == keptTail {
			w.Tail.Omitted = w.Tail.To - i + 1
			break
		}
		what := "not shown: there is too much content beyond commit"
		if e, ok := l.pending[i]; ok {
			what = Describe(e)
		}
		term, _ := l.digest.Term(i)
		w.Tail.Entries = append(w.Tail.Entries, TailEntry{Index: i, Term: term, What: what})
	}
}

// unapplied counts what a database that ends at index does not contain.
func (l *logReader) unapplied(index uint64) {
	w := &l.wal
	for i := max(index+1, l.digest.First); len(l.kinds) > 0 && i <= l.digest.Last(); i++ {
		w.Unapplied++
		if l.kinds[i-l.digest.First] == entryWrite {
			w.Writes++
		}
	}
}

// damage notes what makes the log less than whole.
func (l *logReader) damage(where, text string) {
	l.notes = append(l.notes, Problem{Severity: SeverityDamage, Where: where, Text: text})
	l.wal.Whole = false
}

// snapMark is a snapshot that the log records.
type snapMark struct{ index, term uint64 }

// contentDecodes tells whether a record's content is what its type promises.
func contentDecodes(rec *walpb.Record) bool {
	var into proto.Message
	switch rec.GetType() {
	case wal.MetadataType:
		into = &etcdserverpb.Metadata{}
	case wal.EntryType:
		into = &raftpb.Entry{}
	case wal.StateType:
		into = &raftpb.HardState{}
	case wal.SnapshotType:
		into = &walpb.Snapshot{}
	default:
		return len(rec.GetData()) == 0
	}
	return len(rec.GetData()) > 0 && proto.Unmarshal(rec.GetData(), into) == nil
}
