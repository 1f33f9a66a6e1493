package dbfile

import "encoding/binary"

// checkPages holds the pages reached from the root against the free list: each page is used once, or free. etcd's own
// files have no free list (bbolt makes it anew when it opens one): what is not reached is free then.
func (f *File) checkPages(seen bitmap) error {
	if f.free == noFreelist {
		return nil
	}
	n, err := f.pages.node(f.free)
	if err != nil {
		return err
	}
	if n.flags != flagFreelist {
		return damaged(f.free, "the free list is of kind %#x", n.flags)
	}
	if err := seen.mark(f.free, n.overflow+1); err != nil {
		return err
	}
	count, at := uint64(n.count), pageHeaderSize
	if count == 0xFFFF { // it does not fit: the first entry is the number
		count, at = binary.LittleEndian.Uint64(n.data[at:]), at+8
	}
	if count > uint64(len(n.data)-at)/8 {
		return damaged(f.free, "the free list says that it has %d entries", count)
	}
	for i := range count {
		id := binary.LittleEndian.Uint64(n.data[at+int(i)*8:])
		if id < 2 || id >= f.high {
			return damaged(f.free, "page %d is called free and lies outside of the database", id)
		}
		if err := seen.mark(id, 1); err != nil {
			return damaged(id, "it is both free and used")
		}
	}
	for id := uint64(2); id < f.high; id++ {
		if !seen.has(id) {
			return damaged(id, "it is neither free nor used")
		}
	}
	return nil
}
