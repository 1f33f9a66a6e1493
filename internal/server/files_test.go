package server

import (
	"io/fs"
	"os"
	"path/filepath"
)

// fsWalk visits every file and directory below dir; a dir that does not exist has none.
func fsWalk(dir string, visit func(path string, info os.FileInfo)) error {
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
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
