package dirstore_test

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// TestModesWhateverTheUmask is alone in changing the umask of the process: no test here is parallel.
func TestModesWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		s := create(t)
		func() {
			defer syscall.Umask(syscall.Umask(umask))
			if err := s.Put(t.Context(), "c/1/object", bytes.NewReader([]byte("x"))); err != nil {
				t.Fatal(err)
			}
		}()
		err := filepath.WalkDir(s.Path(), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(0o600)
			if info.IsDir() {
				want = 0o700
			}
			if info.Mode().Perm() != want {
				t.Errorf("umask %03o: %s has mode %v", umask, path, info.Mode().Perm())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
