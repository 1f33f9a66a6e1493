package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build compiles upstream's programs, from the versions in go.mod, and etcdops in the same way.
func build(ctx context.Context, dir string, log io.Writer) (programs, error) {
	path := func(name string) string { return filepath.Join(dir, name) }
	p := programs{etcd: path("etcd"), etcdctl: path("etcdctl"), etcdutl: path("etcdutl"), etcdops: path("etcdops")}
	for _, step := range []struct{ out, pkg string }{
		{p.etcd, "go.etcd.io/etcd/server/v3"},
		{p.etcdctl, "go.etcd.io/etcd/etcdctl/v3"},
		{p.etcdutl, "go.etcd.io/etcd/etcdutl/v3"},
		{p.etcdops, "github.com/etcdops/etcdops/cmd/etcdops"},
	} {
		fmt.Fprintln(log, "build", step.pkg)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", step.out, step.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return programs{}, fmt.Errorf("build %s: %w\n%s", step.pkg, err, bytes.TrimSpace(out))
		}
	}
	return p, nil
}

// versions tells what was built: upstream's version, the commit of etcdops, Go's version.
func (p programs) versions(ctx context.Context) (map[string]string, error) {
	info, err := buildinfo.ReadFile(p.etcd)
	if err != nil {
		return nil, err
	}
	out := map[string]string{"go": strings.TrimPrefix(info.GoVersion, "go"), "etcd": info.Main.Version, "etcdops": "unknown"}
	// Not from the build information: it tells no commit where GOFLAGS turns that off.
	if commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		out["etcdops"] = string(bytes.TrimSpace(commit))
	}
	return out, nil
}
