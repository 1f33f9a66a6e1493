package ops_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/network"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/ops"
)

// limit bounds each operation of these tests; none comes near it.
const limit = 20 * time.Second

// clientOf is the Config of a client of c.
func clientOf(c *clustertest.Cluster) ops.Config {
	cfg := ops.Config{Endpoints: c.Endpoints()}
	if c.TLS != nil {
		cfg.TLS = ops.TLS{CACert: c.TLS.CACert, Cert: c.TLS.ClientCert, Key: c.TLS.ClientKey}
	}
	return cfg
}

func TestDialCluster(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true})
	ctx := clustertest.Context(t, limit)
	cluster := dial(t, clientOf(c))
	if _, err := cluster.Client().Put(ctx, "k", "v"); err != nil {
		t.Fatalf("put through the shared client: %v", err)
	}
	ids := map[uint64]bool{}
	for _, endpoint := range c.Endpoints() {
		client, err := cluster.At(ctx, endpoint)
		if err != nil {
			t.Fatalf("connect to %s: %v", endpoint, err)
		}
		status, err := client.Status(ctx, "the argument is ignored")
		if err != nil {
			t.Fatalf("status of %s: %v", endpoint, err)
		}
		ids[status.Header.MemberId] = true
	}
	if len(ids) != 3 {
		t.Errorf("three endpoints led to %d members", len(ids))
	}
}

// TestDialSurvivors wants an answer as long as one member lives, and the cause of each that does not.
func TestDialSurvivors(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	c.Members[0].Kill(t)
	c.Members[1].Pause(t)
	cfg := clientOf(c)
	cfg.DialTimeout = 6 * time.Second
	start := time.Now()
	cluster := dial(t, cfg)
	if took := time.Since(start); took > cfg.DialTimeout-time.Second {
		t.Errorf("one living member answered only after %s", took)
	}
	ctx := clustertest.Context(t, limit)
	_, err := cluster.At(ctx, c.Members[0].ClientURL)
	wantCode(t, err, ops.CodeRefused)
	_, err = cluster.At(ctx, c.Members[1].ClientURL)
	wantCode(t, err, ops.CodeSilent)
	if _, err := cluster.At(ctx, c.Members[2].ClientURL); err != nil {
		t.Errorf("the living member: %v", err)
	}

	c.Members[0].Start(t)
	if _, err := cluster.At(ctx, c.Members[0].ClientURL); err != nil {
		t.Errorf("a member that came back: %v", err)
	}
}

func TestDialNobody(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 2})
	c.Members[0].Kill(t)
	cfg := clientOf(c)
	cfg.Endpoints[1] = strings.Replace(cfg.Endpoints[1], "http:", "https:", 1)
	_, err := ops.Dial(clustertest.Context(t, limit), cfg)
	hint := wantHint(t, err, ops.CodeNoEndpoint)
	for _, want := range []string{cfg.Endpoints[0] + ": TCP: connection refused", cfg.Endpoints[1] + ": TLS: the server speaks plain HTTP"} {
		if !strings.Contains(hint.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, hint)
		}
	}
}

