package dirs_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/node/dirs"
)

// TestEveryRenameIsSynced: each time, when a directory is asked to be made durable, the name that must last is there: first
// the old data's new name, then the empty directory's. And nothing is reported that could not be made so.
func TestEveryRenameIsSynced(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	set := dirs.Set{Data: filepath.Join(top, "data")}
	aside := set.Data + dirs.Suffix + "label"
	if err := os.MkdirAll(filepath.Join(set.Data, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	var seen []string
	set.SyncDir = func(dir string) error {
		if dir != top {
			t.Errorf("synced %s", dir)
		}
		var state []string
		for _, path := range []string{aside, set.Data} {
			if _, err := os.Lstat(path); err == nil {
				state = append(state, filepath.Base(path))
			}
		}
		seen = append(seen, strings.Join(state, " "))
		return nil
	}
	if _, err := set.SetAside("label"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"data.etcdops-label", "data.etcdops-label data"}; !slices.Equal(seen, want) {
		t.Errorf("synced when there was %q, want %q", seen, want)
	}
	set.SyncDir = func(string) error { return os.ErrInvalid }
	if err := set.PutBack("label"); err == nil {
		t.Error("it was put back, and nobody knows whether that lasts")
	}
}
