package v2keys_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/v2keys"
)

// TestAccess turns users on: nothing is read or written but by a user of v3 who may do that to the keys of v3.
func TestAccess(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{
		Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"},
		Auth: &clustertest.Auth{Prefix: v2keys.Key("/app") + "/"},
	})
	u := &users{t: t, base: c.Members[0].ClientURL, password: map[string]string{
		"": "", "root": c.Auth.RootPassword, c.Auth.User: c.Auth.Password, "app:wrong": "wrong",
	}}
	app := c.Auth.User
	set := url.Values{"value": {"x"}}
	for _, who := range []string{"", "app:wrong"} {
		u.expect(who, "PUT", "/v2/keys/app/a", set, 401)
		u.expect(who, "GET", "/v2/keys/?recursive=true", nil, 401)
		u.expect(who, "GET", "/v2/keys/app?wait=true", nil, 401)
		u.expect(who, "GET", "/v2/members", nil, 401)
		u.expect(who, "GET", "/v2/stats/store", nil, 401)
		u.expect(who, "GET", "/v2/machines", nil, 401)
	}
	u.expect(app, "PUT", "/v2/keys/app/a", set, 401) // the directory /app is not below itself
	u.expect("root", "PUT", "/v2/keys/app", url.Values{"dir": {"true"}}, 201)
	u.expect("root", "PUT", "/v2/keys/secret/a", set, 201)
	u.expect(app, "PUT", "/v2/keys/app/a", set, 201)
	u.expect(app, "POST", "/v2/keys/app/queue", set, 201)
	u.expect(app, "GET", "/v2/keys/app/a", nil, 200)
	u.expect(app, "GET", "/v2/keys/app/queue?recursive=true", nil, 200)
	u.expect(app, "DELETE", "/v2/keys/app/queue?recursive=true", nil, 200)
	for _, path := range []string{"", "?recursive=true", "secret", "secret/a", "secret/a?quorum=true", "secret?wait=true", "?wait=true&recursive=true"} {
		u.expect(app, "GET", "/v2/keys/"+path, nil, 401)
	}
	u.expect(app, "PUT", "/v2/keys/secret/a", set, 401)
	u.expect(app, "PUT", "/v2/keys/secret/a?prevValue=guess", set, 401) // the refusal would show the value
	u.expect(app, "POST", "/v2/keys/secret", set, 401)
	u.expect(app, "DELETE", "/v2/keys/secret?recursive=true", nil, 401)
	u.expect(app, "DELETE", "/v2/members/12", nil, 401)
	u.expect(app, "GET", "/v2/members", nil, 200)

	testRights(t, c, u)

	// What was allowed ends with the role, also for a stream that is open.
	ended := u.stream(app, "/v2/keys/app?wait=true&recursive=true&stream=true&waitIndex=1")
	ctx := clustertest.Context(t, 20*time.Second)
	root := c.Client(t)
	if _, err := root.UserRevokeRole(ctx, app, app); err != nil {
		t.Fatal(err)
	}
	u.expect(app, "GET", "/v2/keys/app/a", nil, 401)
	u.expect(app, "PUT", "/v2/keys/app/a", set, 401)
	u.expect("root", "PUT", "/v2/keys/app/a", url.Values{"value": {"not for app"}}, 200)
	select {
	case text := <-ended:
		if strings.Contains(text, "not for app") {
			t.Errorf("the stream told what its user may not read any more: %s", text)
		}
	case <-ctx.Done():
		t.Error("the stream goes on")
	}
	if _, err := root.Put(ctx, "unrelated", "x", clientv3.WithPrevKV()); err != nil {
		t.Error(err)
	}
}

