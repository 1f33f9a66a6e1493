package config_test

import (
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

const limit = 20 * time.Second

// fakeMachine is a file system as a distribution of Kubernetes leaves it, around a real member.
type fakeMachine struct {
	root   string
	member *clustertest.Member
	ca     *pki.CA
	caFile string
}

func newMachine(t *testing.T, c *clustertest.Cluster) *fakeMachine {
	t.Helper()
	return &fakeMachine{root: t.TempDir(), member: c.Members[0], ca: c.TLS.CA, caFile: c.TLS.CACert}
}

// Kinds of certificates that a file can hold; .key files beside them hold their keys.
const (
	isCA      = "CA"
	isOtherCA = "another CA"
	isClient  = "client"
	isExpired = "expired client"
	isServer  = "server"
	isPeer    = "server and client"
)

// certificate puts a fresh certificate of a kind at a path, and its key at another.
func (m *fakeMachine) certificate(t *testing.T, kind, certPath, keyPath string) {
	t.Helper()
	var cert, key string
	switch kind {
	case isCA:
		m.copyTo(t, m.caFile, certPath)
		return
	case isOtherCA:
		m.copyTo(t, pki.NewCA(t, pki.CAOptions{}).CertFile, certPath)
		return
	case isClient:
		cert, key = m.ca.Client(t, pki.CertOptions{})
	case isExpired:
		cert, key = m.ca.Client(t, pki.CertOptions{Days: -1})
	case isServer:
		cert, key = m.ca.Server(t, pki.CertOptions{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	case isPeer:
		cert, key = m.ca.Peer(t, pki.CertOptions{})
	}
	m.copyTo(t, cert, certPath)
	m.copyTo(t, key, keyPath)
}

// certificates puts several, each named by its certificate's path; keys are named as each convention does.
func (m *fakeMachine) certificates(t *testing.T, kinds map[string]string) {
	t.Helper()
	for path, kind := range kinds {
		key := strings.TrimSuffix(path, ".crt") + ".key"
		if stem, ok := strings.CutSuffix(path, ".pem"); ok {
			key = stem + "-key.pem"
		}
		m.certificate(t, kind, path, key)
	}
}

func (m *fakeMachine) copyTo(t *testing.T, from, path string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, path, string(data))
}

// write makes a text file; URL and HOSTPORT in it become the member's, where there is one.
func (m *fakeMachine) write(t *testing.T, path, text string) {
	t.Helper()
	if m.member == nil {
		m.put(t, path, text)
		return
	}
	u, err := url.Parse(m.member.ClientURL)
	if err != nil {
		t.Fatal(err)
	}
	m.put(t, path, strings.NewReplacer("{URL}", m.member.ClientURL, "{PORT}", u.Port(), "{HOST}", u.Hostname()).Replace(text))
}

// put makes a text file as it is.
func (m *fakeMachine) put(t *testing.T, path, text string) {
	t.Helper()
	file := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// process makes a running program: its arguments are separated by blanks, its variables are lines.
func (m *fakeMachine) process(t *testing.T, pid, args, environ, root string) {
	t.Helper()
	dir := "/proc/" + pid
	m.write(t, dir+"/cmdline", strings.ReplaceAll(args, " ", "\x00")+"\x00")
	m.write(t, dir+"/environ", strings.ReplaceAll(environ, "\n", "\x00"))
	for name, target := range map[string]string{"root": filepath.Join(m.root, root), "cwd": "/var/lib"} {
		if err := os.Symlink(target, filepath.Join(m.root, dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// resolve resolves with nothing but this machine to go by.
func (m *fakeMachine) resolve(t *testing.T) (config.Resolved, error) {
	t.Helper()
	return config.Resolve(t.Context(), config.Request{Root: m.root, File: filepath.Join(m.root, "no-contexts.yaml")})
}

// connects wants the settings found to lead to the member.
func (m *fakeMachine) connects(t *testing.T, cfg ops.Config) {
	t.Helper()
	cluster, err := ops.Dial(clustertest.Context(t, limit), cfg)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer func() { _ = cluster.Close() }()
	if _, err := cluster.Client().MemberList(clustertest.Context(t, limit)); err != nil {
		t.Fatalf("list members: %v", err)
	}
}

// below takes the machine's root off a path.
func (m *fakeMachine) below(path string) string { return strings.TrimPrefix(path, m.root) }
