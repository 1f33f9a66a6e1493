package v2keys

import (
	"fmt"
	"path"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// view is what was read of the store for a request: the nodes on the way to its path and the node itself.
type view struct {
	index    uint64           // the revision that it was read at
	nodes    map[string]*node // by path; what does not exist is missing
	children bool             // the node has children; read only where it matters
}

// change is what a write does, once its guards have held.
type change struct {
	action  string
	path    string
	seen    uint64           // the revision of the state that was decided on
	guards  map[string]int64 // by path: the revision that the node must still have, 0: absent
	vacant  string           // nothing may stand below this path: what an expired directory left has to be swept first
	emptied string           // the directory that must still have no children
	puts    []put            // directories on the way first, then the node
	remove  bool             // remove the node
	below   bool             // remove all below it too
	lease   int64            // the lease that the node had and now has no more
	expires time.Time        // zero: without lease
	ttl     int64

	node, prev *v2store.NodeExtern // indices that are 0 become this write's
}

// put is a node to be written.
type put struct {
	path  string
	head  envelope
	value string
}

// find walks to p as the old store does: the first thing that is missing or no directory is the error.
func (v *view) find(p string) (*node, *v2error.Error) {
	if p == "/" {
		return &node{path: "/", dir: true}, nil
	}
	parent := &node{path: "/", dir: true}
	for _, at := range ancestors(p) {
		if !parent.dir {
			return nil, v2error.NewError(v2error.EcodeNotDir, parent.path, v.index)
		}
		n := v.nodes[at]
		if n == nil {
			return nil, v2error.NewError(v2error.EcodeKeyNotFound, at, v.index)
		}
		parent = n
	}
	return parent, nil
}

// decide turns a write into a change of what was seen, or into the error that the old store gives. It is pure.
func (r *request) decide(v *view, now time.Time) (*change, *v2error.Error) {
	compares := r.prevIndex > 0 || r.prevValue != ""
	switch {
	case r.method == "POST":
		return r.create(v, v2store.Create)
	case r.method == "DELETE" && compares:
		return r.compareAndDelete(v, now)
	case r.method == "DELETE":
		return r.delete(v, now)
	case r.prevExist != nil && !*r.prevExist:
		return r.create(v, v2store.Create)
	case compares:
		return r.compareAndSwap(v, now)
	case r.prevExist != nil:
		return r.update(v, now)
	}
	return r.set(v, now)
}

// operation names the request for statistics.
func (r *request) operation() string {
	compares := r.prevIndex > 0 || r.prevValue != ""
	switch {
	case r.method == "POST", r.method == "PUT" && r.prevExist != nil && !*r.prevExist:
		return v2store.Create
	case r.method == "DELETE" && compares:
		return v2store.CompareAndDelete
	case r.method == "DELETE":
		return v2store.Delete
	case r.method == "PUT" && compares:
		return v2store.CompareAndSwap
	case r.method == "PUT" && r.prevExist != nil:
		return v2store.Update
	case r.method == "PUT":
		return v2store.Set
	}
	return v2store.Get
}

func (r *request) set(v *view, now time.Time) (*change, *v2error.Error) {
	n, err := v.find(r.path)
	if err != nil && (err.ErrorCode != v2error.EcodeKeyNotFound || r.refresh) {
		return nil, err
	}
	if n != nil && r.refresh {
		r.value = n.value
	}
	if err := r.writable(v); err != nil {
		return nil, err
	}
	if n == nil {
		return r.create(v, v2store.Set)
	}
	if n.dir {
		return nil, v2error.NewError(v2error.EcodeNotFile, r.path, v.index)
	}
	c := r.change(v, v2store.Set)
	c.prev, c.lease = n.extern(now), n.lease
	r.write(c, envelope{Dir: r.dir, Refresh: r.refresh}, r.value)
	return c, nil
}

// create makes a node that must not exist, and the directories on the way.
func (r *request) create(v *view, action string) (*change, *v2error.Error) {
	if err := r.writable(v); err != nil {
		return nil, err
	}
	c := r.change(v, action)
	for _, dir := range ancestors(path.Dir(r.path)) {
		switch n := v.nodes[dir]; {
		case n == nil:
			c.vacate(dir)
			c.puts = append(c.puts, put{path: dir, head: envelope{Dir: true}})
		case !n.dir:
			return nil, v2error.NewError(v2error.EcodeNotDir, dir, v.index)
		}
	}
	if c.vacant == "" && v.nodes[r.path] != nil {
		return nil, v2error.NewError(v2error.EcodeNodeExist, r.path, v.index)
	}
	c.vacate(r.path)
	r.write(c, envelope{Dir: r.dir, Refresh: r.refresh && action == v2store.Set}, r.value)
	return c, nil
}

// update changes value and ttl of a file, or the ttl of a directory.
func (r *request) update(v *view, now time.Time) (*change, *v2error.Error) {
	if err := r.writable(v); err != nil {
		return nil, err
	}
	n, err := v.find(r.path)
	if err != nil {
		return nil, err
	}
	if n.dir && r.value != "" {
		return nil, v2error.NewError(v2error.EcodeNotFile, r.path, v.index)
	}
	c := r.change(v, v2store.Update)
	c.prev, c.lease = n.extern(now), n.lease
	head := envelope{Dir: n.dir, Created: n.created, Refresh: r.refresh}
	value := r.value
	if n.dir {
		head.Modified = n.modified // the old store says one thing in the answer and keeps another
	}
	if r.refresh {
		value = n.value
	}
	r.write(c, head, value)
	return c, nil
}

func (r *request) compareAndSwap(v *view, now time.Time) (*change, *v2error.Error) {
	if err := r.writable(v); err != nil {
		return nil, err
	}
	n, err := r.compared(v)
	if err != nil {
		return nil, err
	}
	value := r.value
	if r.refresh {
		value = n.value
	}
	c := r.change(v, v2store.CompareAndSwap)
	c.prev, c.lease = n.extern(now), n.lease
	r.write(c, envelope{Created: n.created, Refresh: r.refresh}, value)
	return c, nil
}

func (r *request) compareAndDelete(v *view, now time.Time) (*change, *v2error.Error) {
	n, err := r.compared(v)
	if err != nil {
		return nil, err
	}
	return r.removal(v, n, v2store.CompareAndDelete, now), nil
}

func (r *request) delete(v *view, now time.Time) (*change, *v2error.Error) {
	if err := r.writable(v); err != nil {
		return nil, err
	}
	n, err := v.find(r.path)
	if err != nil {
		return nil, err
	}
	if n.dir && !r.dir && !r.recursive {
		return nil, v2error.NewError(v2error.EcodeNotFile, r.path, v.index)
	}
	if n.dir && v.children && !r.recursive {
		return nil, v2error.NewError(v2error.EcodeDirNotEmpty, r.path, v.index)
	}
	c := r.removal(v, n, v2store.Delete, now)
	c.below = n.dir && r.recursive
	if n.dir && !r.recursive {
		c.emptied = r.path
	}
	return c, nil
}

// writable refuses to write the root.
func (r *request) writable(v *view) *v2error.Error {
	if r.path == "/" {
		return v2error.NewError(v2error.EcodeRootROnly, "/", v.index)
	}
	return nil
}

// compared finds the file that prevValue and prevIndex speak of, and compares.
func (r *request) compared(v *view) (*node, *v2error.Error) {
	n, err := v.find(r.path)
	if err != nil {
		return nil, err
	}
	if n.dir {
		cause := r.path
		if cause == "/" {
			cause = ""
		}
		return nil, v2error.NewError(v2error.EcodeNotFile, cause, v.index)
	}
	value := r.prevValue == "" || r.prevValue == n.value
	index := r.prevIndex == 0 || r.prevIndex == n.modified
	var cause string
	switch {
	case value && index:
		return n, nil
	case value:
		cause = fmt.Sprintf("[%v != %v]", r.prevIndex, n.modified)
	case index:
		cause = fmt.Sprintf("[%v != %v]", r.prevValue, n.value)
	default:
		cause = fmt.Sprintf("[%v != %v] [%v != %v]", r.prevValue, n.value, r.prevIndex, n.modified)
	}
	return nil, v2error.NewError(v2error.EcodeTestFailed, cause, v.index)
}

// change begins a change that holds as long as what was seen on the way has not changed.
func (r *request) change(v *view, action string) *change {
	c := &change{action: action, path: r.path, seen: v.index, guards: map[string]int64{}}
	for _, at := range ancestors(r.path) {
		n := v.nodes[at]
		if n == nil {
			c.guards[at] = 0
			break // nothing can stand below
		}
		c.guards[at] = n.version
	}
	return c
}

// vacate remembers the topmost path that is new.
func (c *change) vacate(p string) {
	if c.vacant == "" {
		c.vacant = p
	}
}

// write adds the node itself to the change.
func (r *request) write(c *change, head envelope, value string) {
	head.Action = c.action
	c.node = &v2store.NodeExtern{Key: r.path, Dir: head.Dir, CreatedIndex: head.Created}
	if !head.Dir {
		c.node.Value = &value
	} else {
		value = ""
	}
	if !r.expires.IsZero() {
		head.Expires, head.TTL = r.expires.UnixNano(), r.ttl
		c.expires, c.ttl = r.expires, r.ttl
		c.node.Expiration, c.node.TTL = &c.expires, r.ttl
	}
	c.puts = append(c.puts, put{path: r.path, head: head, value: value})
}

// removal is a change that removes a node.
func (r *request) removal(v *view, n *node, action string, now time.Time) *change {
	c := r.change(v, action)
	c.remove, c.lease = true, n.lease
	c.prev = n.extern(now)
	c.node = &v2store.NodeExtern{Key: r.path, Dir: n.dir, CreatedIndex: n.created}
	return c
}
