package v2keys

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// store reads and writes the tree through the member that it runs in.
type store struct {
	member *etcdserver.EtcdServer
	kv     func() mvcc.KV // the member's own, for reading
	client *clientv3.Client
	root   rootContext
	names  nameHints
	locks  *pathLocks

	gate   sync.RWMutex
	closed bool // the member's store may not be read any more; guarded by gate
}

// do runs a write: it reads without asking the other members, decides, and commits only if what it saw still holds. What
// would be an error is decided again on a state that a quorum has confirmed.
func (s *store) do(ctx context.Context, r *request, who *user) (*v2store.Event, error) {
	if r.method != "POST" {
		if err := who.write(r.path, r.method == "DELETE" && (r.dir || r.recursive)); err != nil {
			return nil, err
		}
	}
	unlock, err := s.locks.lock(ctx, r.path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	base := r.path
	for confirmed := false; ; {
		v, err := s.look(ctx, r, base, confirmed)
		if err != nil {
			return nil, err
		}
		c, refused := r.decide(v, time.Now())
		if refused != nil {
			if confirmed {
				return nil, refused
			}
			confirmed = true
			continue
		}
		for _, p := range c.puts {
			if err := who.write(p.path, false); err != nil {
				return nil, err
			}
		}
		event, done, err := s.commit(ctx, r, c)
		if done || err != nil {
			return event, err
		}
		confirmed = true
		if c.vacant != "" {
			if err := s.sweep(ctx, c.vacant); err != nil {
				return nil, err
			}
		}
	}
}

// look reads what decide needs. In-order names are chosen here: behind all that the directory has, and normally the
// revision of the write.
func (s *store) look(ctx context.Context, r *request, base string, confirmed bool) (*view, error) {
	var ops []clientv3.Op
	var options []clientv3.OpOption
	if !confirmed {
		options = append(options, clientv3.WithSerializable())
	}
	for _, p := range ancestors(base) {
		ops = append(ops, clientv3.OpGet(Key(p), options...))
	}
	steps := len(ops)
	probes := r.method == "DELETE" && r.dir && !r.recursive
	if probes {
		from, end := subtree(base)
		ops = append(ops, clientv3.OpGet(from, append(options, clientv3.WithRange(end), clientv3.WithLimit(1), clientv3.WithKeysOnly())...))
	}
	if r.method == "POST" {
		from, end := nameRange(base, s.names.after(base, uint64(s.member.KV().Rev()))+1)
		ops = append(ops, clientv3.OpGet(from, append(options, clientv3.WithRange(end), clientv3.WithKeysOnly())...))
	}
	if len(ops) == 0 {
		return &view{index: uint64(s.member.KV().Rev())}, nil
	}
	resp, err := s.txn(ctx, nil, ops)
	if err != nil {
		return nil, err
	}
	v, err := newView(resp.Header.Revision, base, resp.Responses[:steps])
	if err != nil {
		return nil, err
	}
	if probes {
		v.children = len(resp.Responses[steps].GetResponseRange().Kvs) > 0
	}
	if r.method == "POST" {
		name := s.names.next(base, s.names.after(base, v.index), resp.Responses[len(ops)-1].GetResponseRange().Kvs)
		r.path = cleanPath(fmt.Sprintf("%s/%020d", base, name))
	}
	return v, nil
}

// newView reads the answers of reads of the nodes on the way to a path. What stands below a missing one does not count: it
// was left by a directory that expired, and may be swept at any moment.
func newView(revision int64, p string, answers []*pb.ResponseOp) (*view, error) {
	v := &view{index: uint64(revision), nodes: map[string]*node{}}
	for _, answer := range answers {
		for _, kv := range answer.GetResponseRange().Kvs {
			n, err := decode(kv)
			if err != nil {
				return nil, err
			}
			v.nodes[n.path] = n
		}
	}
	whole := true
	for _, at := range ancestors(p) {
		if whole = whole && v.nodes[at] != nil; !whole {
			delete(v.nodes, at)
		}
	}
	return v, nil
}

// commit tries the change. It is not done when its guards did not hold.
func (s *store) commit(ctx context.Context, r *request, c *change) (*v2store.Event, bool, error) {
	lease := clientv3.NoLease
	if !c.expires.IsZero() {
		granted, err := s.grant(ctx, c.ttl)
		if err != nil {
			return nil, false, err
		}
		lease = granted
	}
	resp, err := s.txn(ctx, guards(r, c), c.ops(lease))
	if err != nil && !refused(err) { // it may be carried out yet: without its lease the key would be gone at once
		return nil, false, err
	}
	if err != nil || !resp.Succeeded {
		s.forget(ctx, lease)
		return nil, false, err
	}
	if c.lease != 0 {
		s.forget(ctx, clientv3.LeaseID(c.lease))
	}
	if lease != clientv3.NoLease && c.ttl == 0 {
		s.forget(ctx, lease) // expires at once
	}
	return c.event(uint64(resp.Header.Revision)), true, nil
}

// guards are the conditions of a change.
func guards(r *request, c *change) []clientv3.Cmp {
	var all []clientv3.Cmp
	for p, version := range c.guards {
		all = append(all, clientv3.Compare(clientv3.ModRevision(Key(p)), "=", version))
	}
	if c.vacant != "" {
		all = append(all, empty(c.vacant))
	}
	if c.emptied != "" {
		all = append(all, empty(c.emptied))
	}
	if r.method == "POST" {
		_, end := nameRange(path.Dir(r.path), 0)
		all = append(all, clientv3.Compare(clientv3.ModRevision(Key(r.path)), "<", int64(c.seen)+1).WithRange(end))
	}
	return all
}

// empty holds when nothing stands below a path.
func empty(p string) clientv3.Cmp {
	from, end := subtree(p)
	return clientv3.Compare(clientv3.CreateRevision(from), "=", 0).WithRange(end)
}

// ops are what a change does. No key is touched twice, which v3 refuses.
func (c *change) ops(lease clientv3.LeaseID) []clientv3.Op {
	var ops []clientv3.Op
	for _, p := range c.puts {
		var options []clientv3.OpOption
		if p.path == c.path && lease != clientv3.NoLease {
			options = append(options, clientv3.WithLease(lease))
		}
		ops = append(ops, clientv3.OpPut(Key(p.path), p.head.encode(p.value), options...))
	}
	if c.remove {
		ops = append(ops, clientv3.OpDelete(Key(c.path)), journalPut(c.action, c.path))
	}
	if c.below {
		from, end := subtree(c.path)
		ops = append(ops, clientv3.OpDelete(from, clientv3.WithRange(end)))
	}
	return ops
}

// event is what the change did at a revision.
func (c *change) event(index uint64) *v2store.Event {
	c.node.ModifiedIndex = index
	if c.node.CreatedIndex == 0 {
		c.node.CreatedIndex = index
	}
	return &v2store.Event{Action: c.action, Node: c.node, PrevNode: c.prev, EtcdIndex: index}
}

// sweep removes what stands below a path that does not exist: a directory expires alone, and nobody sees what it held
// from then on.
func (s *store) sweep(ctx context.Context, dir string) error {
	from, end := subtree(dir)
	left, err := s.txn(ctx, nil, []clientv3.Op{
		clientv3.OpGet(Key(dir), clientv3.WithKeysOnly()),
		clientv3.OpGet(from, clientv3.WithRange(end), clientv3.WithLimit(1), clientv3.WithKeysOnly()),
	})
	if err != nil || len(left.Responses[0].GetResponseRange().Kvs) > 0 || len(left.Responses[1].GetResponseRange().Kvs) == 0 {
		return err
	}
	_, err = s.txn(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(Key(dir)), "=", 0)},
		[]clientv3.Op{clientv3.OpDelete(from, clientv3.WithRange(end)), journalPut(sweep, dir)})
	return err
}

