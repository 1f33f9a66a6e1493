package config_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

// flags is a command's set of flags after the given words were parsed.
func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	fs.StringSlice("endpoints", []string{"127.0.0.1:2379"}, "")
	for _, name := range []string{"cacert", "cert", "key", "user", "password", "password-file", "auth-jwt-token", "context", "discovery-srv", "discovery-srv-name", "tls-server-name"} {
		fs.String(name, "", "")
	}
	for name, value := range map[string]bool{"insecure-transport": true, "insecure-discovery": true, "insecure-skip-tls-verify": false, "no-discover": false} {
		fs.Bool(name, value, "")
	}
	fs.Duration("dial-timeout", 2*time.Second, "")
	fs.Duration("command-timeout", 5*time.Second, "")
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// contextsFile writes a file of contexts.
func contextsFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// resolve resolves on a machine without anything.
func resolve(t *testing.T, file string, args ...string) (config.Resolved, error) {
	t.Helper()
	if file == "" {
		file = filepath.Join(t.TempDir(), "none.yaml")
	}
	return config.Resolve(t.Context(), config.Request{Flags: flags(t, args...), File: file, Root: t.TempDir()})
}

const twoContexts = `current: here
contexts:
  - name: here
    endpoints: [https://here:2379]
    cacert: /here/ca.crt
  - name: Prod.EU
    endpoints: [https://eu-1:2379, https://eu-2:2379]
    user: root
    password_file: /eu/password
    command_timeout: 9s
`

// TestPrecedence puts the endpoints into more and more layers: the strongest wins, and is named.
func TestPrecedence(t *testing.T) {
	file := contextsFile(t, twoContexts)
	m := newFakeRoot(t)
	steps := []struct {
		name   string
		set    func(t *testing.T) config.Request
		want   string
		origin string
	}{
		{"default", func(t *testing.T) config.Request {
			t.Helper()
			return config.Request{Root: t.TempDir(), File: filepath.Join(t.TempDir(), "none")}
		}, "127.0.0.1:2379", "default"},
		{"discovery", func(t *testing.T) config.Request {
			t.Helper()
			return config.Request{Root: m, File: filepath.Join(t.TempDir(), "none")}
		}, "http://10.0.0.9:2379", "discovery /etc/default/etcd"},
		{"no discovery", func(t *testing.T) config.Request {
			t.Helper()
			return config.Request{Root: m, File: filepath.Join(t.TempDir(), "none"), Flags: flags(t, "--no-discover")}
		}, "127.0.0.1:2379", "default"},
		{"context", func(*testing.T) config.Request { return config.Request{Root: m, File: file} }, "https://here:2379", "context here"},
		{"etcdctl's variable", func(t *testing.T) config.Request {
			t.Helper()
			t.Setenv("ETCDCTL_ENDPOINTS", "ctl-1:1, ctl-2:2")
			return config.Request{Root: m, File: file}
		}, "ctl-1:1,ctl-2:2", "variable ETCDCTL_ENDPOINTS"},
		{"our variable", func(t *testing.T) config.Request {
			t.Helper()
			t.Setenv("ETCDCTL_ENDPOINTS", "ctl:1")
			t.Setenv("ETCDOPS_ENDPOINTS", "ours:1")
			return config.Request{Root: m, File: file}
		}, "ours:1", "variable ETCDOPS_ENDPOINTS"},
		{"a context that was typed", func(t *testing.T) config.Request {
			t.Helper()
			t.Setenv("ETCDOPS_ENDPOINTS", "ours:1")
			return config.Request{Root: m, File: file, Flags: flags(t, "--context", "Prod.EU")}
		}, "https://eu-1:2379,https://eu-2:2379", "context Prod.EU"},
		{"flag", func(t *testing.T) config.Request {
			t.Helper()
			t.Setenv("ETCDCTL_ENDPOINTS", "ctl:1")
			t.Setenv("ETCDOPS_ENDPOINTS", "ours:1")
			return config.Request{Root: m, File: file, Flags: flags(t, "--context", "Prod.EU", "--endpoints", "typed:1,typed:2")}
		}, "typed:1,typed:2", "flag --endpoints"},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			r, err := config.Resolve(t.Context(), step.set(t))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.Config.Endpoints, ","); got != step.want {
				t.Errorf("endpoints %s, want %s", got, step.want)
			}
			if got := origin(r, "endpoints"); got != step.origin {
				t.Errorf("from %s, want %s", got, step.origin)
			}
		})
	}
}

