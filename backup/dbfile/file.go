package dbfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The format of bbolt files, version 2.
const (
	magic          = 0xED0CDAED
	formatVersion  = 2
	pageHeaderSize = 16
	elementSize    = 16 // of leaf and branch pages
	metaSize       = 64 // after the page's header
	noFreelist     = ^uint64(0)

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	flagBucket = 0x01 // of a leaf's element

	maxDepth     = 64
	maxNodeBytes = 512 << 20 // of one page with its overflow; etcd's largest value is far below
)

// ErrDamaged says that the file is no sound database.
var ErrDamaged = errors.New("the database file is damaged")

// damaged makes an error about a page.
func damaged(page uint64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d: %s", ErrDamaged, page, fmt.Sprintf(format, args...))
}

// File is a database file.
type File struct {
	pages    pager
	pageSize int64
	root     uint64
	free     uint64 // page of the free list, noFreelist for none
	high     uint64 // number of pages
	txid     uint64
}

// Open reads the file's meta pages. size is that of the file without the hash that snapshots end with.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{}
	var found bool
	var firstErr error
	for _, at := range metaOffsets(r, size) {
		err := f.readMeta(r, at, size)
		found = found || err == nil
		if firstErr == nil {
			firstErr = err
		}
	}
	if !found {
		return nil, firstErr
	}
	if f.high*uint64(f.pageSize) > uint64(size) {
		return nil, fmt.Errorf("%w: it ends after %d bytes and should have %d", ErrDamaged, size, f.high*uint64(f.pageSize))
	}
	f.pages = pager{r: r, pageSize: f.pageSize, high: f.high}
	return f, nil
}

// metaOffsets are the places of both meta pages; where the first does not tell the size of a page, the usual ones are tried.
func metaOffsets(r io.ReaderAt, size int64) []int64 {
	var b [pageHeaderSize + metaSize]byte
	if _, err := r.ReadAt(b[:], 0); err == nil {
		m := b[pageHeaderSize:]
		if n := int64(binary.LittleEndian.Uint32(m[8:])); binary.LittleEndian.Uint32(m) == magic && validPageSize(n) && n < size {
			return []int64{0, n}
		}
	}
	return []int64{0, 4 << 10, 16 << 10, 64 << 10}
}

func validPageSize(n int64) bool { return n >= 1<<10 && n <= 1<<16 && n&(n-1) == 0 }

// readMeta takes the meta page at an offset if it is right and newer than what was found.
func (f *File) readMeta(r io.ReaderAt, at, size int64) error {
	var b [pageHeaderSize + metaSize]byte
	if at+int64(len(b)) > size {
		return fmt.Errorf("%w: it has %d bytes only", ErrDamaged, size)
	}
	if _, err := r.ReadAt(b[:], at); err != nil {
		return err
	}
	m := b[pageHeaderSize:]
	le := binary.LittleEndian
	sum := fnv.New64a()
	_, _ = sum.Write(m[:56])
	pageSize := int64(le.Uint32(m[8:]))
	switch {
	case le.Uint32(m) != magic:
		return fmt.Errorf("%w: it is no bbolt database", ErrDamaged)
	case le.Uint32(m[4:]) != formatVersion:
		return fmt.Errorf("%w: format %d of bbolt is not known", ErrDamaged, le.Uint32(m[4:]))
	case le.Uint64(m[56:]) != sum.Sum64():
		return fmt.Errorf("%w: the checksum of its meta page is wrong", ErrDamaged)
	case !validPageSize(pageSize) || at != 0 && at != pageSize:
		return fmt.Errorf("%w: pages of %d bytes", ErrDamaged, pageSize)
	}
	root, free, high, txid := le.Uint64(m[16:]), le.Uint64(m[32:]), le.Uint64(m[40:]), le.Uint64(m[48:])
	if high > uint64(size)/uint64(pageSize)+1 || root >= high || free >= high && free != noFreelist {
		return fmt.Errorf("%w: its meta page points outside of the file", ErrDamaged)
	}
	if f.high == 0 || txid > f.txid {
		f.pageSize, f.root, f.free, f.high, f.txid = pageSize, root, free, high, txid
	}
	return nil
}

// Size is what the database takes of the file, in bytes.
func (f *File) Size() int64 { return int64(f.high) * f.pageSize }
