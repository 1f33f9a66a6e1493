package datadir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The file format of bbolt, version 2. Numbers are in the byte order of the machine that wrote them.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHead     = 16 // id, flags, count, overflow
	elementSize  = 16 // of leaves and of branches
	metaSize     = 64
	metaChecked  = 56 // bytes of the meta page that its checksum covers
	bucketHead   = 16 // root page, sequence
	minPage      = 512
	maxPage      = 64 << 10
	maxDepth     = 64
	maxPageBytes = 256 << 20 // with overflow pages: far above the largest request

	flagBranch = 0x01
	flagLeaf   = 0x02
	leafBucket = 0x01 // an element that is a bucket
)

// errPage wraps everything that is wrong with a page.
var errPage = errors.New("damaged database")

// boltFile reads a bbolt database page by page, without mapping it into memory and without locking it. Whatever stands in
// the file, reading ends with an error at worst.
type boltFile struct {
	r    io.ReaderAt
	size int64 // of the database, which may be shorter than the file

	page  int64
	root  uint64
	pages uint64 // one more than the highest page in use
	txid  uint64
	both  bool // both meta pages are valid

	used  uint64   // pages visited, in the walks that count them
	seen  []uint64 // a bit a page: visited in this walk
	bytes [][]byte // of the page at each depth of the walk
}

// openBolt finds the newer of the two meta pages that are valid.
func openBolt(r io.ReaderAt, size int64) (*boltFile, error) {
	b := &boltFile{r: r, size: size}
	found := 0
	for page := int64(minPage); page <= maxPage && found < 2; page *= 2 {
		found = 0
		for i := range int64(2) {
			if b.readMeta(i, page) {
				found++
			}
		}
		if found > 0 {
			break
		}
	}
	if found == 0 {
		return nil, fmt.Errorf("%w: neither of its first two pages is valid: it is no database, or its beginning is lost", errPage)
	}
	b.both = found == 2
	if need := int64(b.pages) * b.page; b.pages > 1<<40 || need > size { //nolint:gosec // bounded just here
		return b, fmt.Errorf("%w: it has lost its end: %d bytes of %d are there", errPage, size, need)
	}
	return b, nil
}

// readMeta takes meta page i if it is valid for that page size and newer than what is known.
func (b *boltFile) readMeta(i, page int64) bool {
	buf := make([]byte, pageHead+metaSize)
	if _, err := b.r.ReadAt(buf, i*page); err != nil {
		return false
	}
	m := buf[pageHead:]
	n := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaChecked]) // a hash takes everything
	if n.Uint32(m) != boltMagic || n.Uint32(m[4:]) != boltVersion || int64(n.Uint32(m[8:])) != page || n.Uint64(m[56:]) != sum.Sum64() {
		return false
	}
	if txid := n.Uint64(m[48:]); b.page == 0 || txid > b.txid {
		b.page, b.root, b.pages, b.txid = page, n.Uint64(m[16:]), n.Uint64(m[40:]), txid
	}
	return true
}

// boltBucket is the root of a bucket: a page, or bytes inside another page.
type boltBucket struct {
	root   uint64
	inline []byte
}

// buckets lists the buckets of the database. Its damage is an error, with what was found before it.
func (b *boltFile) buckets() (map[string]boltBucket, error) {
	found := map[string]boltBucket{}
	b.begin()
	err := b.walkPage(b.root, nil, 0, func(flags uint32, key, value []byte) error {
		if flags&leafBucket == 0 || len(value) < bucketHead {
			return fmt.Errorf("%w: %q among the buckets is none", errPage, key)
		}
		bucket := boltBucket{root: binary.NativeEndian.Uint64(value)}
		if bucket.root == 0 {
			bucket.inline = bytes.Clone(value[bucketHead:])
		}
		found[string(key)] = bucket
		return nil
	})
	return found, err
}

// begin starts a walk: no page may be visited twice in one.
func (b *boltFile) begin() { b.seen = make([]uint64, b.pages/64+1) }

// walk visits the pairs of a bucket in order, from a key on. Key and value are valid during the call only.
func (b *boltFile) walk(bucket boltBucket, from []byte, visit func(key, value []byte) error) error {
	each := func(flags uint32, key, value []byte) error {
		if flags&leafBucket != 0 {
			return fmt.Errorf("%w: a bucket where a value should be", errPage)
		}
		return visit(key, value)
	}
	if bucket.root == 0 {
		return b.walkNode(0, bucket.inline, from, 0, each)
	}
	return b.walkPage(bucket.root, from, 0, each)
}

