package v2keys_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestHistory waits for changes of long ago: they are told after a restart of the member too, until v3's history is
// compacted. Then the error is the old one.
func TestHistory(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	m := c.Members[0]
	u := &users{t: t, base: m.ClientURL}
	set := url.Values{"value": {"x"}}
	u.expect("", "PUT", "/v2/keys/a", set, 201) // revision 2
	u.expect("", "PUT", "/v2/keys/_h", set, 201)
	u.expect("", "DELETE", "/v2/keys/a", nil, 200)
	m.Restart(t) // the ring is empty
	for since, want := range map[int]string{
		1: `{"action":"set","node":{"key":"/a","value":"x","modifiedIndex":2,"createdIndex":2}}`,
		3: `{"action":"delete","node":{"key":"/a","modifiedIndex":4,"createdIndex":2},"prevNode":{"key":"/a","value":"x","modifiedIndex":2,"createdIndex":2}}`,
	} {
		if got := u.body(fmt.Sprintf("/v2/keys/a?wait=true&waitIndex=%d", since)); got != want {
			t.Errorf("since %d: %s\nwant %s", since, got, want)
		}
	}
	ctx := clustertest.Context(t, 20*time.Second)
	if _, err := c.Client(t).Compact(ctx, 3, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	const cleared = `{"errorCode":401,"message":"The event in requested index is outdated and cleared",` +
		`"cause":"the requested history has been cleared [4/3]","index":4}`
	if got := u.body("/v2/keys/a?wait=true&waitIndex=3"); got != cleared {
		t.Errorf("after compaction: %s", got)
	}
	if got := u.body("/v2/keys/a?wait=true&waitIndex=4"); !strings.Contains(got, `"delete"`) {
		t.Errorf("what was not compacted: %s", got)
	}
}

// TestQuietHistory: those who wait for what has not happened, since long ago, are in nobody's way.
func TestQuietHistory(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	u := &users{t: t, base: c.Members[0].ClientURL}
	u.expect("", "PUT", "/v2/keys/a", url.Values{"value": {"x"}}, 201) // revision 2
	for range 5 {
		if _, err := c.Client(t).Put(t.Context(), "other", "x"); err != nil {
			t.Fatal(err)
		}
	}
	c.Members[0].Restart(t)
	for range 20 {
		resp, err := u.do(t.Context(), "", http.MethodGet, "/v2/keys/never?wait=true&waitIndex=3", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	if got := u.body("/v2/keys/a?wait=true&waitIndex=2"); !strings.Contains(got, `"modifiedIndex":2`) {
		t.Errorf("what has happened: %s", got)
	}
}

// TestExpiredDirectory stops the only member that could sweep right when a directory expires: what it held must not come
// back with the next directory of that name.
func TestExpiredDirectory(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	u := &users{t: t, base: c.Members[0].ClientURL}
	u.expect("", "PUT", "/v2/keys/d", url.Values{"dir": {"true"}}, 201)
	u.expect("", "PUT", "/v2/keys/d/old", url.Values{"value": {"x"}}, 201)
	// The directory alone goes, as by its lease, together with what tells the sweeper not to care.
	ctx := clustertest.Context(t, 20*time.Second)
	_, err := c.Client(t).Txn(ctx).Then(clientv3.OpDelete("etcdops.v2/k/d"), clientv3.OpPut("etcdops.v2/j", "sweep\n/d")).Commit()
	if err != nil {
		t.Fatal(err)
	}
	u.expect("", "GET", "/v2/keys/d/old", nil, 404)
	u.expect("", "PUT", "/v2/keys/d/new", url.Values{"value": {"y"}}, 201)
	u.expect("", "GET", "/v2/keys/d/old", nil, 404)
	if got := u.body("/v2/keys/d"); strings.Contains(got, "old") || !strings.Contains(got, "new") {
		t.Errorf("after the next write: %s", got)
	}
}

// body is the first line that a GET brings.
func (u *users) body(path string) string {
	u.t.Helper()
	resp, err := u.do(clustertest.Context(u.t, 10*time.Second), "", http.MethodGet, path, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Errorf("%s: %v", path, err)
	}
	return strings.TrimSpace(string(text))
}
