package cmd

import (
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/ops"
)

// TestBackupsReadInTime asks for a reading long after it was done, as a look over a window does.
func TestBackupsReadInTime(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	close(done)
	known := &health.BackupState{}
	l := &repositoryLook{begun: time.Now().Add(-time.Hour), bound: time.Second, done: done, clusters: map[ops.ClusterID]*health.BackupState{7: known}}
	for range 100 {
		if got := l.of(t.Context(), 7); got != known {
			t.Fatalf("got %+v", got)
		}
	}
}

// TestSizesAreNoVerification: a look at the sizes of a backup's parts was told as its verification.
func TestSizesAreNoVerification(t *testing.T) {
	t.Parallel()
	taken := time.Unix(1000, 0)
	for level, want := range map[backup.Level]time.Time{backup.LevelPresent: taken, backup.LevelStored: taken.Add(time.Hour)} {
		var s health.BackupState
		m := &backup.Manifest{TakenAt: taken, Level: backup.LevelData}
		addBackup(&s, backup.Entry{Manifest: m, Last: &backup.Record{At: taken.Add(time.Hour), Level: level}})
		if s.VerifiedAt == nil || !s.VerifiedAt.Equal(want) {
			t.Errorf("level %d: verified at %v, want %v", level, s.VerifiedAt, want)
		}
	}
}