// walkPage visits the leaves below a page.
func (b *boltFile) walkPage(id uint64, from []byte, depth int, visit func(uint32, []byte, []byte) error) error {
	if id < 2 || id >= b.pages {
		return fmt.Errorf("%w: a reference to page %d of %d", errPage, id, b.pages)
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: its tree is deeper than %d pages", errPage, maxDepth)
	}
	at := int64(id) * b.page //nolint:gosec // bounded by the size of the file
	head := b.room(depth, b.page)
	if _, err := b.r.ReadAt(head, at); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if got := binary.NativeEndian.Uint64(head); got != id {
		return fmt.Errorf("%w: page %d says that it is page %d", errPage, id, got)
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if id+overflow >= b.pages || int64(overflow+1)*b.page > maxPageBytes { //nolint:gosec // 32 bits
		return fmt.Errorf("%w: page %d goes on for %d pages, beyond the end", errPage, id, overflow)
	}
	for i := id; i <= id+overflow; i++ {
		if b.seen[i/64]&(1<<(i%64)) != 0 {
			return fmt.Errorf("%w: page %d is used twice", errPage, i)
		}
		b.seen[i/64] |= 1 << (i % 64)
	}
	b.used += overflow + 1
	if overflow > 0 {
		whole := b.room(depth, int64(overflow+1)*b.page) //nolint:gosec // bounded above
		if _, err := b.r.ReadAt(whole[:b.page], at); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		if _, err := b.r.ReadAt(whole[b.page:], at+b.page); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		head = whole
	}
	return b.walkNode(id, head, from, depth, visit)
}

// room is a buffer for a page at a depth, used again for the next one there.
func (b *boltFile) room(depth int, n int64) []byte {
	for len(b.bytes) <= depth {
		b.bytes = append(b.bytes, nil)
	}
	if int64(cap(b.bytes[depth])) < n {
		b.bytes[depth] = make([]byte, n)
	}
	return b.bytes[depth][:n]
}

// walkNode visits the leaves below a page whose bytes are there; id is 0 for a bucket inside another page.
func (b *boltFile) walkNode(id uint64, page, from []byte, depth int, visit func(uint32, []byte, []byte) error) error {
	if len(page) < pageHead {
		return fmt.Errorf("%w: a bucket of %d bytes", errPage, len(page))
	}
	n := binary.NativeEndian
	flags, count := n.Uint16(page[8:]), int(n.Uint16(page[10:]))
	if count == 0xFFFF || pageHead+count*elementSize > len(page) {
		return fmt.Errorf("%w: page %d has room for fewer than %d elements", errPage, id, count)
	}
	switch {
	case flags == flagLeaf:
		return b.walkLeaf(id, page, count, from, visit)
	case flags == flagBranch && id != 0:
		return b.walkBranch(id, page, count, from, depth, visit)
	}
	return fmt.Errorf("%w: page %d is no page of a tree (flags %#x)", errPage, id, flags)
}

func (b *boltFile) walkLeaf(id uint64, page []byte, count int, from []byte, visit func(uint32, []byte, []byte) error) error {
	n := binary.NativeEndian
	var before []byte
	for i := range count {
		at := pageHead + i*elementSize
		pos, ksize, vsize := uint64(n.Uint32(page[at+4:])), uint64(n.Uint32(page[at+8:])), uint64(n.Uint32(page[at+12:]))
		start := uint64(at) + pos //nolint:gosec // an index
		if start+ksize+vsize > uint64(len(page)) {
			return fmt.Errorf("%w: element %d of page %d ends beyond it", errPage, i, id)
		}
		key := page[start : start+ksize]
		if i > 0 && bytes.Compare(before, key) >= 0 {
			return fmt.Errorf("%w: the keys of page %d are not in order", errPage, id)
		}
		before = key
		if from != nil && bytes.Compare(key, from) < 0 {
			continue
		}
		if err := visit(n.Uint32(page[at:]), key, page[start+ksize:start+ksize+vsize]); err != nil {
			return err
		}
	}
	return nil
}

func (b *boltFile) walkBranch(id uint64, page []byte, count int, from []byte, depth int, visit func(uint32, []byte, []byte) error) error {
	if count == 0 {
		return fmt.Errorf("%w: page %d has no children", errPage, id)
	}
	type child struct {
		key []byte
		id  uint64
	}
	n := binary.NativeEndian
	children := make([]child, count)
	for i := range children {
		at := pageHead + i*elementSize
		pos, ksize := uint64(n.Uint32(page[at:])), uint64(n.Uint32(page[at+4:]))
		start := uint64(at) + pos //nolint:gosec // an index
		if start+ksize > uint64(len(page)) {
			return fmt.Errorf("%w: element %d of page %d ends beyond it", errPage, i, id)
		}
		children[i] = child{page[start : start+ksize], n.Uint64(page[at+8:])}
		if i > 0 && bytes.Compare(children[i-1].key, children[i].key) >= 0 {
			return fmt.Errorf("%w: the keys of page %d are not in order", errPage, id)
		}
	}
	for i, c := range children {
		if from != nil && i+1 < count && bytes.Compare(children[i+1].key, from) <= 0 {
			continue // everything below it comes before
		}
		if err := b.walkPage(c.id, from, depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}
