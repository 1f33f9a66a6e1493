package ops_test

import (
	"context"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/ops"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, Auth: &clustertest.Auth{}, Args: []string{"--auth-token-ttl=1"}})
	as := func(user, password string) ops.Config {
		cfg := clientOf(c)
		cfg.Auth = ops.Auth{User: user, Password: password}
		return cfg
	}
	t.Run("one token serves all connections", func(t *testing.T) {
		t.Parallel()
		cluster := dial(t, as("root", c.Auth.RootPassword))
		for _, endpoint := range c.Endpoints() {
			client, err := cluster.At(t.Context(), endpoint)
			if err != nil {
				t.Fatalf("at %s: %v", endpoint, err)
			}
			if _, err := client.Status(t.Context(), endpoint); err != nil {
				t.Errorf("status of %s: %v", endpoint, err)
			}
		}
	})
	t.Run("an expired token is renewed", func(t *testing.T) {
		t.Parallel()
		cluster := dial(t, as("app", c.Auth.Password))
		// The server drops a simple token that has not been used for its TTL; ask as rarely as that.
		for range 2 {
			if _, err := cluster.Client().Put(t.Context(), c.Auth.Prefix+"k", "v"); err != nil {
				t.Fatalf("put: %v", err)
			}
			wait(t, 2200*time.Millisecond)
		}
		watch(t, cluster, c.Auth.Prefix)
	})
	for name, tt := range map[string]struct {
		cfg   ops.Config
		code  ops.Code
		class ops.Class
	}{
		"wrong password":        {as("root", "wrong"), ops.CodeAuthFailed, ops.ClassFailure},
		"wrong user":            {as("nobody", "x"), ops.CodeAuthFailed, ops.ClassFailure},
		"no password":           {as("root", ""), ops.CodeBadCredentials, ops.ClassUsage},
		"password without user": {as("", "x"), ops.CodeBadCredentials, ops.ClassUsage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ops.Dial(clustertest.Context(t, limit), tt.cfg)
			if hint := wantHint(t, err, tt.code); hint.Class != tt.class {
				t.Errorf("class %v, want %v: %v", hint.Class, tt.class, err)
			}
			if err != nil && strings.Contains(err.Error(), "wrong"+"x") {
				t.Errorf("a password is in the error: %v", err)
			}
		})
	}
	badToken := clientOf(c)
	badToken.Auth.Token = "no.such.token"
	for name, tt := range map[string]struct {
		cfg  ops.Config
		code ops.Code
	}{
		"no user":           {clientOf(c), ops.CodeUserNeeded},
		"permission denied": {as("app", c.Auth.Password), ops.CodePermissionDenied},
		"bad token":         {badToken, ops.CodeTokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := dial(t, tt.cfg)
			ctx := clustertest.Context(t, limit)
			_, err := cluster.Client().Get(ctx, "elsewhere")
			wantCode(t, cluster.Explain(ctx, "read from", c.Endpoints()[0], err), tt.code)
		})
	}
}

// TestUserOfCertificate wants a certificate that names no user told apart from a user that may not: members call both denied.
func TestUserOfCertificate(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{TLS: true, Auth: &clustertest.Auth{}})
	endpoint := c.Endpoints()[0]
	ask := func(cfg ops.Config) *ops.HintError {
		t.Helper()
		cluster := dial(t, cfg)
		ctx := clustertest.Context(t, limit)
		_, err := cluster.Client().Get(ctx, "elsewhere")
		return wantHint(t, cluster.Explain(ctx, "read from", endpoint, err), ops.CodePermissionDenied)
	}
	cfg := clientOf(c)
	cfg.TLS.Cert, cfg.TLS.Key = c.TLS.CA.Client(t, pki.CertOptions{Name: "bob"})
	hint := ask(cfg)
	if !strings.Contains(hint.Error(), `common name "bob"`) || !strings.Contains(hint.Hint, `etcdops user add "bob" --no-password`) {
		t.Errorf("%v, hint %q", hint, hint.Hint)
	}
	cfg.Auth = ops.Auth{User: "app", Password: c.Auth.Password}
	if hint := ask(cfg); strings.Contains(hint.Error()+hint.Hint, "bob") {
		t.Errorf("a user was named: %v, hint %q", hint, hint.Hint)
	}
}

// TestUserWithoutAuth wants a user accepted by a cluster that asks for none, as etcdctl does.
func TestUserWithoutAuth(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{})
	cfg := clientOf(c)
	cfg.Auth = ops.Auth{User: "root", Password: "x"}
	if _, err := dial(t, cfg).Client().Get(clustertest.Context(t, limit), "k"); err != nil {
		t.Error(err)
	}
}

// TestExplainRequests wants requests that fail after connecting explained.
func TestExplainRequests(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	cfg := clientOf(c)
	cluster := dial(t, cfg)
	endpoint := c.Members[2].ClientURL
	client, err := cluster.At(t.Context(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	request := func(patience time.Duration, do func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return cluster.Explain(ctx, "ask", endpoint, do(ctx))
	}
	get := func(ctx context.Context) error { _, err := client.Get(ctx, "k"); return err }

	if err := request(limit, get); err != nil {
		t.Fatalf("healthy: %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = client.Get(stopped, "k")
	if hint := wantHint(t, cluster.Explain(stopped, "ask", endpoint, err), ""); hint.Class != ops.ClassInterrupted {
		t.Errorf("given up by the user, but class %v: %v", hint.Class, hint)
	}

	c.Members[0].Kill(t)
	c.Members[1].Kill(t)
	hint := wantHint(t, request(time.Second, get), ops.CodeSlow)
	if strings.Contains(hint.Error(), "context deadline exceeded") || hint.Class != ops.ClassUnreachable {
		t.Errorf("no quorum: class %v: %v", hint.Class, hint)
	}
	c.Members[2].Kill(t)
	// The first attempt to connect again may meet the process while it dies.
	if err := request(time.Second, get); ops.CodeOf(err) != ops.CodeRefused && ops.CodeOf(err) != ops.CodeConnClosed {
		t.Errorf("killed: %v", err)
	}
}

func TestExplainStranger(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	cluster := dial(t, ops.Config{Endpoints: []string{tlsServer(t, ca, pki.CertOptions{}, nil)}, TLS: ops.TLS{CACert: ca.CertFile}})
	ctx := clustertest.Context(t, limit)
	_, err := cluster.Client().Get(ctx, "k")
	wantCode(t, cluster.Explain(ctx, "ask", "", err), ops.CodeNotEtcd)
}

func watch(t *testing.T, cluster *ops.Cluster, prefix string) {
	t.Helper()
	ctx := clustertest.Context(t, limit)
	ch := cluster.Client().Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(1))
	select {
	case resp := <-ch:
		if err := resp.Err(); err != nil || len(resp.Events) == 0 {
			t.Errorf("watch: %v, %d events", err, len(resp.Events))
		}
	case <-ctx.Done():
		t.Error("the watch says nothing")
	}
}

// wait lets time pass for the server's clock: the token's life is counted there.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
