package clustertest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build builds a main package with the go command, once a test run, and returns the executable. The result is kept in
// the user's cache too, where the go command finds it up to date the next time.
func build(tb testing.TB, name, pkg string, flags ...string) string {
	tb.Helper()
	runName(tb)
	mine := filepath.Join(os.TempDir(), "bin", name) // Wrap has made the temporary directory the run's own
	defer lock(tb, mine+".lock")()
	if _, err := os.Stat(mine); err == nil {
		return mine
	}
	root := moduleRoot(tb)
	cached := filepath.Join(cacheDir(tb, root), name)
	defer lock(tb, cached+".lock")()
	args := append([]string{"build", "-trimpath", "-o", cached}, flags...) // as releases are built, so that this is shared
	cmd := exec.CommandContext(tb.Context(), "go", append(args, pkg)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	// A file of the run's own, because the next build puts another one in the place of the cached.
	err := os.Link(cached, mine)
	if err != nil {
		err = copyFile(cached, mine)
	}
	if err != nil {
		tb.Fatalf("copy %s: %v", cached, err)
	}
	return mine
}

// moduleRoot is the directory of this module's go.mod.
func moduleRoot(tb testing.TB) string {
	tb.Helper()
	return filepath.Dir(goEnv(tb, "GOMOD"))
}

// goEnv is a setting of the go command's.
func goEnv(tb testing.TB, name string) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "env", name).Output()
	if err != nil {
		tb.Fatalf("go env %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

// cacheDir is where programs built from the working copy at root are kept, apart from those of other copies.
func cacheDir(tb testing.TB, root string) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatalf("find cache directory: %v", err)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(root))
	return filepath.Join(cache, "etcdops-clustertest", fmt.Sprintf("%016x", h.Sum64()))
}

// copyFile copies an executable.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// lock takes an exclusive lock on a file among all processes and goroutines and returns what gives it back.
func lock(tb testing.TB, file string) (unlock func()) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		tb.Fatalf("lock %s: %v", file, err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatalf("lock %s: %v", file, err)
	}
	if err := flock(f); err != nil {
		tb.Fatalf("lock %s: %v", file, err)
	}
	return func() { _ = f.Close() }
}