// maxStale is how often a request is tried against users that keep changing.
const maxStale = 8

// txn runs one transaction. When the users have changed meanwhile, or the token for them has ended, nothing was done:
// it is tried again.
func (s *store) txn(ctx context.Context, guards []clientv3.Cmp, ops []clientv3.Op) (*clientv3.TxnResponse, error) {
	for try := 1; ; try++ {
		resp, err := s.client.Txn(s.root.with(ctx)).If(guards...).Then(ops...).Commit()
		if !s.root.stale(err) || try == maxStale {
			return resp, err
		}
	}
}

// grant makes a lease. Servers make short ones longer, about two seconds.
func (s *store) grant(ctx context.Context, ttl int64) (clientv3.LeaseID, error) {
	lease, err := s.client.Grant(s.root.with(ctx), max(1, ttl))
	if err != nil {
		return clientv3.NoLease, err
	}
	return lease.ID, nil
}

// forget revokes a lease that holds nothing, or what is to expire now, without waiting. If it fails, the lease ends by
// itself.
func (s *store) forget(ctx context.Context, lease clientv3.LeaseID) {
	if lease == clientv3.NoLease {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.member.Cfg.ReqTimeout())
		defer cancel()
		_, _ = s.client.Revoke(s.root.with(ctx), lease)
	}()
}

// refused reports whether an error of v3 says for sure that nothing was done.
func refused(err error) bool {
	for _, sure := range []error{
		rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, auth.ErrPermissionDenied, auth.ErrUserEmpty,
		rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge, rpctypes.ErrNoSpace,
	} {
		if errors.Is(err, sure) {
			return true
		}
	}
	return false
}

// asFault turns an error of v3 into one of v2. An answer that did not come in time says nothing about what was done.
func asFault(err error) *v2error.Error {
	var fault *v2error.Error
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.Is(err, rpctypes.ErrPermissionDenied), errors.Is(err, rpctypes.ErrUserEmpty),
		errors.Is(err, auth.ErrPermissionDenied), errors.Is(err, auth.ErrUserEmpty):
		return v2error.NewError(v2error.EcodeUnauthorized, "Insufficient credentials", 0)
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return v2error.NewError(v2error.EcodeInvalidField, "the path is deeper than this cluster takes (--max-txn-ops)", 0)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return v2error.NewError(v2error.EcodeInvalidField, "the value is too large for this cluster (--max-request-bytes)", 0)
	}
	return v2error.NewError(v2error.EcodeRaftInternal, err.Error(), 0)
}

func journalPut(action, p string) clientv3.Op {
	return clientv3.OpPut(journalKey, journal{Action: action, Path: p}.encode())
}

// nameRange covers the in-order names of a directory from a number on: 20 digits, of which the first four are 0.
func nameRange(dir string, from uint64) (first, end string) {
	base := strings.TrimSuffix(nodePrefix+dir, "/") + "/"
	return fmt.Sprintf("%s%020d", base, min(from, math.MaxInt64)), base + "0000:"
}