// TestCauses makes each failure of a connection for real and wants its own code and the words that tell it.
func TestCauses(t *testing.T) {
	t.Parallel()
	ca, other := pki.NewCA(t, pki.CAOptions{Name: "our-ca"}), pki.NewCA(t, pki.CAOptions{Name: "other-ca"})
	plain := clustertest.New(t, clustertest.Options{}).Members[0].ClientURL
	secure := clustertest.New(t, clustertest.Options{TLS: true})
	url := func(s pki.CertOptions) string { return tlsServer(t, ca, s, nil) }
	demanding := tlsServer(t, ca, pki.CertOptions{}, ca.Pool())
	trust := ops.TLS{CACert: ca.CertFile}
	with := func(opts pki.CertOptions, authority *pki.CA) ops.TLS {
		cert, key := authority.Client(t, opts)
		return ops.TLS{CACert: ca.CertFile, Cert: cert, Key: key}
	}
	for name, tt := range map[string]struct {
		endpoint string
		tls      ops.TLS
		code     ops.Code
		says     string
	}{
		"no such host":          {"http://nowhere.invalid:2379", ops.TLS{}, ops.CodeDNS, "DNS: "},
		"refused":               {"http://" + closedPort(t), ops.TLS{}, ops.CodeRefused, "TCP: connection refused"},
		"black hole":            {"http://" + network.FullBacklog(t), ops.TLS{}, ops.CodeNoAnswer, "TCP: no answer"},
		"no socket":             {"unix:///nowhere/etcd.sock", ops.TLS{}, ops.CodeRefused, "no socket /nowhere/etcd.sock"},
		"hung":                  {"http://" + listener(t, nil), ops.TLS{}, ops.CodeSilent, "HTTP/2: "},
		"hung in TLS":           {"https://" + listener(t, nil), trust, ops.CodeSilent, "TLS: "},
		"closes":                {"http://" + listener(t, []byte{}), ops.TLS{}, ops.CodeConnClosed, "HTTP/2: "},
		"closes in TLS":         {"https://" + listener(t, []byte{}), trust, ops.CodeConnClosed, "TLS: "},
		"ssh":                   {"http://" + listener(t, []byte("SSH-2.0-OpenSSH_9.2\r\n")), ops.TLS{}, ops.CodeNotEtcd, `says "SSH-2.0-OpenSSH_9.2"`},
		"web server":            {"http://" + listener(t, []byte("HTTP/1.1 400 Bad Request\r\n\r\n")), ops.TLS{}, ops.CodeNotEtcd, `"HTTP/1.1 400 Bad Request"`},
		"https to plain etcd":   {strings.Replace(plain, "http:", "https:", 1), trust, ops.CodePlainServer, "speaks plain HTTP"},
		"http to TLS etcd":      {strings.Replace(secure.Endpoints()[0], "https:", "http:", 1), ops.TLS{}, ops.CodeTLSServer, "speaks TLS"},
		"unknown authority":     {url(pki.CertOptions{}), ops.TLS{CACert: other.CertFile}, ops.CodeUnknownAuthority, `was issued by "CN=our-ca,O=clustertest", which is not in ` + other.CertFile},
		"not a system's":        {url(pki.CertOptions{}), ops.TLS{}, ops.CodeUnknownAuthority, "not in the system's authorities"},
		"wrong name":            {url(pki.CertOptions{Hosts: []string{"etcd-1.example.com", "10.1.2.3"}}), trust, ops.CodeWrongName, "not for 127.0.0.1 but for etcd-1.example.com, 10.1.2.3"},
		"no name":               {url(pki.CertOptions{NoHosts: true}), trust, ops.CodeWrongName, "no name at all"},
		"expired":               {url(pki.CertOptions{Days: -3}), trust, ops.CodeServerExpired, "3 days ago"},
		"not yet valid":         {url(pki.CertOptions{StartsIn: time.Hour}), trust, ops.CodeServerNotYet, "is this machine's clock right?"},
		"no server usage":       {url(pki.CertOptions{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), trust, ops.CodeKeyUsage, "not issued for servers"},
		"no client certificate": {demanding, trust, ops.CodeClientCertNeeded, "TLS: the server asks for a client certificate"},
		"etcd wants one":        {secure.Endpoints()[0], ops.TLS{CACert: secure.TLS.CACert}, ops.CodeClientCertNeeded, "asks for a client certificate"},
		"other's certificate":   {demanding, with(pki.CertOptions{}, other), ops.CodeClientCertRefused, `issued by "CN=other-ca`},
		"expired certificate":   {demanding, with(pki.CertOptions{Days: -2}, ca), ops.CodeClientCertExpired, "2 days ago"},
		"early certificate":     {demanding, with(pki.CertOptions{StartsIn: time.Hour}, ca), ops.CodeClientCertExpired, "valid only from"},
		"server's certificate":  {demanding, with(pki.CertOptions{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca), ops.CodeKeyUsage, "not issued for clients"},
		"half renewed":          {halfRenewedServer(t, ca), trust, ops.CodeTLSOther, "it does not belong to its key"},
		"old TLS":               {oldTLSServer(t, ca), trust, ops.CodeTLSOther, "protocol version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patience := limit / 2
			if tt.code == ops.CodeNoAnswer || tt.code == ops.CodeSilent { // then all of it is waited
				patience = 300 * time.Millisecond
			}
			_, err := ops.Dial(clustertest.Context(t, limit), ops.Config{
				Endpoints: []string{tt.endpoint}, TLS: tt.tls, DialTimeout: patience,
			})
			hint := wantHint(t, err, tt.code)
			if !strings.Contains(hint.Error(), tt.says) {
				t.Errorf("the error does not say %q:\n%v", tt.says, hint)
			}
			if hint.Member != tt.endpoint || hint.Class != ops.ClassUnreachable {
				t.Errorf("member %q, class %v in %v", hint.Member, hint.Class, hint)
			}
			if strings.Contains(hint.Error(), "context deadline exceeded") {
				t.Errorf("the error names the limit and not the cause:\n%v", hint)
			}
			t.Logf("%v\n\tnext: %s", hint, hint.Hint)
		})
	}
}

// TestBadFiles wants every broken file of the TLS set-up named, before any connection.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	cert, key := ca.Client(t, pki.CertOptions{})
	_, otherKey := ca.Client(t, pki.CertOptions{})
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	garbage, empty := write("garbage.pem", "no PEM at all"), write("empty.pem", "")
	halfCert := write("half.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
	encrypted := write("encrypted.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n")
	missing := filepath.Join(dir, "missing.pem")
	for name, tt := range map[string]struct {
		tls  ops.TLS
		code ops.Code
		file string
		says string
	}{
		"CA missing":        {ops.TLS{CACert: missing}, ops.CodeFileUnreadable, missing, "no such file"},
		"CA is a directory": {ops.TLS{CACert: dir}, ops.CodeFileUnreadable, dir, "is a directory"},
		"CA garbage":        {ops.TLS{CACert: garbage}, ops.CodeFileMalformed, garbage, "no PEM text"},
		"CA empty":          {ops.TLS{CACert: empty}, ops.CodeFileMalformed, empty, "empty"},
		"CA is a key":       {ops.TLS{CACert: key}, ops.CodeFileMalformed, key, "it holds PRIVATE KEY, and no certificate authority"},
		"cert missing":      {ops.TLS{Cert: missing, Key: key}, ops.CodeFileUnreadable, missing, "no such file"},
		"cert garbage":      {ops.TLS{Cert: garbage, Key: key}, ops.CodeFileMalformed, garbage, "no certificate"},
		"cert broken":       {ops.TLS{Cert: halfCert, Key: key}, ops.CodeFileMalformed, halfCert, "malformed"},
		"key garbage":       {ops.TLS{Cert: cert, Key: garbage}, ops.CodeFileMalformed, garbage, "no private key"},
		"key encrypted":     {ops.TLS{Cert: cert, Key: encrypted}, ops.CodeFileMalformed, encrypted, "passphrase"},
		"other key":         {ops.TLS{Cert: cert, Key: otherKey}, ops.CodeKeyMismatch, cert, "does not belong to the private key " + otherKey},
		"no key":            {ops.TLS{Cert: cert}, ops.CodeCertWithoutKey, cert, "without its private key"},
		"no certificate":    {ops.TLS{Key: key}, ops.CodeCertWithoutKey, key, "without its certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ops.Dial(t.Context(), ops.Config{Endpoints: []string{"https://" + network.FullBacklog(t)}, TLS: tt.tls})
			hint := wantHint(t, err, tt.code)
			if hint.Class != ops.ClassUsage || hint.Member != tt.file || !strings.Contains(hint.Error(), tt.says) {
				t.Errorf("class %v, file %q, want %q in %v", hint.Class, hint.Member, tt.says, hint)
			}
		})
	}
}