// newFakeRoot is a machine whose etcd is known by a file of Debian's service.
func newFakeRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc/default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/default/etcd"), []byte("ETCD_LISTEN_CLIENT_URLS=http://10.0.0.9:2379\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func origin(r config.Resolved, name string) string {
	for _, s := range r.Settings {
		if s.Name == name {
			return s.Origin.String()
		}
	}
	return ""
}

// TestEtcdctlVariables honours every variable of etcdctl's connection.
func TestEtcdctlVariables(t *testing.T) {
	for name, value := range map[string]string{
		"CACERT": "/ca", "CERT": "/cert", "KEY": "/key", "INSECURE_SKIP_TLS_VERIFY": "true", "DIAL_TIMEOUT": "3s", "COMMAND_TIMEOUT": "1m",
		"KEEPALIVE_TIME": "4s", "KEEPALIVE_TIMEOUT": "7s", "MAX_REQUEST_BYTES": "1000", "MAX_RECV_BYTES": "2000", "USER": "root:secret",
	} {
		t.Setenv("ETCDCTL_"+name, value)
	}
	r, err := resolve(t, "")
	if err != nil {
		t.Fatal(err)
	}
	want := ops.Config{
		TLS:         ops.TLS{CACert: "/ca", Cert: "/cert", Key: "/key", InsecureSkipVerify: true},
		Auth:        ops.Auth{User: "root", Password: "secret"},
		DialTimeout: 3 * time.Second, CommandTimeout: time.Minute, KeepAliveTime: 4 * time.Second, KeepAliveTimeout: 7 * time.Second,
		MaxSendBytes: 1000, MaxRecvBytes: 2000,
	}
	got := r.Config
	got.Endpoints = nil
	if got.TLS != want.TLS || got.Auth != want.Auth || got.DialTimeout != want.DialTimeout || got.CommandTimeout != want.CommandTimeout ||
		got.KeepAliveTime != want.KeepAliveTime || got.KeepAliveTimeout != want.KeepAliveTimeout || got.MaxSendBytes != 1000 || got.MaxRecvBytes != 2000 {
		t.Errorf("resolved %+v", got)
	}
	for _, s := range r.Settings {
		if strings.Contains(s.Value, "secret") {
			t.Errorf("the password shows in %s", s.Name)
		}
	}
}

// TestRefused wants each wrong input refused with its code, before anything is tried.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file string
		args []string
		code ops.Code
		says string
	}{
		"bad endpoint":          {"", []string{"--endpoints", "https://etcd-1"}, ops.CodeBadEndpoint, "missing port"},
		"http where TLS":        {"", []string{"--endpoints", "http://e:1", "--insecure-transport=false"}, config.CodePlainTransport, "flag --insecure-transport"},
		"no time at all":        {"", []string{"--command-timeout", "0"}, config.CodeBadValue, "above zero"},
		"unknown context":       {twoContexts, []string{"--context", "prod.eu"}, config.CodeNoContext, "none of the 2 contexts"},
		"unknown field":         {"contexts:\n  - name: a\n    endpoint: [e:1]\n", nil, config.CodeBadFile, ":3: unknown field endpoint"},
		"half-written":          {twoContexts[:len(twoContexts)-60] + "\n    user: \"ro", nil, config.CodeBadFile, ":9: "},
		"no list":               {"contexts: {a: b}\n", nil, config.CodeBadFile, ":1: "},
		"no YAML":               {"\x00\x01", nil, config.CodeBadFile, "control characters"},
		"two documents":         {"contexts: []\n---\ncontexts: []\n", nil, config.CodeBadFile, "follows the first document"},
		"two of a name":         {"contexts:\n- {name: a, endpoints: [e:1]}\n- {name: a, endpoints: [e:1]}\n", nil, config.CodeBadFile, ":3: a second context is named a"},
		"current is none":       {"current: b\ncontexts:\n- {name: a, endpoints: [e:1]}\n", nil, config.CodeBadFile, `"b"`},
		"no endpoint":           {"contexts:\n- {name: a}\n", nil, config.CodeBadContext, ":2: a names no endpoint"},
		"bad context endpoint":  {"contexts:\n- {name: a, endpoints: [e]}\n", nil, config.CodeBadContext, ":2: "},
		"bad context name":      {"contexts:\n- {name: 'a b', endpoints: [e:1]}\n", nil, config.CodeBadContext, `"a b"`},
		"bad timeout":           {"contexts:\n- {name: a, endpoints: [e:1], dial_timeout: 5}\n", nil, config.CodeBadContext, "dial_timeout"},
		"cert without key":      {"contexts:\n- {name: a, endpoints: [e:1], cert: c}\n", nil, config.CodeBadContext, "go together"},
		"password in a context": {"contexts:\n- {name: a, endpoints: [e:1], user: 'root:pw'}\n", nil, config.CodeBadContext, "holds no password"},
		"password without user": {"contexts:\n- {name: a, endpoints: [e:1], password_file: p}\n", nil, config.CodeBadContext, "no user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := ""
			if tt.file != "" {
				file = contextsFile(t, tt.file)
			}
			_, err := resolve(t, file, append(tt.args, "--no-discover")...)
			hint, ok := errors.AsType[*ops.HintError](err)
			if !ok || hint.Code != tt.code || hint.Class != ops.ClassUsage || !strings.Contains(hint.Error(), tt.says) {
				t.Errorf("want %s with %q: %v", tt.code, tt.says, err)
			}
		})
	}
}

