package cmd

import (
	"testing"
	"time"

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
