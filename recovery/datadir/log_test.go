package datadir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/recovery/datadir"
)

// newLog writes a log with etcd's own code: entries of term 2 from 1 to last, the hard state at the end. It returns the
// data directory.
func newLog(t *testing.T, last, commit uint64) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "member", "snap"), 0o700); err != nil {
		t.Fatal(err)
	}
	meta, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: proto.Uint64(0xa1), ClusterID: proto.Uint64(0xc1)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := wal.Create(zap.NewNop(), filepath.Join(dir, "member", "wal"), meta)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= last; i++ {
		state := &raftpb.HardState{Term: proto.Uint64(2), Vote: proto.Uint64(0xa1), Commit: new(min(i, commit))}
		if i == last && last > commit { // the last record is an entry
			state = &raftpb.HardState{}
		}
		if err := w.Save(state, []*raftpb.Entry{put(t, i, 2)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// put is an entry that puts a key, of about a kilobyte.
func put(t *testing.T, index, term uint64) *raftpb.Entry {
	t.Helper()
	value := strings.Repeat(fmt.Sprintf("value %d ", index), 100)
	data, err := proto.Marshal(&etcdserverpb.InternalRaftRequest{Put: &etcdserverpb.PutRequest{Key: fmt.Appendf(nil, "/key/%d", index), Value: []byte(value)}})
	if err != nil {
		t.Fatal(err)
	}
	return &raftpb.Entry{Index: new(index), Term: new(term), Type: raftpb.EntryNormal.Enum(), Data: data}
}

func segment(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no segment: %v", err)
	}
	return files[len(files)-1]
}

// change edits the bytes of a file.
func change(t *testing.T, file string, edit func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, edit(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func inspect(t *testing.T, dir string) datadir.Info {
	t.Helper()
	info, err := datadir.Inspect(t.Context(), dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestLog(t *testing.T) {
	t.Parallel()
	info := inspect(t, newLog(t, 20, 17))
	w := info.WAL
	if w == nil || !w.Whole || w.FirstIndex != 1 || w.LastIndex != 20 || w.LastTerm != 2 || w.Commit != 17 {
		t.Fatalf("log: %+v", w)
	}
	if info.MemberID != 0xa1 || info.ClusterID != 0xc1 {
		t.Errorf("member %s of cluster %s", info.MemberID, info.ClusterID)
	}
	if w.Tail.From != 18 || w.Tail.To != 20 || w.Tail.Len() != 3 || len(w.Tail.Entries) != 3 {
		t.Fatalf("tail: %+v", w.Tail)
	}
	if got, want := w.Tail.Entries[0].What, "put /key/18 (900 B)"; got != want {
		t.Errorf("tail entry: %q, want %q", got, want)
	}
	if w.Unapplied != 20 || w.Writes != 20 {
		t.Errorf("unapplied %d, writes %d, want 20 of each: there is no database", w.Unapplied, w.Writes)
	}
}

// TestLogDamage damages the newest segment in every way and looks at what is told: a write that was cut off loses nothing
// that was synced, everything else does.
func TestLogDamage(t *testing.T) {
	t.Parallel()
	clean := newLog(t, 20, 17)
	end := inspect(t, clean).WAL.Segments[0].Offset
	last := lastRecord(t, clean)
	tests := []struct {
		name  string
		edit  func(b []byte) []byte
		state datadir.State
		whole bool
		index uint64 // the last entry that can be read
	}{
		{"nothing", func(b []byte) []byte { return b }, datadir.StateClean, true, 20},
		{"flip in the middle", flip(end / 2), datadir.StateDamaged, false, 0},
		{"flip of a length in the middle", flip(recordNear(t, clean, end/2) + 1), datadir.StateDamaged, false, 0},
		{"flip in the last record", flip(last + 200), datadir.StateDamaged, false, 19},
		{"flip of the last record's length", flip(last + 5), datadir.StateDamaged, false, 19},
		{"flip of the last record's type", flip(last + 9), datadir.StateDamaged, false, 19},
		{"last record cut off in the file", zero(last+((sector-last%sector)%sector)+sector, end), datadir.StateTorn, true, 19},
		{"file cut within the last record", func(b []byte) []byte { return b[:last+100] }, datadir.StateDamaged, false, 19},
		{"file cut after the last record", func(b []byte) []byte { return b[:end] }, datadir.StateClean, true, 20},
		{"rubbish after the end", func(b []byte) []byte { copy(b[end+64:], "rubbish"); return b }, datadir.StateTorn, true, 20},
		{"zeroes over a record in the middle", zero(recordNear(t, clean, end/2), recordNear(t, clean, end/2)+64), datadir.StateDamaged, false, 0},
		{"empty", func([]byte) []byte { return nil }, datadir.StateDamaged, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(clean)); err != nil {
				t.Fatal(err)
			}
			change(t, segment(t, dir), test.edit)
			info := inspect(t, dir)
			// No database stands beside these logs, which is damage of its own.
			problems := slices.DeleteFunc(slices.Clone(info.Problems), func(p datadir.Problem) bool { return p.Where == filepath.Join("member", "snap", "db") })
			state := datadir.StateClean
			for _, p := range problems {
				if p.Severity == datadir.SeverityDamage {
					state = datadir.StateDamaged
				} else if state == datadir.StateClean {
					state = datadir.StateTorn
				}
			}
			if state != test.state || info.WAL.Whole != test.whole {
				t.Errorf("%s, whole %t; want %s, %t: %+v", state, info.WAL.Whole, test.state, test.whole, info.WAL.Segments)
			}
			if test.index != 0 && info.WAL.LastIndex != test.index {
				t.Errorf("last entry %d, want %d", info.WAL.LastIndex, test.index)
			}
		})
	}
}

const sector = 512

// lastRecord is where the last record of a log begins; recordNear where the last one at or before an offset does.
func lastRecord(t *testing.T, dir string) int64 {
	t.Helper()
	return recordNear(t, dir, inspect(t, dir).WAL.Segments[0].Offset-1)
}

func recordNear(t *testing.T, dir string, at int64) int64 {
	t.Helper()
	b, err := os.ReadFile(segment(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	var here int64
	for {
		length := int64(b[here]) | int64(b[here+1])<<8 | int64(b[here+2])<<16
		if b[here+7]&0x80 != 0 {
			length += int64(b[here+7] & 7)
		}
		if here+8+length > at {
			return here
		}
		here += 8 + length
	}
}

func flip(at int64) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 0x10; return b }
}

func zero(from, to int64) func([]byte) []byte {
	return func(b []byte) []byte { clear(b[from:to]); return b }
}

// TestLogOverwritten follows a log whose uncommitted end was replaced by a new leader's.
func TestLogOverwritten(t *testing.T) {
	t.Parallel()
	dir := newLog(t, 20, 15)
	w, err := wal.Open(zap.NewNop(), filepath.Join(dir, "member", "wal"), &walpb.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := w.ReadAll(); err != nil {
		t.Fatal(err)
	}
	if err := w.Save(&raftpb.HardState{Term: proto.Uint64(5), Commit: proto.Uint64(15)}, []*raftpb.Entry{put(t, 16, 4), put(t, 17, 4)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	changed, same := inspect(t, dir), inspect(t, newLog(t, 20, 15))
	if w := changed.WAL; w.LastIndex != 17 || w.LastTerm != 4 || w.Term != 5 || w.Tail.Len() != 2 {
		t.Errorf("log: %+v", changed.WAL)
	}
	if at, ok, overlap := changed.Log.Divergence(same.Log); !ok || at != 16 || overlap != 17 {
		t.Errorf("divergence at %d (%t) of %d, want 16 of 17", at, ok, overlap)
	}
	if _, ok, overlap := same.Log.Divergence(same.Log); ok || overlap != 20 {
		t.Errorf("a log diverges from itself: %t, %d", ok, overlap)
	}
}

// TestLogMissingSegment is about a file of the log that was deleted by hand.
func TestLogMissingSegment(t *testing.T) {
	t.Parallel()
	dir := newLog(t, 5, 5)
	file := segment(t, dir)
	change(t, filepath.Join(filepath.Dir(file), filepath.Base(file)), func(b []byte) []byte { return b })
	if err := os.Rename(file, filepath.Join(filepath.Dir(file), "0000000000000000-0000000000000000.wal")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "0000000000000002-0000000000000010.wal"), make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	if info := inspect(t, dir); info.WAL.Whole || info.State != datadir.StateDamaged {
		t.Errorf("a missing segment is not told: %+v", info.Problems)
	}
}
