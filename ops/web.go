package ops

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
)

// Fetch reads a page that a member serves beside gRPC, such as /metrics, over HTTP/1.1 and a connection of its own, with
// the Cluster's certificates and without any proxy. The connection is made at once, the request is sent when after is
// closed. read gets the body, of which limit bytes are the most: a longer one is an error. Users and tokens are not sent.
// Errors are the transport's: a caller that has the endpoint's connection knows more.
func (c *Cluster) Fetch(ctx context.Context, after <-chan struct{}, endpoint, path string, limit int64, read func(io.Reader) error) error {
	ep, err := parseEndpoint(endpoint, c.cfg.TLS.Enabled())
	if err != nil {
		return err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dialWeb(ctx, ep, after) }
	web := &http.Transport{
		DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true, DisableCompression: isLoopback(ep.address),
		MaxResponseHeaderBytes: 64 << 10,
	}
	defer web.CloseIdleConnections()
	url := "http://" + ep.host() + path
	if ep.secure {
		url = "https://" + ep.host() + path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := web.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, resp.Status)
	}
	body := &boundedReader{r: resp.Body, left: limit}
	return read(body)
}

// dialWeb connects for HTTP/1.1 and waits.
func (c *Cluster) dialWeb(ctx context.Context, ep endpoint, after <-chan struct{}) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, ep.network, ep.address)
	if err != nil {
		return nil, err
	}
	if ep.secure {
		cfg, err := c.transport.files.config(newAttempt(ep, c.transport.timeout))
		if err == nil {
			cfg.NextProtos = []string{"http/1.1"}
			secure := tls.Client(conn, cfg)
			err = secure.HandshakeContext(ctx)
			conn = secure
		}
		if err != nil {
			_ = conn.Close() // the first error tells more
			return nil, err
		}
	}
	select {
	case <-after:
	case <-ctx.Done():
	}
	return conn, ctx.Err()
}

// host is what a URL and its Host header name.
func (e endpoint) host() string {
	if e.network == "unix" {
		return "localhost"
	}
	return e.address
}

// isLoopback reports whether packing would cost more than it saves.
func isLoopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsLoopback()
}

// boundedReader fails where io.LimitReader would let a body look complete.
type boundedReader struct {
	r    io.Reader
	left int64
}

var errTooLong = errors.New("the answer is longer than any honest one")

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// Handshake makes a TLS connection to an https URL of any kind, also of a peer, and returns the certificates that the
// server showed, unverified, its own first. The client certificate is offered, because servers log those who offer none.
// Nothing is sent over the connection. Certificates that came before an error are returned beside it.
func (c *Cluster) Handshake(ctx context.Context, url string) ([]*x509.Certificate, error) {
	ep, err := parseEndpoint(url, true)
	if err != nil {
		return nil, err
	}
	if !ep.secure {
		return nil, errors.New("it has no TLS")
	}
	cfg, err := c.transport.files.config(newAttempt(ep, c.transport.timeout))
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	cfg.InsecureSkipVerify = true // looked at, not trusted
	cfg.NextProtos = nil
	cfg.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		for _, der := range raw {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			chain = append(chain, cert)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.transport.timeout)
	defer cancel()
	d := tls.Dialer{Config: cfg}
	conn, err := d.DialContext(ctx, ep.network, ep.address)
	if err != nil {
		return chain, err
	}
	return chain, conn.Close()
}

// AsksForCertificate reports whether the endpoint asked for a client certificate in the latest handshake.
func (c *Cluster) AsksForCertificate(endpoint string) bool {
	l := c.known(endpoint)
	if l == nil {
		return false
	}
	a, _ := l.record()
	if a == nil {
		return false
	}
	_, asked, _, _ := a.snapshot()
	return asked
}
