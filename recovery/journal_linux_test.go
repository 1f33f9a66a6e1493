package recovery

import (
	"path/filepath"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest/powercut"
)

// TestIntentSurvivesPowerCut: the power fails right after an intent was recorded, when the step may have acted. The journal is
// there after it, with that intent; without the sync of the file or of its directory it would not be.
func TestIntentSurvivesPowerCut(t *testing.T) {
	t.Parallel()
	disk := powercut.New(t, 64<<20)
	disk.Flush(t)
	j, err := CreateJournal(disk.Dir, testPlan(t, Step{ID: "a", Changes: true}))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Intent("a"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(j.Path())
	disk.Cut(t)
	again, err := OpenJournal(filepath.Join(disk.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil || !again.Changed() {
		t.Errorf("after the power cut nobody knows that a step began: %v", err)
	}
	_ = j.Close() // of a disk that is gone
}
