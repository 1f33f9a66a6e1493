package v2keys

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// get answers with a node, and a directory's children, of one revision. The answer is written while it is read: a tree of
// any size takes the memory of a page. Only ctx ends the listing, limit is for what comes before.
func (s *store) get(ctx, limit context.Context, r *request, who *user, out *answer) error {
	for {
		err := s.tryGet(ctx, limit, r, who, out)
		if !errors.Is(err, mvcc.ErrCompacted) || out.sent { // while the listing was being read: begin again
			return err
		}
	}
}

func (s *store) tryGet(ctx, limit context.Context, r *request, who *user, out *answer) error {
	v, err := s.see(limit, r)
	if err != nil {
		return err
	}
	n, refused := v.find(r.path)
	if refused != nil {
		return refused
	}
	if n.dir {
		if err := who.read(r.path, true); err != nil {
			return err
		}
	}
	from, end := subtree(r.path)
	l := &listing{
		out: out, recursive: r.recursive, now: time.Now(), top: r.path,
		pages: &pages{store: s, revision: int64(v.index), from: from, to: from, end: end, check: who.stillMay},
	}
	out.begin(v.index)
	return l.document(ctx, n)
}

// see reads the nodes on the way to a path and the revision that they are of.
func (s *store) see(ctx context.Context, r *request) (*view, error) {
	var options []clientv3.OpOption
	if !r.quorum {
		options = append(options, clientv3.WithSerializable())
	}
	var ops []clientv3.Op
	for _, p := range ancestors(r.path) {
		ops = append(ops, clientv3.OpGet(Key(p), options...))
	}
	if len(ops) == 0 { // the root has no key; what is read confirms the revision
		ops = append(ops, clientv3.OpGet(Key("/"), append(options, clientv3.WithKeysOnly())...))
	}
	resp, err := s.txn(ctx, nil, ops)
	if err != nil {
		return nil, err
	}
	return newView(resp.Header.Revision, r.path, resp.Responses)
}

// listing writes the answer to a GET.
type listing struct {
	out       io.Writer
	pages     *pages
	top       string // the path that was asked for
	recursive bool
	now       time.Time
}

// document writes the whole answer.
func (l *listing) document(ctx context.Context, n *node) error {
	if err := l.text(`{"action":"` + v2store.Get + `","node":`); err != nil {
		return err
	}
	if err := l.node(ctx, n); err != nil {
		return err
	}
	return l.text("}\n")
}

// node writes a node, a directory's children between its other fields.
func (l *listing) node(ctx context.Context, n *node) error {
	shown := n.extern(l.now)
	shown.ModifiedIndex, shown.CreatedIndex = 0, 0
	head, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	if err := l.text(strings.TrimSuffix(string(head), "}")); err != nil {
		return err
	}
	if n.dir && (l.recursive || n.path == l.top) {
		if err := l.children(ctx, n.path); err != nil {
			return err
		}
	}
	var tail []byte
	if n.modified != 0 { // the root has no indexes
		tail = strconv.AppendUint(append(tail, `,"modifiedIndex":`...), n.modified, 10)
		tail = strconv.AppendUint(append(tail, `,"createdIndex":`...), n.created, 10)
	}
	return l.text(string(tail) + "}")
}

// children writes the nodes below a directory as its field, unless there is none.
func (l *listing) children(ctx context.Context, dir string) error {
	before := `,"nodes":[`
	from, end := subtree(dir)
	for {
		kv, err := l.pages.first(ctx, from, end)
		if err != nil {
			return err
		}
		if kv == nil {
			break
		}
		var shown bool
		if shown, from, err = l.child(ctx, dir, kv, before); err != nil {
			return err
		}
		if shown {
			before = ","
		}
	}
	if before == "," {
		return l.text("]")
	}
	return nil
}

// child writes the node of a key below a directory, after before, if it is to be shown, and tells where its next sibling is
// at the earliest. Keys that are further below have been shown with their own directory, or expired with it.
func (l *listing) child(ctx context.Context, dir string, kv *mvccpb.KeyValue, before string) (shown bool, next string, err error) {
	p := strings.TrimPrefix(string(kv.Key), nodePrefix)
	if at := childOf(dir, p); at != p {
		_, next = subtree(at)
		return false, next, nil
	}
	next = string(kv.Key) + "\x00"
	if hidden(p) {
		return false, next, nil
	}
	n, err := decode(kv)
	if err != nil {
		return false, "", err
	}
	if n.dir && l.recursive {
		// Names like "a-b" stand between "a" and "a/". Mostly there are none, and it need not be read again.
		below, past := subtree(p)
		between, err := l.pages.first(ctx, next, below)
		if err != nil {
			return false, "", err
		}
		if between == nil {
			next = past
		}
	}
	if err := l.text(before); err != nil {
		return false, "", err
	}
	return true, next, l.node(ctx, n)
}

// childOf is the path of dir's child that p is or stands below.
func childOf(dir, p string) string {
	start := len(strings.TrimSuffix(dir, "/")) + 1
	if i := strings.IndexByte(p[start:], '/'); i >= 0 {
		return p[:start+i]
	}
	return p
}

func (l *listing) text(s string) error {
	_, err := io.WriteString(l.out, s)
	return err
}

// refuse is an error of v2 without a cause.
func refuse(code int, cause string) error { return v2error.NewError(code, cause, 0) }