// TestFilesChange wants a certificate that was replaced on disk used for the next connection.
func TestFilesChange(t *testing.T) {
	t.Parallel()
	ca, other := pki.NewCA(t, pki.CAOptions{}), pki.NewCA(t, pki.CAOptions{})
	server := tlsServer(t, ca, pki.CertOptions{}, ca.Pool())
	cert, key := other.Client(t, pki.CertOptions{})
	cfg := ops.Config{Endpoints: []string{tlsServer(t, ca, pki.CertOptions{}, nil)}, TLS: ops.TLS{CACert: ca.CertFile, Cert: cert, Key: key}}
	cluster := dial(t, cfg)
	ctx := clustertest.Context(t, limit)
	_, err := cluster.At(ctx, server)
	wantCode(t, err, ops.CodeClientCertRefused)
	goodCert, goodKey := ca.Client(t, pki.CertOptions{})
	for from, to := range map[string]string{goodCert: cert, goodKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := cluster.At(ctx, server); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
}

// TestDialCost wants one connection to each endpoint and no more, for dialling and all that follows at it.
func TestDialCost(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	var accepted [3]atomic.Int64
	cfg := ops.Config{TLS: ops.TLS{CACert: ca.CertFile}}
	for i := range accepted {
		cfg.Endpoints = append(cfg.Endpoints, serveTLS(t, countingListener{listen(t), &accepted[i]}, ca, pki.CertOptions{}, &tls.Config{}))
	}
	cluster := dial(t, cfg)
	ctx := clustertest.Context(t, limit)
	for range 2 {
		for _, endpoint := range cfg.Endpoints {
			client, err := cluster.At(ctx, endpoint)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Status(ctx, endpoint)
			wantCode(t, cluster.Explain(ctx, "ask", endpoint, err), ops.CodeNotEtcd) // it is a gRPC server with no service
		}
	}
	for i := range accepted {
		if n := accepted[i].Load(); n != 1 {
			t.Errorf("endpoint %d was connected to %d times", i, n)
		}
	}
}

// countingListener counts what it accepts.
type countingListener struct {
	net.Listener
	accepted *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

func dial(t *testing.T, cfg ops.Config) *ops.Cluster {
	t.Helper()
	cluster, err := ops.Dial(clustertest.Context(t, limit), cfg)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return cluster
}

// wantCode wants a *HintError of that code.
func wantCode(t *testing.T, err error, code ops.Code) {
	t.Helper()
	_ = wantHint(t, err, code)
}

// wantHint is wantCode for tests that look closer.
func wantHint(t *testing.T, err error, code ops.Code) *ops.HintError {
	t.Helper()
	var hint *ops.HintError
	if !errors.As(err, &hint) {
		t.Fatalf("no *HintError but: %v", err)
	}
	if got := ops.CodeOf(err); got != code {
		t.Fatalf("code %s, want %s: %v", got, code, err)
	}
	return hint
}

// closedPort is an address of loopback where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l := listen(t)
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// listener serves connections that say hello and end, or are left open in silence when hello is nil.
func listener(t *testing.T, hello []byte) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if hello != nil {
				_, _ = conn.Write(hello)
				_ = conn.(*net.TCPConn).CloseWrite()
				go func() { _, _ = conn.Read(make([]byte, 1<<10)); _ = conn.Close() }()
				continue
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return l.Addr().String()
}

// tlsServer is a gRPC server with a certificate of ca's; it demands one of clients when clientCAs is given.
func tlsServer(t *testing.T, ca *pki.CA, opts pki.CertOptions, clientCAs *x509.CertPool) string {
	t.Helper()
	return serveTLS(t, listen(t), ca, opts, &tls.Config{ClientCAs: clientCAs})
}

func oldTLSServer(t *testing.T, ca *pki.CA) string {
	t.Helper()
	return serveTLS(t, listen(t), ca, pki.CertOptions{}, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
}

// halfRenewedServer has a certificate and a key that do not belong together, read at each handshake, as etcd does.
func halfRenewedServer(t *testing.T, ca *pki.CA) string {
	t.Helper()
	cert, _ := ca.Server(t, pki.CertOptions{})
	_, key := ca.Server(t, pki.CertOptions{})
	return serveTLS(t, listen(t), ca, pki.CertOptions{}, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		_, err := tls.LoadX509KeyPair(cert, key)
		return nil, err
	}})
}

func serveTLS(t *testing.T, l net.Listener, ca *pki.CA, opts pki.CertOptions, cfg *tls.Config) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(ca.Server(t, opts))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	if cfg.ClientCAs != nil {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(cfg)))
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return "https://" + l.Addr().String()
}
