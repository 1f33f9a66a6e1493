package dirs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/powercut"
	"github.com/etcdops/etcdops/internal/node/dirs"
)

const label = "20260102-030405-abcdef"

// TestFaultPowerCut: the power fails right after directories were set aside. The old data must not stand in their place when the
// machine comes back: their member was removed, and whoever starts it would start it on them. Without the directories' fsync
// they do, and the same check sees it.
func TestFaultPowerCut(t *testing.T) {
	clustertest.Long(t)
	t.Run("as it is", func(t *testing.T) {
		if err := afterPowerCut(t, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("the fsync left out", func(t *testing.T) {
		for range 5 { // somebody else on this machine may sync everything at the wrong moment
			if err := afterPowerCut(t, func(string) error { return nil }); err != nil {
				t.Log("as it must be:", err)
				return
			}
		}
		t.Error("nothing was lost: this test cannot see what it is there for")
	})
}

// afterPowerCut sets directories aside, lets the power fail, and says what is not as it was.
func afterPowerCut(t *testing.T, syncDir func(string) error) error {
	t.Helper()
	disk := powercut.New(t, 32<<20)
	set := dirs.Set{Data: filepath.Join(disk.Dir, "a", "data"), WAL: filepath.Join(disk.Dir, "b", "wal"), SyncDir: syncDir}
	for _, dir := range []string{set.Data, set.WAL} {
		write(t, filepath.Join(dir, "old"))
	}
	disk.Flush(t) // what was there long before is on the disk
	if _, err := set.SetAside(label); err != nil {
		t.Fatal(err)
	}
	if err := replaced(set); err != nil {
		t.Fatalf("before the power fails: %v", err)
	}
	disk.Cut(t)
	return replaced(set)
}

// replaced says where old data stand in their old place, or are gone.
func replaced(set dirs.Set) error {
	var problems []error
	for _, dir := range []string{set.Data, set.WAL} {
		if _, err := os.Stat(filepath.Join(dir, "old")); err == nil {
			problems = append(problems, fmt.Errorf("the old data stand in %s again", dir))
		}
		if _, err := os.Stat(filepath.Join(dir+dirs.Suffix+label, "old")); err != nil {
			problems = append(problems, fmt.Errorf("the old data are not kept: %w", err))
		}
	}
	return errors.Join(problems...)
}

func write(t *testing.T, file string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}
