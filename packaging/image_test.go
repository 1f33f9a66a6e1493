// Package packaging_test builds what people install, and uses it as they would.
package packaging_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// image is built once for all tests of a run, under a name of its own.
var image = sync.OnceValues(func() (string, error) {
	name := "etcdops-test-" + strings.ToLower(rand.Text()[:8])
	out, err := exec.CommandContext(context.Background(), "make", "-C", "..", "-s", "image", "IMAGE="+name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make image: %w\n%s", err, out)
	}
	return name, nil
})

// program is the binary that the image holds, used from outside of it.
const program = "../build/image/rootfs/usr/local/bin/etcdops"

var built bool // by a test of this run

func TestMain(m *testing.M) {
	m.Run()
	if !built {
		return
	}
	if name, err := image(); err == nil {
		_ = exec.CommandContext(context.Background(), "docker", "image", "rm", "--force", name).Run()
	}
}

// needImage skips where no container engine is, and builds the image otherwise.
func needImage(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("an image is not built in a short run")
	}
	if err := exec.CommandContext(t.Context(), "docker", "info").Run(); err != nil {
		t.Skipf("no container engine answers here: docker info: %v", err)
	}
	built = true
	name, err := image()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// run starts a program and returns what it wrote; try does so where it may fail.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute) // clean-ups run after the test's own ends
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(errOut.String()))
	}
	return strings.TrimSpace(out.String()), err
}

// start runs a container until the end of the test, and returns its ID.
func start(t *testing.T, args ...string) string {
	t.Helper()
	id := run(t, "docker", append([]string{"run", "--detach"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", "logs", "--tail", "15", id).CombinedOutput()
			t.Logf("last lines of the container's log:\n%s", log)
		}
		_, _ = try(t, "docker", "rm", "--force", "--volumes", id)
	})
	return id
}

// eventually repeats look until it succeeds.
func eventually(t *testing.T, what string, look func() (string, error)) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := look()
		if err == nil {
			return out
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
	}
}

// published is the address that a container's port has outside.
func published(t *testing.T, id, port string) string {
	t.Helper()
	address, _, _ := strings.Cut(run(t, "docker", "port", id, port), "\n")
	return address
}

// TestImageServes is `docker run -p 2379:2379 -p 2380:2380 IMAGE`, with ports that are free.
func TestImageServes(t *testing.T) {
	name := needImage(t)
	id := start(t, "--read-only", "--cap-drop", "ALL", "--publish", "127.0.0.1::2379", "--publish", "127.0.0.1::2380",
		"--tmpfs", "/spool:mode=1777", "--tmpfs", "/backups:mode=1777", name)
	client := func(args ...string) (string, error) {
		return try(t, program, append([]string{"--endpoints", "http://" + published(t, id, "2379")}, args...)...)
	}
	eventually(t, "put from outside", func() (string, error) { return client("put", "key", "value") })
	if out, err := client("get", "key"); err != nil || out != "key\nvalue" {
		t.Errorf("get from outside: %q, %v", out, err)
	}
	if out, err := client("health", "-w", "simple"); err != nil || !strings.Contains(out, "1 of 1 voter healthy") {
		t.Errorf("health from outside: %q, %v", out, err)
	}
	if out := run(t, "docker", "exec", id, "etcdctl", "get", "key", "--print-value-only"); out != "value" {
		t.Errorf("etcdctl inside: %q", out)
	}
	if out := run(t, "docker", "inspect", "--format", "{{.Config.User}}", id); out != "65532:65532" {
		t.Errorf("the image runs as %q", out)
	}
	eventually(t, "the container's own health check", func() (string, error) {
		out, err := try(t, "docker", "inspect", "--format", "{{.State.Health.Status}}", id)
		if err == nil && out != "healthy" {
			err = fmt.Errorf("it is %s", out)
		}
		return out, err
	})
	// The root file system is read-only: where the lock is, and where the database waits for its verification, has to be named.
	if out, err := try(t, "docker", "exec", id, "etcdops", "backup", "create", "--repo", "/backups"); err == nil || !strings.Contains(err.Error(), "--spool DIR") {
		t.Errorf("a backup without a place to wait in: %q, %v", out, err)
	}
	if out, err := try(t, "docker", "exec", id, "etcdops", "backup", "create", "--repo", "/backups", "--spool", "/spool"); err == nil || !strings.Contains(err.Error(), "XDG_STATE_HOME=DIR") {
		t.Errorf("a backup without a place for its lock: %q, %v", out, err)
	}
	if out := run(t, "docker", "exec", "--env", "XDG_STATE_HOME=/spool", id, "etcdops", "backup", "create", "--repo", "/backups"); !strings.Contains(out, "verified") {
		t.Errorf("backup create says %q", out)
	}

	run(t, "docker", "restart", id)
	out := eventually(t, "get after a restart", func() (string, error) { return client("get", "key", "--print-value-only") })
	if out != "value" {
		t.Errorf("after a restart the key is %q", out)
	}
}

