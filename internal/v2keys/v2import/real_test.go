package v2import

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/v2keys"
	"github.com/etcdops/etcdops/ops"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// TestImport copies the tree of a real etcd 3.4, by its API and out of its own snapshot, into a cluster of today: values,
// directories and the time that is left arrive; an import that was stopped goes on; a second one finds nothing to do.
func TestImport(t *testing.T) {
	t.Parallel()
	old := clustertest.New(t, clustertest.Options{Kind: clustertest.KindEtcd34, Args: []string{"--enable-v2", "--snapshot-count=1"}})
	target := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	ctx := clustertest.Context(t, 2*time.Minute)
	api := &keysAPI{t: t, ctx: ctx, base: old.Members[0].ClientURL}
	for i := range 3 * batchKeys {
		api.put("/app/key"+strings.Repeat("k", i), url.Values{"value": {"v<\n>" + strings.Repeat("x", i)}})
	}
	api.put("/app/late", url.Values{"value": {"x"}, "ttl": {"5000"}})
	api.put("/sessions", url.Values{"dir": {"true"}, "ttl": {"6000"}})
	api.put("/sessions/one", url.Values{"value": {"y"}})
	api.put("/_hidden/a", url.Values{"value": {"z"}})
	api.put("/empty", url.Values{"dir": {"true"}})

	var stages []string
	heard := func(stage string, done, total int64) {
		if total > 0 && done > total {
			t.Errorf("%s: %d of %d bytes", stage, done, total)
		}
		if !slices.Contains(stages, stage) {
			stages = append(stages, stage)
		}
	}
	source, err := FromURL(ctx, http.DefaultClient, api.base, []string{"/", "/_hidden"}, heard)
	if err != nil {
		t.Fatal(err)
	}
	if want := 3*batchKeys + 7; len(source.Nodes) != want {
		t.Errorf("%d nodes were read, want %d", len(source.Nodes), want)
	}
	same(t, source.Nodes, newestSnapshot(t, old.Members[0].DataDir, len(source.Nodes)))

	cluster, err := ops.Dial(ctx, ops.Config{Endpoints: target.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	plan, err := MakePlan(ctx, cluster, source.Nodes, heard)
	if err != nil || plan.Refusal() != nil || plan.WithTTL != 2 {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	stopping, stop := context.WithCancel(ctx)
	err = plan.Execute(stopping, cluster, func(string, int64, int64) { stop() })
	if ops.CodeOf(err) != CodeStopped {
		t.Errorf("stopped after the first batch: %v", err)
	}
	again, err := MakePlan(ctx, cluster, source.Nodes, heard)
	if err != nil || len(again.Write) == 0 || again.Present == 0 || again.Present+len(again.Write) != len(source.Nodes) {
		t.Fatalf("after the stop %d are there and %d to write, %v", again.Present, len(again.Write), err)
	}
	if err := again.Execute(ctx, cluster, heard); err != nil {
		t.Fatal(err)
	}
	if n, err := Verify(ctx, cluster, source.Nodes, heard); err != nil || n != len(source.Nodes) {
		t.Errorf("%d verified, %v", n, err)
	}
	if last, err := MakePlan(ctx, cluster, source.Nodes, heard); err != nil || len(last.Write)+last.Differ > 0 {
		t.Errorf("a second import would write %d nodes, %v", len(last.Write), err)
	}
	if want := []string{"read", "compare", "write", "verify"}; !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
	leases(t, target, map[string]int64{"/app/late": 5000, "/sessions": 6000, "/sessions/one": 0, "/app/key": 0})

	// The target serves it as the old one does, and what comes next works on it.
	served := &keysAPI{t: t, ctx: ctx, base: target.Members[0].ClientURL}
	copied, err := FromURL(ctx, http.DefaultClient, served.base, []string{"/", "/_hidden"}, heard)
	if err != nil {
		t.Fatal(err)
	}
	same(t, source.Nodes, copied.Nodes)
	served.put("/app/key", url.Values{"value": {"new"}, "prevValue": {"v<\n>"}})
	damaged, err := MakePlan(ctx, cluster, source.Nodes, heard)
	if err != nil || damaged.Differ != 1 || damaged.Conflicts[0] != "/app/key" {
		t.Errorf("what has changed since: %+v, %v", damaged, err)
	}
}

// leases checks how long keys of v3 have to live, 0: for ever. A minute may have gone by.
func leases(t *testing.T, c *clustertest.Cluster, want map[string]int64) {
	t.Helper()
	client, ctx := c.Client(t), clustertest.Context(t, time.Minute)
	for p, ttl := range want {
		resp, err := client.Get(ctx, v2keys.Key(p))
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatalf("%s: %v, %v", p, resp, err)
		}
		id := clientv3.LeaseID(resp.Kvs[0].Lease)
		if ttl == 0 {
			if id != clientv3.NoLease {
				t.Errorf("%s has a lease", p)
			}
			continue
		}
		left, err := client.TimeToLive(ctx, id)
		if err != nil || left.TTL > ttl || left.TTL < ttl-300 {
			t.Errorf("%s has %+v left, want about %d: %v", p, left, ttl, err)
		}
	}
}

// same compares trees; times may differ by what the reading took.
func same(t *testing.T, a, b []Node) {
	t.Helper()
	if !slices.EqualFunc(a, b, func(x, y Node) bool {
		near := x.Expires.IsZero() == y.Expires.IsZero() && x.Expires.Sub(y.Expires).Abs() < time.Minute
		return near && x.Path == y.Path && x.Dir == y.Dir && x.Value == y.Value
	}) {
		t.Errorf("%d nodes and %d nodes are not the same", len(a), len(b))
	}
}

// newestSnapshot reads the server's snapshots until one has so many nodes: it writes them behind its answers.
func newestSnapshot(t *testing.T, dir string, nodes int) []Node {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	for ; ; time.Sleep(20 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(dir, "member", "snap", "*.snap"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(files)
		if len(files) > 0 {
			source, err := FromFile(files[len(files)-1])
			if err == nil && len(source.Nodes) == nodes {
				if source.Index < uint64(nodes)/2 {
					t.Errorf("%d nodes at index %d", nodes, source.Index)
				}
				return source.Nodes
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: %+v, %v", files[len(files)-1], source, err)
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("no snapshot in %s", dir)
		}
	}
}

// keysAPI writes by the old API.
type keysAPI struct {
	t    *testing.T
	ctx  context.Context
	base string
}

func (k *keysAPI) put(p string, form url.Values) {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.ctx, http.MethodPut, k.base+"/v2/keys"+p, strings.NewReader(form.Encode()))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode/100 != 2 {
		k.t.Fatalf("PUT %s: %s, %v, %v", p, resp.Status, answer, err)
	}
}
