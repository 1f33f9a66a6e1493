package v2keys

import (
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/etcd/server/v3/lease"
)

// TestOrphans finds what expired directories left behind, also when the names around them are prefixes of each other.
func TestOrphans(t *testing.T) {
	t.Parallel()
	s, kv := newKV(t)
	put := func(paths ...string) {
		for _, p := range paths {
			kv.Put([]byte(Key(p)), []byte(envelope{}.encode("")), lease.NoLease)
		}
	}
	put("/a", "/a-b", "/a-b/c", "/a/b", "/a/b/c", "/a0") // whole
	put("/gone/x", "/gone/x/y", "/a/gone/z", "/ab/c", "/zz/1/2/3")
	for i := range orphanKeys {
		put(fmt.Sprintf("/m%04d", i), fmt.Sprintf("/many/%d", i))
	}
	var found []string
	if err := s.eachOrphan(t.Context(), func(dir string) error { found = append(found, dir); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/a/gone", "/ab", "/gone", "/many", "/zz"}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}
