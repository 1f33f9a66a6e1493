package backup

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
)

// unlinked makes a file and removes its name while it is open.
func unlinked(dir string) (*os.File, error) {
	name := filepath.Join(dir, ".spool-"+rand.Text())
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(name); err != nil && runtime.GOOS != "windows" {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
