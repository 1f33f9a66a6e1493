package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/etcdops/etcdops/backup"
)

// Errors of segments, to be found with errors.Is.
var (
	// ErrDamaged says that a segment is not what was written.
	ErrDamaged = errors.New("the segment is damaged")
	// ErrNewer says that a segment is of a later version of etcdops.
	ErrNewer = errors.New("the segment was written by a newer version of etcdops")
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

// Visitor is told what a segment holds, in its order. Fields that are nil are left out. Slices are valid during the call.
type Visitor struct {
	Entry func(revision int64, e Entry) error
	Link  func(revision int64, chain Chain) error // a revision has ended
	Time  func(received time.Time) error          // what follows was received then
	Note  func(Note) error
}

// ReadHeader reads the front of a segment.
func ReadHeader(r io.Reader) (*Header, error) {
	front := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(r, front); err != nil {
		return nil, damaged("its front: %w", err)
	}
	size := binary.BigEndian.Uint32(front[len(magic):])
	if string(front[:len(magic)]) != magic || size > maxHeaderBytes {
		return nil, damaged("it does not begin as segments do")
	}
	rest := make([]byte, int(size)+sha256.Size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, damaged("its header: %w", err)
	}
	sum := sha256.Sum256(append(front, rest[:size]...))
	if !bytes.Equal(sum[:], rest[size:]) {
		return nil, damaged("its header does not fit its checksum")
	}
	var h Header
	if err := json.Unmarshal(rest[:size], &h); err != nil {
		return nil, damaged("its header: %w", err)
	}
	if err := h.check(); err != nil {
		if errors.Is(err, ErrNewer) {
			return nil, err
		}
		return nil, damaged("%w", err)
	}
	return &h, nil
}

// Read reads a whole segment and tells the visitor what is in it. Bytes that do not fit their hash are told before the
// visitor is told anything; gaps, a wrong chain and wrong counts as soon as they are met.
func Read(r io.Reader, v Visitor, keys backup.Identities) (*Header, error) {
	h, err := ReadHeader(r)
	if err != nil {
		return nil, err
	}
	stored, err := readStored(r, h)
	if err != nil {
		return h, err
	}
	var in io.Reader = bytes.NewReader(stored)
	if h.Encryption != "" {
		if in, err = keys.Open(in); errors.Is(err, backup.ErrNoKey) {
			return h, err
		} else if err != nil {
			return h, damaged("%w", err)
		}
	}
	unpack, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return h, damaged("%w", err)
	}
	defer unpack.Close()
	sum := sha256.New()
	limited := io.LimitReader(unpack, h.Plain.Size+1)
	p := &parser{h: h, v: v, in: bufio.NewReaderSize(io.TeeReader(limited, sum), 256<<10), dense: newDense(h.First - 1), linker: newLinker(h.Previous)}
	if err := p.run(); err != nil {
		return h, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != h.Plain.SHA256 {
		return h, damaged("its data has not the hash that the header tells")
	}
	return h, nil
}

// readStored reads the data as stored and holds it against its hash.
func readStored(r io.Reader, h *Header) ([]byte, error) {
	var b bytes.Buffer // grows with what comes, not with what the header promises
	n, err := io.Copy(&b, io.LimitReader(r, h.Stored.Size+1))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	if n != h.Stored.Size || hex.EncodeToString(sum[:]) != h.Stored.SHA256 {
		return nil, damaged("its data is not what was written")
	}
	return b.Bytes(), nil
}

// parser reads records.
type parser struct {
	h       *Header
	v       Visitor
	in      *bufio.Reader
	dense   dense
	linker  *linker
	entries int64
	buf     []byte
}

func (p *parser) run() error {
	for {
		kind, err := p.in.ReadByte()
		if errors.Is(err, io.EOF) {
			return p.finish()
		}
		if err != nil {
			return damaged("%w", err)
		}
		payload, err := p.payload()
		if err != nil {
			return err
		}
		switch kind {
		case recordEntry:
			err = p.entry(payload)
		case recordTime:
			err = p.time(payload)
		case recordNote:
			err = p.note(payload)
		default:
			err = damaged("a record of kind %#x", kind)
		}
		if err != nil {
			return err
		}
	}
}

// payload reads a record's payload. The buffer grows as bytes come.
func (p *parser) payload() ([]byte, error) {
	size, err := binary.ReadUvarint(p.in)
	if err != nil || size > maxValueBytes {
		return nil, damaged("the length of a record")
	}
	const step = 4 << 20
	p.buf = p.buf[:0]
	for at := uint64(0); at < size; {
		n := min(size-at, step)
		if need := int(at + n); cap(p.buf) < need {
			p.buf = append(p.buf, make([]byte, need-len(p.buf))...)
		}
		p.buf = p.buf[:at+n]
		if _, err := io.ReadFull(p.in, p.buf[at:]); err != nil {
			return nil, damaged("a record ends early: %w", err)
		}
		at += n
	}
	return p.buf, nil
}

func (p *parser) entry(b []byte) error {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return damaged("an entry of %d bytes", len(b))
	}
	e := Entry{b[1 : 1+b[0]], b[1+b[0]:]}
	before := p.dense.last
	rev, begins, err := p.dense.next(e.Key)
	if err != nil {
		return damaged("%w", err)
	}
	if begins {
		if err := p.endRevision(before); err != nil {
			return err
		}
	}
	p.linker.add(e)
	p.entries++
	if p.v.Entry == nil {
		return nil
	}
	return p.v.Entry(rev.Main, e)
}

// endRevision closes a revision, if one was under way.
func (p *parser) endRevision(revision int64) error {
	if p.entries == 0 {
		return nil
	}
	chain := p.linker.end()
	if p.v.Link == nil {
		return nil
	}
	return p.v.Link(revision, chain)
}

func (p *parser) time(b []byte) error {
	if len(b) != 8 {
		return damaged("a time of %d bytes", len(b))
	}
	if p.v.Time == nil {
		return nil
	}
	return p.v.Time(time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC())
}

func (p *parser) note(b []byte) error {
	if len(b) > maxNoteBytes {
		return damaged("a note of %d bytes", len(b))
	}
	var n Note
	if err := json.Unmarshal(b, &n); err != nil {
		return damaged("a note: %w", err)
	}
	if p.v.Note == nil {
		return nil
	}
	return p.v.Note(n)
}

func (p *parser) finish() error {
	if err := p.endRevision(p.dense.last); err != nil {
		return err
	}
	if p.dense.last != p.h.Last || p.entries != p.h.Entries || p.linker.chain != p.h.Chain {
		return damaged("its data ends at revision %d with %d changes, the header says %d with %d, or the chain differs",
			p.dense.last, p.entries, p.h.Last, p.h.Entries)
	}
	return nil
}

// ReadObject reads a segment out of a store. What it says of itself must be what its name says.
func ReadObject(ctx context.Context, s backup.Store, ref Ref, v Visitor, keys backup.Identities) (*Header, error) {
	r, err := s.Open(ctx, ref.Object)
	if err != nil {
		return nil, err
	}
	h, err := Read(r, v, keys)
	if err = errors.Join(err, r.Close()); err == nil {
		err = ref.fits(h)
	}
	return h, err
}

// fits holds a header against the name that it was found under.
func (r Ref) fits(h *Header) error {
	if objectName(h) != r.Object {
		return damaged("it says that it lies at %s", objectName(h))
	}
	return nil
}
