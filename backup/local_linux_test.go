package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// ownDatabase is a real member's database, as a member of this process would give it.
type ownDatabase struct {
	about backup.LocalMember
	data  []byte
	open  int // snapshots that were not closed
}

// newOwnDatabase reads the database of a lab's only member.
func newOwnDatabase(t *testing.T, l *lab) *ownDatabase {
	t.Helper()
	var data bytes.Buffer
	ctx := clustertest.Context(t, time.Minute)
	if _, err := l.conn.Snapshot(ctx, l.Endpoints()[0], ops.SnapshotOptions{}, &data); err != nil {
		t.Fatal(err)
	}
	status := l.conn.Statuses(ctx)[0]
	d := &ownDatabase{data: data.Bytes(), about: backup.LocalMember{Cluster: status.Status.ClusterID, DBSize: int64(data.Len())}}
	d.about.Name, d.about.Role = l.Members[0].Name, "follower"
	return d
}

// About implements backup.Local.
func (d *ownDatabase) About(context.Context) (backup.LocalMember, error) { return d.about, nil }

// HashKV implements backup.Local.
func (d *ownDatabase) HashKV(context.Context, int64) (hash uint32, compact int64, err error) {
	return 0, 0, errors.New("not wanted")
}

// Snapshot implements backup.Local.
func (d *ownDatabase) Snapshot(context.Context) (backup.LocalSnapshot, error) {
	d.open++
	return &ownSnapshot{Reader: bytes.NewReader(d.data), of: d}, nil
}

type ownSnapshot struct {
	*bytes.Reader
	of *ownDatabase
}

// Size implements backup.LocalSnapshot.
func (s *ownSnapshot) Size() int64 { return int64(len(s.of.data)) }

// WriteTo implements backup.LocalSnapshot, in pieces, as a database does.
func (s *ownSnapshot) WriteTo(w io.Writer) (int64, error) {
	return io.CopyBuffer(w, struct{ io.Reader }{s.Reader}, make([]byte, 32<<10))
}

// Close implements backup.LocalSnapshot.
func (s *ownSnapshot) Close() error {
	s.of.open--
	return nil
}

// TestLocalBackupOntoAFullDisk has the spool of a local backup too small from the beginning, and full in its middle, with and
// without room for what is compressed: each is the spool's error, the member's snapshot is closed, nothing is left, and the backup of
// before is as it was.
func TestLocalBackupOntoAFullDisk(t *testing.T) {
	t.Parallel()
	small := mount(t, "-t", "tmpfs", "-o", "size=64m", "tmpfs")
	shrinking := mount(t, "-t", "tmpfs", "-o", "size=1g", "tmpfs") // of which next to nothing is used
	l := newLab(t, clustertest.Options{})
	l.put(t, 60, 100_000) // 6 MB that do not compress
	first := l.create(t, backup.CreateOptions{})
	member := newOwnDatabase(t, l)
	resize := func(size string) {
		if err := unix.Mount("tmpfs", shrinking, "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
			t.Error(err)
		}
	}
	for name, tc := range map[string]struct{ dir, size string }{
		"too small": {small, ""}, "full at once": {shrinking, "2m"}, "full before the end": {shrinking, "5m"}, "too small for both": {shrinking, "9m"},
	} {
		var once sync.Once
		o := backup.CreateOptions{SpoolDir: tc.dir, Rate: 1 << 30, Slot: time.Unix(0, 0)}
		o.Progress = func(backup.Progress) {
			if tc.size != "" {
				once.Do(func() { resize(tc.size) })
			}
		}
		_, err := l.repo.CreateLocal(clustertest.Context(t, time.Minute), member, o)
		hint, ok := errors.AsType[*ops.HintError](err)
		if !ok || hint.Code != backup.CodeSpool || hint.Class != ops.ClassFailure || hint.Member != tc.dir || hint.Hint == "" {
			t.Errorf("%s: %#v", name, err)
		}
		if tc.size != "" && (!errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "no space") != 1) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(tc.dir); err != nil || len(left) > 0 || member.open != 0 {
			t.Errorf("%s: left %v, %v; %d snapshots are open", name, left, err, member.open)
		}
		t.Logf("%s: %v", name, err)
		resize("1g")
	}
	if got := l.ids(t); len(got) != 1 || got[0] != first.ID {
		t.Errorf("backups %v, want %s", got, first.ID)
	}
	if level, err := l.repo.Verify(t.Context(), l.find(t, first.ID), backup.VerifyOptions{Level: backup.LevelData, SpoolDir: l.spool}); err != nil {
		t.Errorf("the backup of before: %v, %v", level, err)
	}
	o := backup.CreateOptions{SpoolDir: shrinking, Rate: 1 << 30, Slot: time.Unix(0, 0)}
	m, err := l.repo.CreateLocal(clustertest.Context(t, time.Minute), member, o)
	if err != nil || m.Revision != first.Revision || m.Hash.Value != first.Hash.Value {
		t.Errorf("with room again: %+v, %v", m, err)
	}
}
