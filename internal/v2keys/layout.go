package v2keys

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// Prefix starts every key of v3 that holds something of the old tree.
const Prefix = "etcdops.v2/"

// Keys below Prefix. The watch of all changes is one range: from journalKey to watchEnd.
const (
	journalKey = Prefix + "j"
	nodePrefix = Prefix + "k" // a node's path follows, with its slash
	watchEnd   = Prefix + "k0"
)

// sweep is the journal's word for the removal of what a directory left behind when it expired. It is no event.
const sweep = "sweep"

// envelope is what stands before a node's value, as a line of JSON.
type envelope struct {
	Action   string `json:"a,omitempty"` // what was done to the node; empty: a directory made on the way to another node
	Dir      bool   `json:"d,omitempty"`
	Created  uint64 `json:"c,omitempty"` // createdIndex; 0: the revision of this very write, which it cannot know
	Modified uint64 `json:"m,omitempty"` // modifiedIndex; 0: the revision of this write. An update leaves a directory's alone
	Expires  int64  `json:"e,omitempty"` // Unix time in nanoseconds; 0: never
	TTL      int64  `json:"t,omitempty"` // seconds, as given
	Refresh  bool   `json:"r,omitempty"` // waiters are not told
}

// journal says what removed the nodes that were removed in the same revision; a removal without is a lease's. It is kept as
// two lines, the path as it is: not every path is text that JSON keeps.
type journal struct{ Action, Path string }

// node is a file or directory of the old tree.
type node struct {
	path              string
	value             string
	dir               bool
	created, modified uint64
	expires           time.Time // zero: never
	ttl               int64     // seconds, as given
	action            string
	refresh           bool
	version           int64 // revision of v3; what guards compare
	lease             int64
}

func (j journal) encode() string { return j.Action + "\n" + j.Path }

// decodeJournal reads a journal; what is none tells of no event.
func decodeJournal(value []byte) journal {
	action, p, found := strings.Cut(string(value), "\n")
	if !found || !strings.HasPrefix(p, "/") {
		return journal{Action: sweep}
	}
	return journal{Action: action, Path: p}
}

// Key is the key of v3 that holds the node of a path. Users and roles of v3 grant rights on it.
func Key(nodePath string) string { return nodePrefix + nodePath }

// subtree is the range of keys below a directory.
func subtree(dir string) (from, end string) {
	if dir == "/" {
		return nodePrefix + "/", nodePrefix + "0"
	}
	return nodePrefix + dir + "/", nodePrefix + dir + "0"
}

// cleanPath makes a path of the old tree out of what stands behind /v2/keys.
func cleanPath(p string) string { return path.Clean("/" + p) }

// ancestors lists the paths from below the root down to p itself; the root has none.
func ancestors(p string) []string {
	if p == "/" {
		return nil
	}
	var all []string
	for i := 1; i < len(p); i++ {
		if p[i] == '/' {
			all = append(all, p[:i])
		}
	}
	return append(all, p)
}

// hidden reports whether a listing leaves the node out.
func hidden(p string) bool { return strings.HasPrefix(path.Base(p), "_") }

// encode makes the value of v3.
func (e envelope) encode(value string) string {
	head := make([]byte, 1, 128+len(value))
	head[0] = '{'
	field := func(name string) {
		if len(head) > 1 {
			head = append(head, ',')
		}
		head = append(append(append(head, '"'), name...), '"', ':')
	}
	if e.Action != "" {
		field("a")
		head = strconv.AppendQuote(head, e.Action) // a word
	}
	flag := func(name string, on bool) {
		if on {
			field(name)
			head = append(head, "true"...)
		}
	}
	number := func(name string, n int64) {
		if n != 0 {
			field(name)
			head = strconv.AppendInt(head, n, 10)
		}
	}
	flag("d", e.Dir)
	number("c", int64(e.Created))
	number("m", int64(e.Modified))
	number("e", e.Expires)
	number("t", e.TTL)
	flag("r", e.Refresh)
	return string(append(append(head, '}', '\n'), value...))
}

// decode reads a node out of a key and value of v3.
func decode(kv *mvccpb.KeyValue) (*node, error) {
	head, value, found := bytes.Cut(kv.Value, []byte("\n"))
	var e envelope
	if err := json.Unmarshal(head, &e); err != nil || !found {
		return nil, fmt.Errorf("the key %q of v3 holds no node of the v2 tree", kv.Key)
	}
	n := &node{
		path: strings.TrimPrefix(string(kv.Key), nodePrefix), dir: e.Dir,
		created: e.Created, modified: e.Modified, action: e.Action, refresh: e.Refresh, ttl: e.TTL,
		version: kv.ModRevision, lease: kv.Lease,
	}
	if !n.dir {
		n.value = string(value)
	}
	if n.created == 0 {
		n.created = uint64(kv.ModRevision)
	}
	if n.modified == 0 {
		n.modified = uint64(kv.ModRevision)
	}
	if e.Expires != 0 {
		n.expires = time.Unix(0, e.Expires).UTC()
	}
	return n, nil
}

// remaining is the time that is left in whole seconds, rounded up.
func remaining(expires, now time.Time) int64 {
	return max(0, int64(math.Ceil(expires.Sub(now).Seconds())))
}

// extern is the node as clients see it, without children.
func (n *node) extern(now time.Time) *v2store.NodeExtern {
	out := &v2store.NodeExtern{Key: n.path, Dir: n.dir, ModifiedIndex: n.modified, CreatedIndex: n.created}
	if n.path == "/" {
		out.Key = ""
	}
	if !n.dir {
		out.Value = &n.value
	}
	if !n.expires.IsZero() {
		out.Expiration, out.TTL = &n.expires, remaining(n.expires, now)
	}
	return out
}
