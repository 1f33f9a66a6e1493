package v2keys

import (
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
)

// TestDecideGuards: a change demands that all it was decided on still holds, and touches no key twice.
func TestDecideGuards(t *testing.T) {
	t.Parallel()
	yes := true
	dir := &node{path: "/d", dir: true, created: 3, modified: 3, version: 4}
	file := &node{path: "/d/f", value: "x", created: 5, modified: 6, version: 6, lease: 77}
	v := &view{index: 9, nodes: map[string]*node{"/d": dir, "/d/f": file}}
	for name, c := range map[string]struct {
		r       request
		guards  map[string]int64
		vacant  string
		emptied string
		puts    []string
		lease   int64
	}{
		"set":          {request{method: "PUT", path: "/d/f"}, map[string]int64{"/d": 4, "/d/f": 6}, "", "", []string{"/d/f"}, 77},
		"new":          {request{method: "PUT", path: "/d/g"}, map[string]int64{"/d": 4, "/d/g": 0}, "/d/g", "", []string{"/d/g"}, 0},
		"deep":         {request{method: "PUT", path: "/d/g/h"}, map[string]int64{"/d": 4, "/d/g": 0}, "/d/g", "", []string{"/d/g", "/d/g/h"}, 0},
		"update":       {request{method: "PUT", path: "/d", prevExist: &yes}, map[string]int64{"/d": 4}, "", "", []string{"/d"}, 0},
		"delete":       {request{method: "DELETE", path: "/d", dir: true}, map[string]int64{"/d": 4}, "", "/d", nil, 0},
		"delete below": {request{method: "DELETE", path: "/d", recursive: true}, map[string]int64{"/d": 4}, "", "", nil, 0},
		"swap":         {request{method: "PUT", path: "/d/f", prevIndex: 6}, map[string]int64{"/d": 4, "/d/f": 6}, "", "", []string{"/d/f"}, 77},
	} {
		change, refused := c.r.decide(v, time.Unix(0, 0))
		if refused != nil {
			t.Errorf("%s: %v", name, refused)
			continue
		}
		if len(change.guards) != len(c.guards) {
			t.Errorf("%s: guards %v, want %v", name, change.guards, c.guards)
		}
		for p, version := range c.guards {
			if got, guarded := change.guards[p]; !guarded || got != version {
				t.Errorf("%s: guards %v, want %v", name, change.guards, c.guards)
			}
		}
		var puts []string
		for _, p := range change.puts {
			puts = append(puts, p.path)
		}
		if len(puts) != len(c.puts) || change.vacant != c.vacant || change.emptied != c.emptied || change.lease != c.lease {
			t.Errorf("%s: puts %v, vacant %q, emptied %q, lease %d", name, puts, change.vacant, change.emptied, change.lease)
		}
		keys := map[string]bool{}
		for _, op := range change.ops(0) {
			if key := string(op.KeyBytes()); keys[key] {
				t.Errorf("%s: %s is touched twice, which v3 refuses", name, key)
			} else {
				keys[key] = true
			}
		}
	}
	if _, refused := (&request{method: "PUT", path: "/"}).decide(v, time.Now()); refused == nil || refused.ErrorCode != v2error.EcodeRootROnly {
		t.Errorf("the root was written: %v", refused)
	}
}

// TestDecideOrphans: what an expired directory left behind is not taken for a part of the new one. It may be swept between the
// look and the write, which then would have made a file in a directory that does not exist: accepted, and seen by nobody.
func TestDecideOrphans(t *testing.T) {
	t.Parallel()
	read := func(p string, dir bool) *pb.ResponseOp {
		kv := &mvccpb.KeyValue{Key: []byte(Key(p)), Value: []byte(envelope{Dir: dir}.encode("x")), ModRevision: 5}
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{kv}}}}
	}
	for name, left := range map[string][]*pb.ResponseOp{
		"a directory": {read("/top", true), read("/top/d/sub", true)},
		"a file":      {read("/top", true), read("/top/d/sub", false)},
		"the node":    {read("/top", true), read("/top/d/sub/c", false)},
		"nothing":     {read("/top", true)},
	} {
		v, err := newView(9, "/top/d/sub/c", left)
		if err != nil {
			t.Fatal(err)
		}
		c, refused := (&request{method: "PUT", path: "/top/d/sub/c"}).decide(v, time.Unix(0, 0))
		if refused != nil {
			t.Errorf("%s: %v", name, refused)
			continue
		}
		var puts []string
		for _, p := range c.puts {
			puts = append(puts, p.path)
		}
		if got := strings.Join(puts, " "); got != "/top/d /top/d/sub /top/d/sub/c" || c.vacant != "/top/d" || c.prev != nil {
			t.Errorf("%s: puts %s, vacant %s, before %v", name, got, c.vacant, c.prev)
		}
		if _, refused := v.find("/top/d/sub/c"); refused == nil || refused.Cause != "/top/d" {
			t.Errorf("%s: found, or missing for another reason: %v", name, refused)
		}
	}
}