// TestContextsOfAnotherUser wants a file of contexts that this user may not read to matter only where it would say which
// cluster is meant.
func TestContextsOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	file := contextsFile(t, twoContexts)
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if r, err := resolve(t, file, "--endpoints", "http://e:1", "--no-discover"); err != nil || r.Context != "" {
		t.Errorf("endpoints are named: %+v, %v", r.Config.Endpoints, err)
	}
	for _, args := range [][]string{nil, {"--endpoints", "http://e:1", "--context", "Prod.EU"}} {
		if _, err := resolve(t, file, append(args, "--no-discover")...); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestBadVariables(t *testing.T) {
	for name, value := range map[string]string{
		"ETCDCTL_DIAL_TIMEOUT": "5", "ETCDOPS_COMMAND_TIMEOUT": "-1s", "ETCDCTL_MAX_RECV_BYTES": "lots", "ETCDCTL_INSECURE_SKIP_TLS_VERIFY": "maybe",
		"ETCDOPS_NO_DISCOVER": "perhaps", "ETCDCTL_INSECURE_TRANSPORT": "2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			_, err := resolve(t, "")
			hint, ok := errors.AsType[*ops.HintError](err)
			if !ok || hint.Code != config.CodeBadValue || hint.Member != "variable "+name || !strings.Contains(hint.Error(), `"`+value+`"`) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestCertificatesForNamedEndpoints finds certificates for https endpoints that were named without any, and leaves
// everything else that was named alone.
func TestCertificatesForNamedEndpoints(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	m := &fakeMachine{root: t.TempDir(), member: &clustertest.Member{}, ca: ca, caFile: ca.CertFile}
	m.certificates(t, map[string]string{kubePKI + "etcd/ca.crt": isCA, kubePKI + "etcd/healthcheck-client.crt": isClient})
	foundCA, foundCert := filepath.Join(m.root, kubePKI, "etcd/ca.crt"), filepath.Join(m.root, kubePKI, "etcd/healthcheck-client.crt")
	for name, tt := range map[string]struct {
		args             []string
		endpoint         string
		ca, cert, notice string
	}{
		"nothing named":     {nil, "https://127.0.0.1:2379", foundCA, foundCert, "https://127.0.0.1:2379, certificate"},
		"https":             {[]string{"--endpoints", "https://e:1"}, "https://e:1", foundCA, foundCert, "found on this machine: certificate"},
		"http":              {[]string{"--endpoints", "http://e:1"}, "http://e:1", "", "", ""},
		"no scheme":         {[]string{"--endpoints", "e:1"}, "e:1", "", "", ""},
		"https and a CA":    {[]string{"--endpoints", "https://e:1", "--cacert", "/ca"}, "https://e:1", "/ca", "", ""},
		"not verified":      {[]string{"--endpoints", "https://e:1", "--insecure-skip-tls-verify"}, "https://e:1", "", "", ""},
		"a CA alone":        {[]string{"--cacert", "/ca"}, "https://127.0.0.1:2379", "/ca", foundCert, "certificate " + foundCert},
		"half a pair":       {[]string{"--cert", "/cert"}, "https://127.0.0.1:2379", foundCA, "/cert", "CA " + foundCA},
		"told not to look":  {[]string{"--no-discover"}, "127.0.0.1:2379", "", "", ""},
		"a context instead": {[]string{"--context", "here"}, "https://here:2379", "/here/ca.crt", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := config.Resolve(t.Context(), config.Request{
				Flags: flags(t, tt.args...), Root: m.root, File: contextsFile(t, strings.TrimPrefix(twoContexts, "current: here\n")),
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Config.Endpoints[0] != tt.endpoint || r.Config.TLS.CACert != tt.ca || r.Config.TLS.Cert != tt.cert {
				t.Errorf("resolved %v %+v", r.Config.Endpoints, r.Config.TLS)
			}
			if told := strings.Join(r.Notices, "\n"); (tt.notice == "") != (told == "") || !strings.Contains(told, tt.notice) {
				t.Errorf("told %q, want %q", told, tt.notice)
			}
		})
	}
}

func TestSRV(t *testing.T) {
	t.Parallel()
	records := fakeResolver{
		"etcd-client-ssl.example.com": {{Target: "a.example.com.", Port: 2379}, {Target: "b.example.com.", Port: 2379}},
		"etcd-client.example.com":     {{Target: "c.example.com.", Port: 2379}},
		"etcd-client-ssl-x.named.com": {{Target: "d.", Port: 1}},
	}
	for name, tt := range map[string]struct {
		args       []string
		want       string
		serverName string
		code       ops.Code
	}{
		"both":                 {[]string{"--discovery-srv", "example.com"}, "https://a.example.com:2379,https://b.example.com:2379,http://c.example.com:2379", "", ""},
		"with TLS alone":       {[]string{"-d=example.com", "--insecure-discovery=false"}, "https://a.example.com:2379,https://b.example.com:2379", "example.com", ""},
		"named":                {[]string{"--discovery-srv", "named.com", "--discovery-srv-name", "x"}, "https://d:1", "", ""},
		"over typed endpoints": {[]string{"--discovery-srv", "named.com", "--discovery-srv-name", "x", "--endpoints", "e:1"}, "https://d:1", "", ""},
		"of a weaker layer":    {[]string{"--endpoints", "e:1"}, "e:1", "", ""},
		"none":                 {[]string{"--discovery-srv", "nowhere.com"}, "", "", config.CodeSRV},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args, weaker := slices.Clone(tt.args), name == "of a weaker layer"
			for i := range args {
				args[i] = strings.Replace(args[i], "-d=", "--discovery-srv=", 1)
			}
			file := "/dev/null"
			if weaker {
				file = contextsFile(t, "current: a\ncontexts:\n- {name: a, discovery_srv: example.com}\n")
			}
			r, err := config.Resolve(t.Context(), config.Request{Flags: flags(t, args...), File: file, Root: t.TempDir(), Resolver: records})
			if ops.CodeOf(err) != tt.code {
				t.Fatalf("code %q, want %q: %v", ops.CodeOf(err), tt.code, err)
			}
			if got := strings.Join(r.Config.Endpoints, ","); got != tt.want || r.Config.TLS.ServerName != tt.serverName {
				t.Errorf("endpoints %s, server name %q", got, r.Config.TLS.ServerName)
			}
			if bySRV := r.Domain != ""; bySRV != (tt.code == "" && !weaker) {
				t.Errorf("endpoints by the records of %q", r.Domain)
			}
		})
	}
}

// fakeResolver answers SRV questions: service.domain -> records.
type fakeResolver map[string][]*net.SRV

func (r fakeResolver) LookupSRV(_ context.Context, service, _, name string) (string, []*net.SRV, error) {
	if records := r[service+"."+name]; records != nil {
		return "", records, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}
