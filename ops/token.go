package ops

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const authenticateMethod = "/etcdserverpb.Auth/Authenticate"

// freshToken is the age up to which a token is taken to live: --auth-token-ttl counts whole seconds. A member that
// refuses a younger one has not applied the authentication yet, which can take it a heartbeat.
const freshToken = time.Second

// firstPause is the first of the pauses, each twice the one before, that give such a member time.
const firstPause = 5 * time.Millisecond

// tokenSource holds the one token of a Cluster: each Authenticate is a raft proposal and a slow hash on the server, and
// every member honours the same token. It renews the token when the server no longer does.
type tokenSource struct {
	auth    Auth
	timeout time.Duration // of one Authenticate

	renewing sync.Mutex // held while authenticating, so that many requests renew once

	mu      sync.Mutex
	token   string
	since   time.Time // when the token was got
	known   bool      // authenticated, or found that authentication is off
	refused error     // the user or password is wrong: asking again would only lock more of the server's time
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
	if err := t.renew(ctx, l.conn, token); err != nil {
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
	resp, err := t.authenticate(ctx, cc)
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
	t.token, t.known, t.since = resp.Token, true, time.Now()
	return nil
}

// elections is how many changes of the leader a login survives. A login has no effect that could be made twice.
const elections = 3

// authenticate asks again when the leader that was to confirm it lost its office meanwhile: its successor is there already.
func (t *tokenSource) authenticate(ctx context.Context, cc *grpc.ClientConn) (resp *pb.AuthenticateResponse, err error) {
	for range elections {
		resp, err = pb.NewAuthClient(cc).Authenticate(ctx, &pb.AuthenticateRequest{Name: t.auth.User, Password: t.auth.Password})
		if err = rpctypes.Error(err); !errors.Is(err, rpctypes.ErrLeaderChanged) {
			return resp, err
		}
	}
	return resp, err
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

// unary renews a stale token and repeats the request; the server refused it before doing anything.
func (t *tokenSource) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	for pause := firstPause; ; pause *= 2 {
		token, _, old := t.state()
		err := invoke(ctx, method, req, reply, cc, opts...)
		switch {
		case method == authenticateMethod, !t.stale(err):
			return err
		case old || token == "":
			if err := t.renew(ctx, cc, token); err != nil {
				return err
			}
		case pause > freshToken/4: // long enough: it is not the member that lags
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// stream opens a stream with a token that lives. A refusal of an old one would come in the stream's messages, where a
// watch ends of it; streams that only the server writes are repeated by clientv3.
func (t *tokenSource) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	token, known, old := t.state()
	if t.auth.User != "" && (!known || old && desc.ClientStreams) {
		if err := t.renew(ctx, cc, token); err != nil {
			return nil, err
		}
		token, _ = t.current()
	}
	s, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &tokenStream{ClientStream: s, source: t, token: token}, nil
}

// state returns the token, whether the user has been authenticated, and whether the token may have died since.
func (t *tokenSource) state() (token string, known, old bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token, t.known, t.token != "" && time.Since(t.since) > freshToken
}

// forget drops a token that the server does not honour, unless it is new or was replaced meanwhile.
func (t *tokenSource) forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token && time.Since(t.since) > freshToken {
		t.token, t.known = "", false
	}
}

// tokenStream watches a stream for the refusal of its token.
type tokenStream struct {
	grpc.ClientStream
	source *tokenSource
	token  string
}

// RecvMsg implements grpc.ClientStream. A watch is refused in an ordinary message, of which clientv3 would end it; told
// that the stream broke, it opens another, with a token that lives.
func (s *tokenStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if w, ok := m.(*pb.WatchResponse); err == nil && ok && w.Canceled && s.source.auth.User != "" &&
		w.CancelReason == rpctypes.ErrGRPCInvalidAuthToken.Error() {
		s.source.forget(s.token)
		return status.Error(codes.Unavailable, w.CancelReason)
	}
	if s.source.stale(err) {
		s.source.forget(s.token)
	}
	return err
}
