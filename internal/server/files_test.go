package server

import (
	"io/fs"
	"os"
	"path/filepath"
)

// fsWalk visits every file and directory below dir; a dir that cannot be there has none.
func fsWalk(dir string, visit func(path string, info os.FileInfo)) error {
	if _, err := os.Stat(dir); err != nil {
		return nil //nolint:nilerr // it does not exist, or below a file
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		visit(path, info)
		return nil
	})
}
