package ops

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
)

// secondLook bounds the connection that is opened to explain a failure.
const secondLook = time.Second

// unravel explains a connection that was closed without a word: it asks once more in the other language. etcd itself
// closes plain connections to its TLS port, and TLS connections to its plain port, in silence.
func (e evidence) unravel(ctx context.Context) *HintError {
	ctx, cancel := context.WithTimeout(ctx, secondLook)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, e.ep.network, e.ep.address)
	if err != nil {
		return e.diagnose()
	}
	defer func() { _ = conn.Close() }() // nothing depends on it
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // without it the context still bounds the handshake
	}
	switch {
	case e.ep.secure && e.stage == StageTLS && speaksPlain(conn):
		return e.plainServer()
	case !e.ep.secure && speaksTLS(ctx, conn):
		return e.fault(CodeTLSServer, "the server speaks TLS and this client does not", "use https://"+e.ep.address)
	}
	return e.diagnose()
}

// speaksTLS offers a handshake. Nothing is sent over it and its outcome is not trusted, so nothing is verified.
func speaksTLS(ctx context.Context, conn net.Conn) bool {
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // see above
	if err := client.HandshakeContext(ctx); err == nil {
		return true
	} else if _, ok := remoteAlert(err); ok {
		return true
	}
	return false
}

// speaksPlain offers HTTP/2 without TLS.
func speaksPlain(conn net.Conn) bool {
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return false
	}
	if err := http2.NewFramer(conn, conn).WriteSettings(); err != nil {
		return false
	}
	head := make([]byte, 9)
	_, err := io.ReadFull(conn, head)
	return err == nil && isSettings(head)
}
