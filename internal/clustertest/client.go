package clustertest

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Auth is the users of a cluster with authentication on. Empty fields take the defaults beside them.
type Auth struct {
	RootPassword string // of user root; default "root-secret"
	User         string // a normal user; default "app"
	Password     string // its password; default "app-secret"
	Prefix       string // the keys that it may read and write; default "app/"
}

func (a *Auth) setDefaults() {
	for field, value := range map[*string]string{
		&a.RootPassword: "root-secret", &a.User: "app", &a.Password: "app-secret", &a.Prefix: "app/",
	} {
		if *field == "" {
			*field = value
		}
	}
}

// Client connects to all members, as root where authentication is on. It is closed at the end of the test.
func (c *Cluster) Client(tb testing.TB) *clientv3.Client {
	tb.Helper()
	return c.client(tb, c.Endpoints()...)
}

// Client connects to this member alone, as root where authentication is on. It is closed at the end of the test.
func (m *Member) Client(tb testing.TB) *clientv3.Client {
	tb.Helper()
	return m.cluster.client(tb, m.ClientURL)
}

func (c *Cluster) client(tb testing.TB, endpoints ...string) *clientv3.Client {
	tb.Helper()
	if c.Auth == nil {
		return c.ClientAs(tb, "", "", endpoints...)
	}
	return c.ClientAs(tb, "root", c.Auth.RootPassword, endpoints...)
}

// ClientAs connects as a user, or as nobody if that is empty, to the given endpoints, or to all members if there are
// none. It is closed at the end of the test.
func (c *Cluster) ClientAs(tb testing.TB, user, password string, endpoints ...string) *clientv3.Client {
	tb.Helper()
	if len(endpoints) == 0 {
		endpoints = c.Endpoints()
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   endpoints,
		DialTimeout: requestLimit,
		TLS:         c.ClientTLS(tb),
		Username:    user,
		Password:    password,
		Logger:      zap.NewNop(),
	})
	if err != nil {
		tb.Fatalf("connect to %v: %v", endpoints, err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// ClientTLS is a client's TLS configuration, nil without TLS.
func (c *Cluster) ClientTLS(tb testing.TB) *tls.Config {
	tb.Helper()
	if c.TLS == nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.ClientCert, c.TLS.ClientKey)
	if err != nil {
		tb.Fatalf("load client certificate: %v", err)
	}
	return &tls.Config{RootCAs: c.TLS.CA.Pool(), Certificates: []tls.Certificate{pair}}
}

// httpClient talks HTTP to the member with its cluster's certificates.
func (m *Member) httpClient(tb testing.TB) *http.Client {
	tb.Helper()
	return &http.Client{Transport: &http.Transport{TLSClientConfig: m.cluster.ClientTLS(tb), Proxy: nil}}
}

// enableAuth makes the users and turns authentication on.
func (c *Cluster) enableAuth(tb testing.TB, auth Auth) {
	tb.Helper()
	auth.setDefaults()
	client := c.Client(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), 2*requestLimit)
	defer cancel()
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(ctx, "root", auth.RootPassword); return err },
		func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := client.RoleAdd(ctx, auth.User); return err },
		func() error {
			_, err := client.RoleGrantPermission(ctx, auth.User, auth.Prefix, clientv3.GetPrefixRangeEnd(auth.Prefix),
				clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserAdd(ctx, auth.User, auth.Password); return err },
		func() error { _, err := client.UserGrantRole(ctx, auth.User, auth.User); return err },
		func() error { _, err := client.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			tb.Fatalf("turn authentication on: %v", err)
		}
	}
	c.Auth = &auth
}

// Context is a context of the test that ends after the given time.
func Context(tb testing.TB, limit time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	tb.Cleanup(cancel)
	return ctx
}
