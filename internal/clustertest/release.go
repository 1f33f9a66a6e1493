package clustertest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// releaseMain is a main package of nothing but upstream's server.
const releaseMain = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`

// buildRelease builds upstream's server of a release ("3.5.21") in a module of its own, since this one has another
// version in it. It is kept in the user's cache for good: a release never changes. The test is skipped where it cannot be
// built, as without a module proxy.
func buildRelease(tb testing.TB, version string) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatalf("find cache directory: %v", err)
	}
	kept := filepath.Join(cache, "etcdops-clustertest", "release", "etcd-"+version)
	defer lock(tb, kept+".lock")()
	if _, err := os.Stat(kept); err == nil {
		return kept
	}
	dir := tb.TempDir()
	for name, text := range map[string]string{
		"main.go": releaseMain,
		"go.mod":  "module release\n\ngo 1.24\n\nrequire go.etcd.io/etcd/server/v3 v" + version + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-mod=mod", "-trimpath", "-o", kept+".partial", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		tb.Skipf("etcd %s cannot be built here: %v: %s", version, err, lines[len(lines)-1])
	}
	if err := os.Rename(kept+".partial", kept); err != nil {
		tb.Fatal(err)
	}
	return kept
}
