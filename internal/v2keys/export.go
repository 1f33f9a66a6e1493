package v2keys

import (
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Node is what one key of v3 holds, for those who copy trees.
type Node struct {
	Path    string
	Dir     bool
	Value   string
	Expires bool // it has a TTL
}

// Tree is the range of keys of v3 that hold the tree.
func Tree() (from, end string) { return subtree("/") }

// Decode reads a node out of a key and value of v3.
func Decode(kv *mvccpb.KeyValue) (Node, error) {
	n, err := decode(kv)
	if err != nil {
		return Node{}, err
	}
	return Node{Path: n.path, Dir: n.dir, Value: n.value, Expires: !n.expires.IsZero()}, nil
}

// Encode makes the value of v3 for a new node, which no waiting request hears of. The lease for expires, if that is not
// zero, has to be given with the put.
func (n Node) Encode(expires time.Time, ttl int64) string {
	head := envelope{Dir: n.Dir}
	if !expires.IsZero() {
		head.Expires, head.TTL = expires.UnixNano(), ttl
	}
	return head.encode(n.Value)
}
