package server

import (
	"crypto/tls"
	"math/big"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
)

// flagValue finds a flag in a command line.
func flagValue(t *testing.T, args []string, name string) string {
	t.Helper()
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	t.Fatalf("no --%s in %q", name, args)
	return ""
}

// servedSerial makes a handshake and returns the serial number of the certificate that was shown.
func servedSerial(t *testing.T, c *clustertest.Cluster, addr string) *big.Int {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(c.TLS.ClientCert, c.TLS.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: c.TLS.CA.Pool(), Certificates: []tls.Certificate{cert}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber
}

func replaceFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestCertificatesAreReadAgain: a renewed certificate is shown by the next handshake of every listener, without restart.
func TestCertificatesAreReadAgain(t *testing.T) {
	c := layout(t, clustertest.Options{TLS: true})
	m := c.Members[0]
	other := layout(t, clustertest.Options{}).Members[0] // only its reserved port is used
	metrics := strings.Replace(flagValue(t, other.CommandLine(), "listen-client-urls"), "http:", "https:", 1)
	args := m.CommandLine()
	hosts := []string{m.Host, other.Host}
	for _, prefix := range []string{"", "peer-"} { // the metrics listener is on another address than the first certificate names
		cert, key := c.TLS.CA.Peer(t, pki.CertOptions{Hosts: hosts})
		replaceFile(t, cert, flagValue(t, args, prefix+"cert-file"))
		replaceFile(t, key, flagValue(t, args, prefix+"key-file"))
	}
	srv, _ := launch(t, settingsOf(t, m, "--listen-metrics-urls="+metrics), Options{})
	waitReady(t, srv)
	for _, listener := range []struct{ name, url, prefix string }{
		{"clients", flagValue(t, args, "listen-client-urls"), ""},
		{"metrics", metrics, ""},
		{"peers", flagValue(t, args, "listen-peer-urls"), "peer-"},
	} {
		u, err := url.Parse(listener.url)
		if err != nil {
			t.Fatal(err)
		}
		before := servedSerial(t, c, u.Host)
		cert, key := c.TLS.CA.Peer(t, pki.CertOptions{Hosts: hosts})
		replaceFile(t, cert, flagValue(t, args, listener.prefix+"cert-file"))
		replaceFile(t, key, flagValue(t, args, listener.prefix+"key-file"))
		if after := servedSerial(t, c, u.Host); after.Cmp(before) == 0 {
			t.Errorf("%s: the old certificate is still shown", listener.name)
		}
	}
	if status, answer := call(t, client(t, c), "GET", metrics+"/health", ""); status != 200 || !strings.Contains(answer, `"health":"true"`) {
		t.Errorf("metrics listener's /health: %d %s", status, answer)
	}
}
