//go:build !linux

package backup

import (
	"errors"
	"os"
)

func unnamed(dir string) (*os.File, error) { return unlinked(dir) }

func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }

// startWriteback is for Linux alone.
func startWriteback(*os.File, int64, int64) {}
