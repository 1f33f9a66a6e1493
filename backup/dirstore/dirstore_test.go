package dirstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/backup/storetest"
)

func create(t *testing.T) *dirstore.Store {
	t.Helper()
	s, err := dirstore.Create(filepath.Join(t.TempDir(), "deep", "repo"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) backup.Store {
		t.Helper()
		return create(t)
	})
}

func TestSymbolicLinksAreNotFollowed(t *testing.T) {
	s := create(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(s.Path(), name)); err != nil {
			t.Fatal(err)
		}
	}
	link(victim, "object")
	link(filepath.Dir(victim), "dir")
	if err := s.Put(t.Context(), "object", bytes.NewReader([]byte("x"))); !errors.Is(err, backup.ErrExist) {
		t.Errorf("put over a link: %v, want ErrExist", err)
	}
	if err := s.Put(t.Context(), "dir/victim", bytes.NewReader([]byte("x"))); err == nil {
		t.Error("put through a link to a directory")
	}
	if err := s.Put(t.Context(), "dir/new", bytes.NewReader([]byte("x"))); err == nil {
		t.Error("put through a link to a directory")
	}
	for _, name := range []string{"object", "dir/victim"} {
		if _, err := s.Open(t.Context(), name); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	if objects, err := s.List(t.Context(), ""); err != nil || len(objects) > 0 {
		t.Errorf("objects %v, %v", objects, err)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
		t.Errorf("the file outside: %q, %v", got, err)
	}
}

func TestSweepRemovesDebris(t *testing.T) {
	s := create(t)
	if err := s.Put(t.Context(), "a", bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	debris := filepath.Join(s.Path(), ".tmp", "left")
	if err := os.WriteFile(debris, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("young debris: %d, %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("old debris: %d, %v", n, err)
	}
	if _, err := os.Stat(debris); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("debris: %v", err)
	}
}
