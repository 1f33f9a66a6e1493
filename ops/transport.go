package ops

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// errNotHTTP2 ends a connection whose first bytes are no HTTP/2 frame.
var errNotHTTP2 = errors.New("the answer is not HTTP/2")

// transport opens connections for gRPC in stages that are recorded as they pass, so that a failure can be told without
// connecting a second time, and success costs nothing extra.
type transport struct {
	files   *tlsFiles
	timeout time.Duration // of each stage
	pending sync.Map      // net.Conn -> *attempt, between dialling and the handshake: gRPC wants the bare connection
}

// dial opens the connection of one attempt.
func (t *transport) dial(ctx context.Context, a *attempt) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { a.enter(StageDNS) },
		ConnectStart: func(string, string) { a.enter(StageTCP) },
	})
	var d net.Dialer
	conn, err := d.DialContext(ctx, a.ep.network, a.ep.address)
	if err != nil {
		a.settle(err)
		return nil, err
	}
	t.pending.Store(conn, a)
	return conn, nil
}

// ClientHandshake implements credentials.TransportCredentials: TLS where the endpoint wants it, and in either case an
// eye on the server's first answer.
func (t *transport) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	v, ok := t.pending.LoadAndDelete(raw)
	if !ok {
		return nil, nil, errors.New("a connection that was not dialled here")
	}
	a := v.(*attempt)
	if !a.ep.secure {
		a.enter(StageHTTP2)
		return &observedConn{Conn: raw, attempt: a}, plainInfo{}, nil
	}
	a.enter(StageTLS)
	conn, err := t.handshake(ctx, a, raw)
	if err != nil {
		a.settle(err)
		return nil, nil, err
	}
	a.enter(StageHTTP2)
	info := credentials.TLSInfo{
		State:          conn.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}
	return &observedConn{Conn: conn, attempt: a}, info, nil
}

func (t *transport) handshake(ctx context.Context, a *attempt, raw net.Conn) (*tls.Conn, error) {
	cfg, err := t.files.config(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	conn := tls.Client(raw, cfg)
	err = conn.HandshakeContext(ctx)
	var bad *tls.CertificateVerificationError
	switch {
	case errors.As(err, &bad):
		a.setChain(bad.UnverifiedCertificates)
		return nil, err
	case err != nil:
		return nil, err
	}
	a.setChain(conn.ConnectionState().PeerCertificates)
	return conn, nil
}

// ServerHandshake implements credentials.TransportCredentials; there is no server here.
func (t *transport) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("clients only")
}

// clientCreds hands a transport to gRPC for endpoints that all speak TLS, or all do not.
type clientCreds struct {
	*transport
	secure bool
}

// Info implements credentials.TransportCredentials; gRPC derives the :scheme header from it.
func (c clientCreds) Info() credentials.ProtocolInfo {
	if c.secure {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

// Clone implements credentials.TransportCredentials; the state is shared by design.
func (c clientCreds) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials; names come from endpoints and TLS.ServerName.
func (c clientCreds) OverrideServerName(string) error { return nil }

// plainInfo marks a connection without TLS.
type plainInfo struct{}

// AuthType implements credentials.AuthInfo.
func (plainInfo) AuthType() string { return "plain" }

// GetCommonAuthInfo tells gRPC that the connection is not private.
func (plainInfo) GetCommonAuthInfo() credentials.CommonAuthInfo {
	return credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}
}

// observedConn settles its attempt with the server's first bytes. In TLS 1.3 a server refuses a client's certificate
// only after the client's handshake is over: the refusal arrives here, in the first read.
type observedConn struct {
	net.Conn
	attempt  *attempt
	answered atomic.Bool
}

// Read implements net.Conn.
func (c *observedConn) Read(b []byte) (int, error) {
	if c.answered.Load() {
		return c.Conn.Read(b)
	}
	if err := c.SetReadDeadline(time.Now().Add(c.attempt.timeout)); err != nil {
		c.attempt.settle(err)
		return 0, err
	}
	n, err := c.Conn.Read(b)
	head := c.attempt.addHead(b[:n])
	switch {
	case len(head) >= minFrameHead && !isSettings(head):
		c.attempt.settle(errNotHTTP2)
		return n, errNotHTTP2
	case len(head) >= minFrameHead:
		c.answered.Store(true)
		c.attempt.settle(nil)
		if err == nil {
			err = c.SetReadDeadline(time.Time{})
		}
	case err != nil:
		c.attempt.settle(err)
	}
	return n, err
}

// Write implements net.Conn. A server that refuses this client closes the connection right after it has said why, and
// the first write may find it closed before the first read has found the reason: so the reason is read here.
func (c *observedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.answered.Load() {
		_, _ = c.Read(make([]byte, headSize)) // settles the attempt; the connection is lost in any case
	}
	return n, err
}

// Close implements net.Conn.
func (c *observedConn) Close() error {
	c.attempt.settle(net.ErrClosed)
	c.attempt.setGone()
	return c.Conn.Close()
}

// minFrameHead is the length of an HTTP/2 frame's header up to its type; the first frame of a server is SETTINGS
// (RFC 9113, section 3.4).
const minFrameHead = 4

func isSettings(head []byte) bool { return head[0] == 0 && head[3] == 0x04 }