// testRights has users who may only read, only write, or only see one key: every request that shows or changes more is
// refused, and what is refused changes nothing.
func testRights(t *testing.T, c *clustertest.Cluster, u *users) {
	t.Helper()
	ctx := clustertest.Context(t, 30*time.Second)
	root := c.Client(t)
	grant := func(name, key, end string, kind clientv3.PermissionType) {
		if _, err := root.RoleGrantPermission(ctx, name, key, end, kind); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"reader", "writer", "single"} {
		u.password[name] = "of " + name
		_, err := root.UserAdd(ctx, name, u.password[name])
		if err == nil {
			_, err = root.RoleAdd(ctx, name)
		}
		if err == nil {
			_, err = root.UserGrantRole(ctx, name, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	below, end := v2keys.Key("/app/"), v2keys.Key("/app0")
	grant("reader", below, end, clientv3.PermissionType(clientv3.PermRead))
	grant("reader", v2keys.Key("/app"), "", clientv3.PermissionType(clientv3.PermRead))
	grant("writer", below, end, clientv3.PermissionType(clientv3.PermWrite))
	grant("single", v2keys.Key("/app/a"), "", clientv3.PermissionType(clientv3.PermReadWrite))
	grant("single", v2keys.Key("/app"), "", clientv3.PermissionType(clientv3.PermReadWrite))
	set, lasting := url.Values{"value": {"x"}}, url.Values{"prevExist": {"true"}, "ttl": {"1"}, "refresh": {"true"}}
	for _, r := range []struct {
		who, method, path string
		form              url.Values
		status            int
	}{
		{"reader", "GET", "/v2/keys/app?recursive=true&sorted=true", nil, 200},
		{"reader", "HEAD", "/v2/keys/app/a", nil, 200},
		{"reader", "PUT", "/v2/keys/app/a", set, 401},
		{"reader", "PUT", "/v2/keys/app/a", lasting, 401},
		{"reader", "PUT", "/v2/keys/app", url.Values{"dir": {"true"}, "prevExist": {"true"}, "ttl": {"1"}}, 401},
		{"reader", "POST", "/v2/keys/app", set, 401},
		{"reader", "DELETE", "/v2/keys/app/a", nil, 401},
		{"reader", "DELETE", "/v2/keys/app/a?prevValue=x", nil, 401},
		{"reader", "GET", "/v2/keys/app/../secret/a", nil, 307}, // not to be followed as what it was asked for
		{"reader", "GET", "/v2/keys/app%2f..%2fsecret/a", nil, 401},
		{"reader", "GET", "/v2/keys/app/a?wait=true&quorum=true", nil, 200}, // an answer at once, as ever
		{"writer", "GET", "/v2/keys/app/a", nil, 401},
		{"writer", "HEAD", "/v2/keys/app/a", nil, 401},
		{"writer", "GET", "/v2/keys/app/a?wait=true", nil, 401},
		{"writer", "PUT", "/v2/keys/app/a", set, 401}, // the answer shows what was there
		{"writer", "PUT", "/v2/keys/app/a?noValueOnSuccess=true", set, 401},
		{"writer", "DELETE", "/v2/keys/app/a", nil, 401},
		{"single", "GET", "/v2/keys/app/a", nil, 200},
		{"single", "PUT", "/v2/keys/app/a", set, 200},
		{"single", "GET", "/v2/keys/app", nil, 401},
		{"single", "HEAD", "/v2/keys/app", nil, 401},
		{"single", "GET", "/v2/keys/app?wait=true&recursive=true", nil, 401},
		{"single", "GET", "/v2/keys/app?wait=true&recursive=true&waitIndex=1", nil, 401},
		{"single", "DELETE", "/v2/keys/app?recursive=true", nil, 401},
		{"single", "DELETE", "/v2/keys/app?dir=true", nil, 401}, // whether it is empty shows something
		{"single", "PUT", "/v2/keys/app/new/dir/key", set, 401},
		{"single", "POST", "/v2/keys/app", set, 401},
		{"single", "POST", "/v2/members", nil, 401},
		{"single", "PUT", "/v2/members/12", nil, 401},
	} {
		u.expect(r.who, r.method, r.path, r.form, r.status)
	}
	if got, err := root.Get(ctx, v2keys.Key("/app/new"), clientv3.WithPrefix()); err != nil || len(got.Kvs) > 0 {
		t.Errorf("what was refused is there: %v, %v", got, err)
	}
	u.expect("root", "GET", "/v2/keys/app/a", nil, 200)
}

// users sends requests as somebody.
type users struct {
	t        *testing.T
	base     string
	password map[string]string
}

func (u *users) do(ctx context.Context, who, method, path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if name, _, _ := strings.Cut(who, ":"); name != "" {
		req.SetBasicAuth(name, u.password[who])
	}
	return (&http.Client{
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
}

func (u *users) expect(who, method, path string, form url.Values, status int) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 10*time.Second)
	defer cancel()
	resp, err := u.do(ctx, who, method, path, form)
	if err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != status {
		u.t.Errorf("%s as %q: %s: %s, want %d: %s", method, who, path, resp.Status, status, body)
	}
}

// stream reads until the end; it returns when something has come.
func (u *users) stream(who, path string) <-chan string {
	u.t.Helper()
	resp, err := u.do(u.t.Context(), who, "GET", path, nil) //nolint:bodyclose // the goroutine below closes it
	if err != nil {
		u.t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		u.t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		defer func() { _ = resp.Body.Close() }()
		rest, _ := io.ReadAll(resp.Body)
		ended <- string(rest)
	}()
	return ended
}
