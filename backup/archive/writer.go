package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// A segment is: magic, length of the header (4 bytes, big-endian), header (JSON), SHA-256 of all that, data. The data is
// records, compressed, perhaps encrypted. A record is: kind (1 byte), length (varint), payload.
const (
	magic = "ETCDSEG1"

	recordEntry = 'E' // length of the key (1 byte), key, value
	recordTime  = 'T' // what follows was received then: microseconds since 1970, 8 bytes, big-endian
	recordNote  = 'N' // Note, as JSON
)

// Writer writes one segment. It is used once.
type Writer struct {
	head    Header
	dense   dense
	linker  *linker
	open    bool // a revision is under way
	stored  bytes.Buffer
	seal    io.WriteCloser // age, or nothing
	pack    *zstd.Encoder
	plain   hash.Hash
	scratch []byte
	clock   time.Time
	recent  []Anchor // the last revisions' chains, for Anchors
}

// NewWriter begins a segment that continues a timeline after a revision. Its data is encrypted for those that crypt names.
func NewWriter(cluster ops.ClusterID, timeline string, after int64, chain Chain, crypt backup.Encryption) (*Writer, error) {
	w := &Writer{
		head:  Header{Format: Format, ClusterID: cluster, Timeline: timeline, First: after + 1, Last: after, Previous: chain, Chain: chain, Compression: "zstd", Encryption: crypt.Name()},
		dense: newDense(after), linker: newLinker(chain), plain: sha256.New(), recent: []Anchor{{after, chain}},
	}
	var err error
	if w.seal, err = crypt.Seal(&w.stored); err != nil {
		return nil, fmt.Errorf("encrypt a segment: %w", err)
	}
	w.pack, err = zstd.NewWriter(w.seal, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	return w, err
}

// Last is the newest revision that is complete in it, or the one before its first.
func (w *Writer) Last() int64 { return w.head.Last }

// Chain is the chain at Last.
func (w *Writer) Chain() Chain { return w.head.Chain }

// Entries counts what was added.
func (w *Writer) Entries() int64 { return w.head.Entries }

// Bytes is the size of what was added, uncompressed.
func (w *Writer) Bytes() int64 { return w.head.Plain.Size }

// Anchors are points of the chain before Last.
func (w *Writer) Anchors() []Anchor {
	var out []Anchor
	for _, d := range anchorDistances() {
		i, found := slices.BinarySearchFunc(w.recent, w.head.Last-d, func(a Anchor, r int64) int { return cmp.Compare(a.Revision, r) })
		if found {
			out = append(out, w.recent[i])
		}
	}
	if len(out) < len(anchorDistances()) && len(w.recent) > 0 && w.recent[0].Revision == w.head.First-1 && !slices.Contains(out, w.recent[0]) {
		out = slices.Insert(out, 0, w.recent[0])
	}
	return out
}

// Worth says whether there is anything in it that should be kept.
func (w *Writer) Worth() bool { return w.head.Entries > 0 }

// Append adds the changes of one or more whole revisions, received at a time. A gap is refused, and the segment is of no
// use then.
func (w *Writer) Append(received time.Time, entries ...Entry) error {
	received = received.UTC().Truncate(time.Microsecond)
	if !received.Equal(w.clock) {
		if err := w.record(recordTime, binary.BigEndian.AppendUint64(nil, uint64(received.UnixMicro()))); err != nil {
			return err
		}
		w.clock = received
	}
	if w.head.ReceivedFrom.IsZero() {
		w.head.ReceivedFrom = received
	}
	w.head.ReceivedTo = received
	for _, e := range entries {
		_, begins, err := w.dense.next(e.Key)
		if err != nil {
			return err
		}
		if begins {
			w.endRevision()
			w.open = true
		}
		w.linker.add(e)
		w.head.Entries++
		if err := w.record(recordEntry, []byte{byte(len(e.Key))}, e.Key, e.Value); err != nil {
			return err
		}
	}
	w.endRevision()
	return nil
}

// endRevision closes the revision under way.
func (w *Writer) endRevision() {
	if !w.open {
		return
	}
	w.open = false
	w.head.Chain = w.linker.end()
	// dense.last may be the next one already, whose first entry called this.
	w.head.Last++
	if maxDistance := int(anchorDistances()[0]); len(w.recent) > 2*maxDistance {
		w.recent = append(w.recent[:0], w.recent[len(w.recent)-maxDistance:]...)
	}
	w.recent = append(w.recent, Anchor{w.head.Last, w.head.Chain})
}

// Note adds what the stream does not tell. Notes alone make no segment.
func (w *Writer) Note(n Note) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if len(b) > maxNoteBytes {
		return fmt.Errorf("a note of %d bytes", len(b))
	}
	if n.Compaction != nil {
		w.head.CompactRevision = max(w.head.CompactRevision, n.Compaction.CompactRevision)
	}
	if n.Auth != nil {
		w.head.AuthRevision = n.Auth.AuthRevision
	}
	return w.record(recordNote, b)
}

func (w *Writer) record(kind byte, payload ...[]byte) error {
	size := 0
	for _, p := range payload {
		size += len(p)
	}
	b := binary.AppendUvarint(append(w.scratch[:0], kind), uint64(size))
	for _, p := range payload {
		b = append(b, p...)
	}
	w.scratch = b
	if cap(w.scratch) > 1<<20 {
		w.scratch = nil
	}
	w.head.Plain.Size += int64(len(b))
	if w.head.Plain.Size > maxPlainBytes {
		return fmt.Errorf("a segment of %d bytes is too large", w.head.Plain.Size)
	}
	_, _ = w.plain.Write(b)
	_, err := w.pack.Write(b)
	return err
}

// Seal ends the segment and returns it with the name that it has in a store.
func (w *Writer) Seal(now time.Time, program string, fence int64) (object string, data []byte, err error) {
	if !w.Worth() {
		return "", nil, errors.New("a segment without changes")
	}
	if err := errors.Join(w.pack.Close(), w.seal.Close()); err != nil {
		return "", nil, err
	}
	h := &w.head
	h.SealedAt, h.Program, h.Fence, h.Anchors = now.UTC().Truncate(time.Millisecond), program, fence, w.Anchors()
	h.Plain.SHA256 = hex.EncodeToString(w.plain.Sum(nil))
	sum := sha256.Sum256(w.stored.Bytes())
	h.Stored = backup.Sum{Size: int64(w.stored.Len()), SHA256: hex.EncodeToString(sum[:])}
	front, err := frontOf(h)
	if err != nil {
		return "", nil, err
	}
	return objectName(h), append(front, w.stored.Bytes()...), nil
}

// frontOf encodes what stands before the data.
func frontOf(h *Header) ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	front := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(b)))
	front = append(front, b...)
	sum := sha256.Sum256(front)
	return append(front, sum[:]...), nil
}
