package recovery_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// counting counts what it is asked.
type counting struct{ asked int }

func (c *counting) Inspect(_ context.Context, path string, _ datadir.Options) (datadir.Info, error) {
	c.asked++
	return datadir.Info{Path: path, State: datadir.StateClean}, nil
}

// TestRemember reads files once while they are as they were, and again after any change, also one that keeps size and time.
func TestRemember(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("files are remembered on Linux only")
	}
	dir := t.TempDir()
	db := filepath.Join(dir, "member", "snap", "db")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(db), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(db, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var asked counting
	remembered := recovery.Remember(&asked)
	look := func(opts datadir.Options) {
		t.Helper()
		if _, err := remembered.Inspect(t.Context(), dir, opts); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	first, err := os.Stat(db)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		look(datadir.Options{})
		n := asked.asked
		look(datadir.Options{})
		return asked.asked == n
	}) // old enough
	n := asked.asked
	look(datadir.Options{NoHash: true})
	if asked.asked != n+1 {
		t.Error("another question was answered by what was remembered")
	}
	write("two")
	if err := os.Chtimes(db, time.Time{}, first.ModTime()); err != nil {
		t.Fatal(err)
	}
	n = asked.asked
	look(datadir.Options{})
	if asked.asked != n+1 {
		t.Error("changed files were not read again")
	}
}
