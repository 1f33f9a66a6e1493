package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest/pki"
)

// TestCertificates lets real TLS servers and clients judge each kind of certificate.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ca, other := pki.NewCA(t, pki.CAOptions{}), pki.NewCA(t, pki.CAOptions{})
	middle := ca.Intermediate(t, pki.CAOptions{Name: "middle"})
	oldCA := pki.NewCA(t, pki.CAOptions{Days: -2})

	unknown := func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }
	wrongName := func(err error) bool { return errors.As(err, new(x509.HostnameError)) }
	invalid := func(reason x509.InvalidReason) func(error) bool {
		return func(err error) bool {
			var e x509.CertificateInvalidError
			return errors.As(err, &e) && e.Reason == reason
		}
	}
	for name, tt := range map[string]struct {
		ca   *pki.CA
		opts pki.CertOptions
		want func(error) bool // nil: the handshake succeeds
	}{
		"good":              {ca: ca},
		"one day left":      {ca: ca, opts: pki.CertOptions{Days: 1}},
		"chain":             {ca: middle, opts: pki.CertOptions{WithChain: middle}},
		"chain missing":     {ca: middle, want: unknown},
		"expired":           {ca: ca, opts: pki.CertOptions{Days: -1}, want: invalid(x509.Expired)},
		"not yet valid":     {ca: ca, opts: pki.CertOptions{StartsIn: time.Hour}, want: invalid(x509.Expired)},
		"wrong name":        {ca: ca, opts: pki.CertOptions{Hosts: []string{"elsewhere"}}, want: wrongName},
		"no names":          {ca: ca, opts: pki.CertOptions{NoHosts: true}, want: wrongName},
		"other authority":   {ca: other, want: unknown},
		"expired authority": {ca: oldCA, want: unknown},
		"wrong usage": {
			ca: ca, opts: pki.CertOptions{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
			want: invalid(x509.IncompatibleUsage),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, key := tt.ca.Server(t, tt.opts)
			err := handshake(t, load(t, cert, key), nil, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
			if tt.want == nil && err != nil {
				t.Fatalf("handshake: %v", err)
			}
			if tt.want != nil && !tt.want(err) {
				t.Fatalf("handshake ended with another error: %v", err)
			}
		})
	}
}

// TestClientCertificates lets a server that demands a client certificate judge some.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, other := pki.NewCA(t, pki.CAOptions{}), pki.NewCA(t, pki.CAOptions{})
	server := load2(t)(ca.Server(t, pki.CertOptions{}))
	for name, tt := range map[string]struct {
		client tls.Certificate
		ok     bool
	}{
		"client": {load2(t)(ca.Client(t, pki.CertOptions{Name: "root"})), true},
		"peer":   {load2(t)(ca.Peer(t, pki.CertOptions{})), true},
		"server": {load2(t)(ca.Server(t, pki.CertOptions{})), false},
		"other":  {load2(t)(other.Client(t, pki.CertOptions{})), false},
		"none":   {tls.Certificate{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := &tls.Config{
				RootCAs: ca.Pool(), ServerName: "localhost",
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tt.client, nil },
			}
			if err := handshake(t, server, ca.Pool(), client); (err == nil) != tt.ok {
				t.Fatalf("handshake: %v, wanted success: %v", err, tt.ok)
			}
		})
	}
}

// TestKeyOfAnother makes sure that two certificates never share a key.
func TestKeyOfAnother(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	cert, _ := ca.Server(t, pki.CertOptions{})
	_, key := ca.Server(t, pki.CertOptions{})
	if _, err := tls.LoadX509KeyPair(cert, key); err == nil {
		t.Fatal("a certificate was accepted with the key of another")
	}
}

// TestAuthoritiesShareADirectory makes sure that their certificates do not overwrite each other's.
func TestAuthoritiesShareADirectory(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	middle := ca.Intermediate(t, pki.CAOptions{})
	cert, key := ca.Server(t, pki.CertOptions{})
	middle.Server(t, pki.CertOptions{})
	if err := handshake(t, load(t, cert, key), nil, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
}

// handshake connects a client to a TLS server over loopback and returns the first error of either side.
func handshake(t *testing.T, cert tls.Certificate, clientCAs *x509.CertPool, client *tls.Config) error {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	if clientCAs != nil {
		config.ClientCAs, config.ClientAuth = clientCAs, tls.RequireAndVerifyClientCert
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer func() { _ = conn.Close() }()
		served <- conn.(*tls.Conn).HandshakeContext(t.Context())
	}()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: client}
	conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return <-served
}

func load(t *testing.T, cert, key string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// load2 is load for a function that returns both files at once.
func load2(t *testing.T) func(cert, key string) tls.Certificate {
	t.Helper()
	return func(cert, key string) tls.Certificate { t.Helper(); return load(t, cert, key) }
}
