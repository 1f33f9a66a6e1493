package ops

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

const authenticateMethod = "/etcdserverpb.Auth/Authenticate"

// tokenSource holds the one token of a Cluster: each Authenticate is a raft proposal and a slow hash on the server, and
// every member honours the same token. It renews the token when the server no longer does.
type tokenSource struct {
	auth    Auth
	timeout time.Duration // of one Authenticate

	renewing sync.Mutex // held while authenticating, so that many requests renew once

	mu      sync.Mutex
	token   string
	known   bool  // authenticated, or found that authentication is off
	refused error // the user or password is wrong: asking again would only lock more of the server's time
}

// check refuses credentials that cannot work together.
func (a Auth) check() error {
	switch {
	case a.Token != "" && a.User != "":
		return authUsage("give a user or a token, not both", "drop --user or --auth-jwt-token")
	case a.User != "" && a.Password == "":
		return authUsage("user "+a.User+" has no password", "give it: --password-file FILE (- reads standard input)")
	case a.User == "" && a.Password != "":
		return authUsage("a password without a user", "name the user: --user NAME")
	}
	return nil
}

func authUsage(cause, hint string) error {
	return &HintError{Code: CodeBadCredentials, Class: ClassUsage, Op: "authenticate", Err: errors.New(cause), Hint: hint}
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t *tokenSource) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, _ := t.current()
	if token == "" {
		return nil, nil
	}
	return map[string]string{rpctypes.TokenFieldNameGRPC: token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: etcd takes tokens over plain connections too.
func (t *tokenSource) RequireTransportSecurity() bool { return false }

func (t *tokenSource) current() (token string, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token, t.known
}

// ensure authenticates through l unless that has been done.
func (t *tokenSource) ensure(ctx context.Context, l *link) error {
	token, known := t.current()
	if t.auth.User == "" || known {
		return nil
	}
	if err := t.renew(ctx, l.client.ActiveConnection(), token); err != nil {
		return explainRPC("authenticate as "+t.auth.User+" at", l.ep.text, ctx, t.timeout, err)
	}
	return nil
}

// renew gets a new token unless another request has replaced the old one meanwhile.
func (t *tokenSource) renew(ctx context.Context, cc *grpc.ClientConn, old string) error {
	t.renewing.Lock()
	defer t.renewing.Unlock()
	t.mu.Lock()
	now, known, refused := t.token, t.known, t.refused
	t.mu.Unlock()
	switch {
	case refused != nil:
		return refused
	case known && now != old:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	resp, err := pb.NewAuthClient(cc).Authenticate(ctx, &pb.AuthenticateRequest{Name: t.auth.User, Password: t.auth.Password})
	err = rpctypes.Error(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case errors.Is(err, rpctypes.ErrAuthNotEnabled): // then nobody asks for a token
		t.token, t.known = "", true
		return nil
	case errors.Is(err, rpctypes.ErrAuthFailed):
		t.refused = err
		return err
	case err != nil:
		return err
	}
	t.token, t.known = resp.Token, true
	return nil
}

// stale reports whether err means that a new token may help.
func (t *tokenSource) stale(err error) bool {
	if err == nil || t.auth.User == "" {
		return false
	}
	err = rpctypes.Error(err)
	return errors.Is(err, rpctypes.ErrInvalidAuthToken) || errors.Is(err, rpctypes.ErrAuthOldRevision) ||
		errors.Is(err, rpctypes.ErrUserEmpty)
}

// unary renews a stale token and repeats the request once; the server refused it before doing anything.
func (t *tokenSource) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	token, _ := t.current()
	err := invoke(ctx, method, req, reply, cc, opts...)
	if method == authenticateMethod || !t.stale(err) {
		return err
	}
	if renewErr := t.renew(ctx, cc, token); renewErr != nil {
		return renewErr
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// stream notes that a stream found the token stale, and renews it for the next stream.
func (t *tokenSource) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if token, known := t.current(); t.auth.User != "" && !known {
		if err := t.renew(ctx, cc, token); err != nil {
			return nil, err
		}
	}
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &tokenStream{ClientStream: s, source: t}, nil
}

// forget makes the next stream authenticate again.
func (t *tokenSource) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = false
}

// tokenStream watches a stream for refusals of its token.
type tokenStream struct {
	grpc.ClientStream
	source *tokenSource
}

// RecvMsg implements grpc.ClientStream.
func (s *tokenStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if s.source.stale(err) {
		s.source.forget()
	}
	// A watch is refused in an ordinary message.
	if w, ok := m.(*pb.WatchResponse); err == nil && ok && w.Canceled && s.source.auth.User != "" &&
		strings.Contains(w.CancelReason, rpctypes.ErrInvalidAuthToken.Error()) {
		s.source.forget()
	}
	return err
}