// TestImageIsUpstreamsProgramsToo: `docker run IMAGE etcdctl ...`.
func TestImageIsUpstreamsProgramsToo(t *testing.T) {
	name := needImage(t)
	for _, words := range [][]string{{"etcdctl", "version"}, {"etcdutl", "version"}, {"etcd", "--version"}} {
		for _, args := range [][]string{
			append([]string{"run", "--rm", name}, words...),
			append([]string{"run", "--rm", "--entrypoint", words[0], name}, words[1:]...),
		} {
			if out := run(t, "docker", args...); !strings.Contains(out, words[0]+" version: 3.") && !strings.Contains(out, "etcd Version: 3.") {
				t.Errorf("docker %s: %s", strings.Join(args, " "), out)
			}
		}
	}
}

// TestImageCluster: three containers on a private network; one is cut off and comes back, one is killed and comes back.
func TestImageCluster(t *testing.T) {
	name := needImage(t)
	network := run(t, "docker", "network", "create", "etcdops-test-"+strings.ToLower(rand.Text()[:8]))
	t.Cleanup(func() { _, _ = try(t, "docker", "network", "rm", network) })
	hosts := []string{"m1", "m2", "m3"}
	var members []string
	for _, host := range hosts {
		members = append(members, host+"=http://"+host+":2380")
	}
	ids := map[string]string{}
	for _, host := range hosts {
		ids[host] = start(t, "--read-only", "--cap-drop", "ALL", "--network", network, "--network-alias", host,
			"--env", "ETCD_NAME="+host, "--env", "ETCD_INITIAL_CLUSTER="+strings.Join(members, ","),
			"--env", "ETCD_INITIAL_ADVERTISE_PEER_URLS=http://"+host+":2380", "--env", "ETCD_ADVERTISE_CLIENT_URLS=http://"+host+":2379", name)
	}
	inside := func(host string, args ...string) (string, error) {
		return try(t, "docker", append([]string{"exec", ids[host], "etcdops"}, args...)...)
	}
	write := func(host, key string) {
		t.Helper()
		eventually(t, "put "+key+" through "+host, func() (string, error) { return inside(host, "put", key, key) })
	}
	has := func(host, key string) {
		t.Helper()
		eventually(t, key+" on "+host+" itself", func() (string, error) {
			out, err := inside(host, "get", key, "--consistency=s", "--print-value-only")
			if err == nil && out != key {
				err = fmt.Errorf("it has %q", out)
			}
			return out, err
		})
	}
	write("m1", "whole")
	has("m3", "whole")

	run(t, "docker", "network", "disconnect", network, ids["m3"])
	write("m1", "without-m3")
	if out, err := inside("m1", "health", "-w", "simple"); !strings.Contains(out, "2 of 3 voters healthy") {
		t.Errorf("health with a member cut off: %v\n%s", err, out)
	}
	run(t, "docker", "network", "connect", "--alias", "m3", network, ids["m3"])
	has("m3", "without-m3")

	run(t, "docker", "kill", ids["m2"])
	write("m1", "without-m2")
	run(t, "docker", "start", ids["m2"])
	has("m2", "without-m2")
	eventually(t, "all healthy in the end", func() (string, error) {
		out, err := inside("m1", "health", "-w", "simple")
		if err == nil && !strings.Contains(out, "3 of 3 voters healthy") {
			err = errors.New("not yet")
		}
		return out, err
	})
}
