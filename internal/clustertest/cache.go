package clustertest

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// cacheName names what is kept in the user's cache for the working copy at root, apart from other copies.
func cacheName(root string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(root))
	return fmt.Sprintf("%016x", h.Sum64())
}

// copyFile copies an executable; it returns the copy's name.
func copyFile(tb testing.TB, from, to string) string {
	tb.Helper()
	in, err := os.Open(from)
	if err != nil {
		tb.Fatalf("copy %s: %v", from, err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		tb.Fatalf("copy %s: %v", from, err)
	}
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		tb.Fatalf("copy %s: %v", from, err)
	}
	return to
}

// lock takes an exclusive lock on a file among all test processes of this machine and returns what gives it back.
func lock(tb testing.TB, file string) (unlock func()) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		tb.Fatalf("make cache directory: %v", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatalf("open lock: %v", err)
	}
	if err := flock(f); err != nil {
		tb.Fatalf("lock %s: %v", file, err)
	}
	return func() { _ = f.Close() }
}
