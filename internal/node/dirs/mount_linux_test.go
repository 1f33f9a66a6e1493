package dirs_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/node/dirs"
)

// TestRepeatedMoveIsSynced: a run that was killed after it moved the contents of a mounted directory, and before these were made
// durable, is repeated: it finds nothing to move, and makes them durable all the same.
func TestRepeatedMoveIsSynced(t *testing.T) {
	top := t.TempDir()
	if os.Geteuid() != 0 || unix.Mount("tmpfs", top, "tmpfs", 0, "size=1m") != nil {
		t.Skip("cannot mount here")
	}
	t.Cleanup(func() { _ = unix.Unmount(top, unix.MNT_DETACH) })
	write(t, filepath.Join(top, "member", "old"))
	set := dirs.Set{Data: top, SyncDir: func(string) error { return errors.New("killed") }}
	if _, err := set.SetAside(label); err == nil {
		t.Fatal("what is not durable is reported")
	}
	var synced []string
	set.SyncDir = func(dir string) error { synced = append(synced, dir); return nil }
	if _, err := set.SetAside(label); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{top, filepath.Join(top, dirs.Suffix+label)} {
		if !slices.Contains(synced, dir) {
			t.Errorf("%s was not made durable, only %q", dir, synced)
		}
	}
}
