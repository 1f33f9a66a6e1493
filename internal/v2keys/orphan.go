package v2keys

import (
	"context"
	"path"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// orphanKeys is how many keys one look for orphans reads.
const orphanKeys = 1000

// eachOrphan finds directories that do not exist although something stands below them, the topmost of each.
func (s *store) eachOrphan(ctx context.Context, do func(dir string) error) error {
	from, end := subtree("/")
	var f family
	for more := true; more && ctx.Err() == nil; {
		var paths []string
		err := s.reading(func(kvs mvcc.KV) error {
			got, err := kvs.Range(ctx, []byte(from), []byte(end), mvcc.RangeOptions{Limit: orphanKeys, FastKeysOnly: true})
			if err != nil {
				return err
			}
			for _, kv := range got.KVs {
				paths = append(paths, strings.TrimPrefix(string(kv.Key), nodePrefix))
			}
			return nil
		})
		if err != nil {
			return err
		}
		more = len(paths) == orphanKeys
		for _, p := range paths {
			from = Key(p) + "\x00"
			if missing := f.missing(p); missing != "" {
				if err := do(missing); err != nil {
					return err
				}
				_, from = subtree(missing)
				more = true
				break
			}
		}
	}
	return ctx.Err()
}

// family are those paths, of all that were seen in the order of their keys, which the next one can stand below.
type family []string

// missing is the topmost directory above a path that was not seen, empty if there is none; then the path counts as seen.
func (f *family) missing(p string) string {
	for len(*f) > 0 && !strings.HasPrefix(p, (*f)[len(*f)-1]) {
		*f = (*f)[:len(*f)-1]
	}
	if parent := path.Dir(p); parent != "/" && !slices.Contains(*f, parent) {
		for _, dir := range ancestors(parent) {
			if !slices.Contains(*f, dir) {
				return dir
			}
		}
	}
	*f = append(*f, p)
	return ""
}
