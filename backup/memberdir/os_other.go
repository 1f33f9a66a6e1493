//go:build !unix

package memberdir

import (
	"fmt"
	"os"
)

// moveNew renames a directory to a name that is free, or that of an empty directory.
func moveNew(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		if err := os.Remove(to); err != nil { // fails when it is not empty
			return fmt.Errorf("%s: %w", to, ErrExists)
		}
	}
	return os.Rename(from, to)
}

// memberRuns is not known here.
func memberRuns(string) bool { return false }

func syncDir(string) error { return nil }

// OwnerOf is the owner of a file, which is not known here.
func OwnerOf(os.FileInfo) *Owner { return nil }
