package v2keys

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"google.golang.org/grpc/metadata"
)

// access answers for v3's users and roles, which do not see these requests: they reach the store with root's rights.
type access struct {
	member *etcdserver.EtcdServer
	secret [32]byte      // of this process, so that no hash of a password is worth stealing
	turns  chan struct{} // comparing a password is slow by design

	mu    sync.Mutex
	known map[[32]byte]uint64 // user and password -> the revision of the users that they were right at
}

const (
	maxKnown     = 4096 // logins that are remembered
	maxComparing = 4    // passwords that are compared at once
)

func newAccess(member *etcdserver.EtcdServer) *access {
	a := &access{member: member, turns: make(chan struct{}, maxComparing), known: map[[32]byte]uint64{}}
	_, _ = rand.Read(a.secret[:]) // never fails
	return a
}

// user is who a request speaks for; nil while v3 asks for no users.
type user struct {
	info  *auth.AuthInfo
	store auth.AuthStore
}

// unauthorized is the one answer to all that is not allowed.
func unauthorized() error {
	return refuse(v2error.EcodeUnauthorized, "Insufficient credentials")
}

// login finds out who the request speaks for.
func (a *access) login(ctx context.Context, r *http.Request) (*user, error) {
	users := a.member.AuthStore()
	if !users.IsAuthEnabled() {
		return nil, nil //nolint:nilnil // nobody is asked
	}
	name, password, given := r.BasicAuth()
	if !given || name == "" {
		return nil, unauthorized()
	}
	key := a.key(name, password)
	revision := users.Revision()
	a.mu.Lock()
	right := a.known[key] == revision
	a.mu.Unlock()
	if right {
		return &user{info: &auth.AuthInfo{Username: name, Revision: revision}, store: users}, nil
	}
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	revision, err := users.CheckPassword(name, password)
	switch {
	case errors.Is(err, auth.ErrAuthNotEnabled):
		return nil, nil //nolint:nilnil // turned off meanwhile
	case err != nil:
		return nil, unauthorized()
	}
	a.remember(key, revision)
	return &user{info: &auth.AuthInfo{Username: name, Revision: revision}, store: users}, nil
}

func (a *access) key(name, password string) (key [32]byte) {
	h := hmac.New(sha256.New, a.secret[:])
	h.Write([]byte(name + "\x00" + password))
	return [32]byte(h.Sum(nil))
}

func (a *access) remember(key [32]byte, revision uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxKnown {
		clear(a.known)
	}
	a.known[key] = revision
}

// read asks for the right to read a node, and all below it.
func (u *user) read(p string, below bool) error {
	if u == nil {
		return nil
	}
	if p != "/" && u.store.IsRangePermitted(u.info, []byte(Key(p)), nil) != nil {
		return unauthorized()
	}
	if from, end := subtree(p); below && u.store.IsRangePermitted(u.info, []byte(from), []byte(end)) != nil {
		return unauthorized()
	}
	return nil
}

// write asks for the right to write a node, and all below it. The answer shows what was there before: reading is needed
// too.
func (u *user) write(p string, below bool) error {
	if u == nil {
		return nil
	}
	if u.store.IsPutPermitted(u.info, []byte(Key(p))) != nil {
		return unauthorized()
	}
	if from, end := subtree(p); below && u.store.IsDeleteRangePermitted(u.info, []byte(from), []byte(end)) != nil {
		return unauthorized()
	}
	return u.read(p, below)
}

// admin asks for root's rights.
func (u *user) admin() error {
	if u == nil || u.store.IsAdminPermitted(u.info) == nil {
		return nil
	}
	return unauthorized()
}

// rootContext gives requests to v3 root's token while v3 asks for one.
type rootContext struct {
	member *etcdserver.EtcdServer

	mu    sync.Mutex
	md    metadata.MD
	until time.Time
}

// tokenLife is less than the shortest life that tokens are given by default.
const tokenLife = time.Minute

func (c *rootContext) with(ctx context.Context) context.Context {
	if !c.member.AuthStore().IsAuthEnabled() {
		return ctx
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.md == nil || time.Now().After(c.until) {
		c.md, _ = metadata.FromIncomingContext(c.member.AuthStore().WithRoot(ctx))
		c.until = time.Now().Add(tokenLife)
	}
	return metadata.NewIncomingContext(ctx, c.md)
}

// stale reports whether v3 refused a request because of its token alone, and forgets that.
func (c *rootContext) stale(err error) bool {
	if !errors.Is(err, rpctypes.ErrInvalidAuthToken) && !errors.Is(err, rpctypes.ErrAuthOldRevision) && !errors.Is(err, rpctypes.ErrUserEmpty) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.md = nil
	return true
}

// current reports whether nothing about users and roles has changed since the rights were asked for.
func (u *user) current() bool {
	return u == nil || u.store.Revision() == u.info.Revision
}

// stillMay refuses to go on with what was begun with rights that may have changed.
func (u *user) stillMay() error {
	if !u.current() {
		return unauthorized()
	}
	return nil
}
