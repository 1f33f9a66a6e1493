package dbfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// visit is called for each key of a bucket. Its arguments are valid during the call only.
type visit func(key, value []byte) error

// errStop ends a walk early.
var errStop = errors.New("stop")

// tree is a bucket: a tree of pages, or a single leaf within its parent's value.
type tree struct {
	root   uint64
	inline []byte // the leaf's page; nil when it has pages of its own
}

// parseBucket reads the value that stands for a bucket.
func parseBucket(page uint64, value []byte) (tree, error) {
	if len(value) < 16 {
		return tree{}, damaged(page, "a bucket of %d bytes", len(value))
	}
	t := tree{root: binary.LittleEndian.Uint64(value)}
	if t.root == 0 {
		if len(value) < 16+pageHeaderSize {
			return tree{}, damaged(page, "a bucket of %d bytes", len(value))
		}
		t.inline = bytes.Clone(value[16:])
	}
	return t, nil
}

// walker goes through trees.
type walker struct {
	f        *File
	ctx      context.Context // of the walk that it was made for
	seen     *bitmap         // pages reached; nil when nobody checks
	backward bool
	from     []byte   // first key wanted (last one of a backward walk); nil for all
	branches [][]byte // a copy of the branch at each depth
	steps    int
}

// bucket returns the bucket of that name; ok is false when there is none.
func (f *File) bucket(ctx context.Context, name string) (t tree, ok bool, err error) {
	w := &walker{f: f, ctx: ctx}
	err = w.walk(tree{root: f.root}, func(page uint64, key, value []byte, flags uint32) error {
		if string(key) != name || flags&flagBucket == 0 {
			return nil
		}
		var err error
		if t, err = parseBucket(page, value); err != nil {
			return err
		}
		ok = true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return t, ok, err
}

// element is called for each element of a tree, with the page that it stands in.
type element func(page uint64, key, value []byte, flags uint32) error

// walk calls fn for each element in the order of the keys, or against it.
func (w *walker) walk(t tree, fn element) error {
	if t.inline != nil {
		n := node{
			flags: binary.LittleEndian.Uint16(t.inline[8:]), count: int(binary.LittleEndian.Uint16(t.inline[10:])), data: t.inline,
		}
		if n.flags != flagLeaf {
			return damaged(0, "a bucket within a page is no leaf")
		}
		return w.leaf(n, nil, nil, fn)
	}
	return w.page(t.root, 0, nil, nil, fn)
}

// page walks a page and what is below it. All its keys are at least low and below high; nil for no bound.
func (w *walker) page(id uint64, depth int, low, high []byte, fn element) error {
	if w.steps++; w.steps%256 == 0 && w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if depth >= maxDepth {
		return damaged(id, "the tree is too deep: it goes round in a circle")
	}
	n, err := w.f.pages.node(id)
	if err != nil {
		return err
	}
	if w.seen != nil {
		if err := w.seen.mark(id, n.overflow+1); err != nil {
			return err
		}
	}
	switch n.flags {
	case flagLeaf:
		return w.leaf(n, low, high, fn)
	case flagBranch:
		return w.branch(n, depth, low, high, fn)
	}
	return damaged(id, "a page of kind %#x stands in a tree", n.flags)
}

func (w *walker) leaf(n node, low, high []byte, fn element) error {
	var before []byte
	for i := range n.count {
		at := i
		if w.backward {
			at = n.count - 1 - i
		}
		key, value, flags, _, err := n.element(at)
		if err != nil {
			return err
		}
		if i > 0 && (bytes.Compare(before, key) >= 0) != w.backward || i > 0 && bytes.Equal(before, key) ||
			low != nil && bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return damaged(n.id, "its keys are out of order")
		}
		before = key
		if w.from != nil && (bytes.Compare(key, w.from) < 0) != w.backward && (!w.backward || !bytes.Equal(key, w.from)) {
			continue
		}
		if err := fn(n.id, key, value, flags); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) branch(n node, depth int, low, high []byte, fn element) error {
	if n.count == 0 {
		return damaged(n.id, "a branch without children")
	}
	for len(w.branches) <= depth {
		w.branches = append(w.branches, nil)
	}
	w.branches[depth] = append(w.branches[depth][:0], n.data...) // reading a child reuses the page's buffer
	n.data = w.branches[depth]
	for i := range n.count {
		at := i
		if w.backward {
			at = n.count - 1 - i
		}
		key, _, _, child, err := n.element(at)
		if err != nil {
			return err
		}
		below, above := key, high
		if at+1 < n.count {
			if above, _, _, _, err = n.element(at + 1); err != nil {
				return err
			}
			if bytes.Compare(key, above) >= 0 {
				return damaged(n.id, "its keys are out of order")
			}
		}
		if at == 0 {
			below = low // bbolt does not keep a leftmost branch's key at the lowest below it
		}
		if w.skips(below, above) {
			continue
		}
		if err := w.page(child, depth+1, below, above, fn); err != nil {
			return err
		}
	}
	return nil
}

// skips says that nothing from low to high is wanted. A walk that checks goes everywhere.
func (w *walker) skips(low, high []byte) bool {
	switch {
	case w.from == nil || w.seen != nil:
		return false
	case w.backward:
		return low != nil && bytes.Compare(low, w.from) > 0
	}
	return high != nil && bytes.Compare(high, w.from) <= 0
}

// bitmap has a bit for each page.
type bitmap []uint64

func newBitmap(n uint64) bitmap { return make(bitmap, n/64+1) }

func (b bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitmap) set(i uint64) { b[i/64] |= 1 << (i % 64) }

// mark notes that pages were reached, and refuses those that were before.
func (b bitmap) mark(id, count uint64) error {
	for i := id; i < id+count; i++ {
		if b.has(i) {
			return damaged(i, "it is used twice")
		}
		b.set(i)
	}
	return nil
}

// Walk calls fn for each key of a bucket, in order, beginning with from. A bucket that is not there has no keys. The
// arguments of fn are valid during the call only.
func (f *File) Walk(ctx context.Context, bucket string, from []byte, fn func(key, value []byte) error) error {
	return f.walkBucket(ctx, bucket, from, false, fn)
}

func (f *File) walkBucket(ctx context.Context, name string, from []byte, backward bool, fn visit) error {
	t, ok, err := f.bucket(ctx, name)
	if err != nil || !ok {
		return err
	}
	w := &walker{f: f, ctx: ctx, from: from, backward: backward}
	return w.walk(t, func(page uint64, key, value []byte, flags uint32) error {
		if flags&flagBucket != 0 {
			return damaged(page, "there is a bucket within the bucket %q", name)
		}
		if err := fn(key, value); err != nil {
			if errors.Is(err, ErrDamaged) {
				return fmt.Errorf("%w (page %d, bucket %q)", err, page, name)
			}
			return err
		}
		return nil
	})
}
