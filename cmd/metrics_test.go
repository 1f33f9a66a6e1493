package cmd_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestMetricsWaitForTheirReader holds that the server's metrics are not registered while the program starts: the server
// packages must be initialised after package lazymetrics.
func TestMetricsWaitForTheirReader(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := etcdopsProgram(t, "etcdops", "GODEBUG=inittrace=1").command(ctx, "version")
	var trace bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &trace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	registering := []string{"storage/mvcc", "storage/backend", "storage/wal", "etcdserver", "etcdserver/api/rafthttp", "etcdserver/api/v3rpc", "lease"}
	lazy := false
	for line := range strings.Lines(trace.String()) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "init" {
			continue
		}
		lazy = lazy || strings.HasSuffix(words[1], "/internal/lazymetrics")
		if path, ok := strings.CutPrefix(words[1], "go.etcd.io/etcd/server/v3/"); ok && !lazy && slices.Contains(registering, path) {
			t.Fatalf("%s is initialised before lazymetrics", words[1])
		}
	}
	if !lazy {
		t.Error("lazymetrics is not in the program")
	}
}

// TestMetricsAreUpstreams compares the names of the metrics of `etcd` by this binary with those of upstream's.
func TestMetricsAreUpstreams(t *testing.T) {
	t.Parallel()
	member := clustertest.NewUnstarted(t, clustertest.Options{}).Members[0]
	var names [2][]string
	for i, etcd := range []program{buildUpstream(t, "etcd", "go.etcd.io/etcd/server/v3"), etcdopsProgram(t, "etcd")} {
		cmd := etcd.command(t.Context(), member.CommandLine()...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(cmd) })
		names[i] = metricNames(t, member.ClientURL)
		stop(cmd)
		member.Wipe(t)
	}
	if want, got := names[0], names[1]; !slices.Equal(got, want) {
		t.Errorf("metrics %q, want %q", got, want)
	}
}

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// metricNames reads the names of a member's metrics, once it serves.
func metricNames(tb testing.TB, url string) []string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if text := fetch(ctx, url+"/readyz"); text != "" {
			break
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("%s does not serve", url)
		case <-tick.C:
		}
	}
	var names []string
	for line := range strings.Lines(fetch(ctx, url+"/metrics")) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	if len(names) < 100 {
		tb.Fatalf("%s has %d metrics", url, len(names))
	}
	return names
}

// fetch returns a page, or "" when it cannot be had.
func fetch(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
