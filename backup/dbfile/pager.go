package dbfile

import (
	"encoding/binary"
	"io"
)

// windowBytes is how much is read at once where pages are used in their order.
const windowBytes = 128 << 10

// pager reads pages. What it returns is valid until the next call.
type pager struct {
	r        io.ReaderAt
	pageSize int64
	high     uint64

	window []byte
	start  int64 // of window in the file
	single []byte
	last   int64 // offset of the page asked for before
}

// read returns size bytes at an offset.
func (p *pager) read(offset, size int64) ([]byte, error) {
	if at := offset - p.start; at >= 0 && at+size <= int64(len(p.window)) {
		p.last = offset
		return p.window[at : at+size], nil
	}
	distance := offset - p.last
	p.last = offset
	if size < windowBytes && distance > -windowBytes && distance < windowBytes {
		return p.fill(offset, size, distance < 0)
	}
	buf := &p.single
	if size > int64(cap(*buf)) {
		*buf = make([]byte, size)
	}
	b := (*buf)[:size]
	if _, err := p.r.ReadAt(b, offset); err != nil {
		return nil, err
	}
	return b, nil
}

// fill reads a window that begins at offset, or ends behind it when the walk goes backwards.
func (p *pager) fill(offset, size int64, backward bool) ([]byte, error) {
	if p.window == nil {
		p.window = make([]byte, windowBytes)
	}
	end := int64(p.high) * p.pageSize
	start := offset
	if backward {
		start = max(0, offset+size-windowBytes)
	}
	p.start, p.window = start, p.window[:min(windowBytes, end-start)]
	if _, err := p.r.ReadAt(p.window, start); err != nil {
		p.window = p.window[:0]
		return nil, err
	}
	return p.window[offset-start : offset-start+size], nil
}

// node is a page with its overflow.
type node struct {
	id       uint64
	flags    uint16
	count    int
	overflow uint64
	data     []byte // header included
}

// node reads a page of a tree.
func (p *pager) node(id uint64) (node, error) {
	if id >= p.high || id < 2 {
		return node{}, damaged(id, "it lies outside of the database")
	}
	data, err := p.read(int64(id)*p.pageSize, p.pageSize)
	if err != nil {
		return node{}, err
	}
	n := node{
		id: id, flags: binary.LittleEndian.Uint16(data[8:]), count: int(binary.LittleEndian.Uint16(data[10:])),
		overflow: uint64(binary.LittleEndian.Uint32(data[12:])), data: data,
	}
	if got := binary.LittleEndian.Uint64(data); got != id {
		return node{}, damaged(id, "it calls itself page %d", got)
	}
	if n.overflow > 0 {
		size := int64(n.overflow+1) * p.pageSize
		if id+n.overflow >= p.high || size > maxNodeBytes {
			return node{}, damaged(id, "it goes on for %d pages", n.overflow)
		}
		if n.data, err = p.read(int64(id)*p.pageSize, size); err != nil {
			return node{}, err
		}
	}
	if n.flags != flagLeaf && n.flags != flagBranch && n.flags != flagFreelist {
		return node{}, damaged(id, "it is of no known kind (%#x)", n.flags)
	}
	return n, nil
}

// element returns the i-th key of a leaf or a branch; a leaf's value and flags, or a branch's child.
func (n *node) element(i int) (key, value []byte, flags uint32, child uint64, err error) {
	at := pageHeaderSize + i*elementSize
	if i >= n.count || at+elementSize > len(n.data) {
		return nil, nil, 0, 0, damaged(n.id, "it says that it has %d elements", n.count)
	}
	e := n.data[at : at+elementSize]
	le := binary.LittleEndian
	var pos, keySize, valueSize uint64
	if n.flags == flagBranch {
		pos, keySize, child = uint64(le.Uint32(e)), uint64(le.Uint32(e[4:])), le.Uint64(e[8:])
	} else {
		flags, pos, keySize, valueSize = le.Uint32(e), uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
	}
	start := uint64(at) + pos
	if start+keySize+valueSize > uint64(len(n.data)) || pos < elementSize && keySize+valueSize > 0 {
		return nil, nil, 0, 0, damaged(n.id, "element %d lies outside of the page", i)
	}
	key = n.data[start : start+keySize : start+keySize]
	value = n.data[start+keySize : start+keySize+valueSize : start+keySize+valueSize]
	return key, value, flags, child, nil
}
