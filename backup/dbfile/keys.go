package dbfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Found is a key that exists at some revision, and the entry that made it what it is.
type Found struct {
	Key   []byte
	Entry Revision
}

// Keys finds the keys for which match is true and that exist at a revision, in the order of the keys. They are held in
// memory; values are not: see Value.
func (f *File) Keys(ctx context.Context, revision int64, match func(key []byte) bool) ([]Found, error) {
	live, err := f.liveness(ctx, revision)
	if err != nil {
		return nil, err
	}
	var out []Found
	var n int64
	err = f.Walk(ctx, bucketKey, nil, func(key, value []byte) error {
		exists := live.exists(n)
		n++
		if !exists {
			return nil
		}
		rev, err := ParseRevision(key)
		if err != nil {
			return err
		}
		kv, err := ParseKV(value)
		if err != nil {
			return err
		}
		if len(value) > 0 && match(kv.Key) { // an entry without content raises the revision and is no key
			out = append(out, Found{bytes.Clone(kv.Key), rev})
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Found) int { return bytes.Compare(a.Key, b.Key) })
	return out, err
}

// Entry returns a copy of an entry of history.
func (f *File) Entry(ctx context.Context, rev Revision) (KV, error) {
	var kv KV
	found := false
	want := rev.Bytes()
	err := f.Walk(ctx, bucketKey, want, func(key, value []byte) error {
		if bytes.Equal(key, want) {
			var err error
			if kv, err = ParseKV(bytes.Clone(value)); err != nil {
				return err
			}
			found = true
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return kv, err
	}
	if !found {
		return kv, fmt.Errorf("there is no entry %d.%d", rev.Main, rev.Sub)
	}
	return kv, nil
}

// Span is the history in the file: states from oldest to newest can be read.
func (f *File) Span(ctx context.Context) (oldest, newest int64, err error) {
	s := &scan{}
	if err := f.Walk(ctx, bucketMeta, nil, s.meta); err != nil {
		return 0, 0, err
	}
	newest = 1
	err = f.walkBucket(ctx, bucketKey, nil, true, func(key, _ []byte) error {
		rev, err := ParseRevision(key)
		if err != nil {
			return err
		}
		newest = rev.Main
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return max(s.CompactRevision, 1), newest, err
}
