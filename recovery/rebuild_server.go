package recovery

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"time"

	etcdversion "go.etcd.io/etcd/api/v3/version"
)

// OwnServer is this program's own server.
func OwnServer() Server { return Server{Version: etcdversion.Version} }

// FindServers looks which versions the given programs are, besides this program and the etcd in PATH. One that is named
// and cannot be used is an error.
func FindServers(ctx context.Context, named []string) ([]Server, error) {
	servers := []Server{OwnServer()}
	for _, path := range named {
		v, err := serverVersion(ctx, path)
		if err != nil {
			return nil, rebuildRefusal(CodeNoServer, path, "name an etcd program: --etcd-binary /path/to/etcd", "%w", err)
		}
		servers = append(servers, Server{Path: path, Version: v})
	}
	if path, err := exec.LookPath("etcd"); err == nil {
		if v, err := serverVersion(ctx, path); err == nil {
			servers = append(servers, Server{Path: path, Version: v})
		}
	}
	return servers, nil
}

// serverVersion asks a program for its version.
func serverVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	match := regexp.MustCompile(`(?m)^etcd Version: (\d+\.\d+\.\d+)`).FindSubmatch(out)
	if match == nil {
		return "", fmt.Errorf("%s --version does not say \"etcd Version: ...\"", path)
	}
	return string(match[1]), nil
}
