package dbfile

import (
	"encoding/binary"
	"fmt"
)

// Revision is the key of an entry of history: etcd keeps each change under the revision that made it.
type Revision struct {
	Main, Sub int64
	Tombstone bool // the entry says that the key was deleted
}

// Sizes of an entry's key.
const (
	revisionBytes  = 17
	tombstoneBytes = 18
)

// ParseRevision reads the key of an entry of the bucket "key".
func ParseRevision(b []byte) (Revision, error) {
	if len(b) != revisionBytes && (len(b) != tombstoneBytes || b[revisionBytes] != 't') || b[8] != '_' {
		return Revision{}, fmt.Errorf("%w: %q is no revision", ErrDamaged, b)
	}
	r := Revision{
		Main: int64(binary.BigEndian.Uint64(b)), Sub: int64(binary.BigEndian.Uint64(b[9:])), Tombstone: len(b) == tombstoneBytes,
	}
	if r.Main < 0 || r.Sub < 0 {
		return Revision{}, fmt.Errorf("%w: %q is no revision", ErrDamaged, b)
	}
	return r, nil
}

// Bytes is the key of the entry.
func (r Revision) Bytes() []byte {
	b := make([]byte, revisionBytes, tombstoneBytes)
	binary.BigEndian.PutUint64(b, uint64(r.Main))
	b[8] = '_'
	binary.BigEndian.PutUint64(b[9:], uint64(r.Sub))
	if r.Tombstone {
		b = append(b, 't')
	}
	return b
}
