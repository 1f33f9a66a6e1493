package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/etcdops/etcdops/ops"
)

// Chain is a hash of a timeline up to a revision: of the chain at the revision before and of all changes of this one.
// Equal chains at one revision mean equal changes since the timeline began, wherever segments were cut.
type Chain [sha256.Size]byte

// Genesis is the chain of a timeline at the revision that it begins after.
func Genesis(cluster ops.ClusterID, timeline string, revision int64) Chain {
	return sha256.Sum256(fmt.Appendf(nil, "etcdops"+" timeline %016x %s %d", uint64(cluster), timeline, revision))
}

// Short is what the names of segments carry of it.
func (c Chain) Short() string { return hex.EncodeToString(c[:6]) }

// MarshalText implements encoding.TextMarshaler.
func (c Chain) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(c[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Chain) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(c) {
		return fmt.Errorf("a chain has %d hexadecimal digits, not %d", hex.EncodedLen(len(c)), len(text))
	}
	_, err := hex.Decode(c[:], text)
	return err
}

// linker computes the chain one revision at a time.
type linker struct {
	h     hash.Hash
	chain Chain
	n     [9]byte
}

func newLinker(from Chain) *linker {
	l := &linker{h: sha256.New(), chain: from}
	l.begin()
	return l
}

func (l *linker) begin() {
	l.h.Reset()
	_, _ = l.h.Write(l.chain[:])
}

// add takes a change of the revision under way.
func (l *linker) add(e Entry) {
	l.n[0] = byte(len(e.Key))
	binary.BigEndian.PutUint64(l.n[1:], uint64(len(e.Value)))
	_, _ = l.h.Write(l.n[:])
	_, _ = l.h.Write(e.Key)
	_, _ = l.h.Write(e.Value)
}

// end closes the revision and returns the chain at it.
func (l *linker) end() Chain {
	l.h.Sum(l.chain[:0])
	l.begin()
	return l.chain
}
