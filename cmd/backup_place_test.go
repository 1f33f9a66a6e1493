package cmd

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOneLockForAllSpellings sees that two runs which spell a directory in two ways lock each other out.
func TestOneLockForAllSpellings(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	repo := filepath.Join(dir, "repo")
	if err := os.Mkdir(repo, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(repo, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	lock := func(place string) string {
		path, err := lockFile("backup", place)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	want := lock(repo)
	for _, place := range []string{repo + "/", "repo", "./repo/.", "file://" + repo, "file://" + repo + "/", "link"} {
		if lock(place) != want {
			t.Errorf("%s has a lock of its own", place)
		}
	}
	for _, place := range []string{filepath.Join(dir, "other"), "s3://bucket/repo"} {
		if lock(place) == want {
			t.Errorf("%s has the lock of another place", place)
		}
	}
}
