package datadir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"google.golang.org/protobuf/proto"
)

const (
	frameHead = 8         // bytes of a record's length
	sector    = 512       // what a disk writes whole or not at all
	maxRecord = 512 << 20 // etcd's largest request is far below
	lookahead = 1 << 20   // how far behind a record that fails others are looked for
)

// Reasons why a segment cannot be read on.
var (
	errEnd       = errors.New("end")         // a zero length or the end of the file: the regular end
	errShort     = errors.New("cut off")     // the file ends within a record
	errNoRecord  = errors.New("no record")   // the length or the bytes are no record
	errChecksum  = errors.New("wrong check") // a record that does not match the checksum of the log up to it
	errFrameSize = errors.New("wrong size")  // a length that no record has
)

// segmentReader reads the records of one file of the log.
type segmentReader struct {
	r    io.ReaderAt
	size int64
	at   int64 // where the next record begins
	crc  uint32
	buf  []byte

	window   []byte // file content from windowAt on
	windowAt int64
}

// next reads the record at the reader's place. On failure the place stays. The record's data is valid until the next call.
func (s *segmentReader) next(rec *walpb.Record) error {
	body, length, err := s.frame(s.at)
	if err != nil {
		return err
	}
	if err := decodeRecord(body, rec); err != nil {
		return err
	}
	if rec.GetType() == wal.CrcType {
		if s.crc != 0 && rec.GetCrc() != s.crc {
			return errChecksum
		}
		s.crc = rec.GetCrc()
	} else {
		sum := crc32.Update(s.crc, castagnoli(), rec.GetData())
		if sum != rec.GetCrc() {
			return errChecksum
		}
		s.crc = sum
	}
	s.at += length
	return nil
}

// frame returns the bytes of the record at an offset, and how many bytes it takes up with length and padding.
func (s *segmentReader) frame(at int64) (body []byte, length int64, err error) {
	if s.size-at < frameHead {
		return nil, 0, errEnd
	}
	head, err := s.bytes(at, frameHead)
	if err != nil {
		return nil, 0, err
	}
	field := binary.LittleEndian.Uint64(head)
	if field == 0 {
		return nil, 0, errEnd
	}
	size, pad := int64(field&^(uint64(0xff)<<56)), int64(0) //nolint:gosec // 56 bits
	if field>>63 == 1 {
		pad = int64(field >> 56 & 7)
	}
	if size == 0 || size > maxRecord {
		return nil, 0, errFrameSize
	}
	if size+pad > s.size-at-frameHead {
		return nil, 0, errShort
	}
	whole, err := s.bytes(at+frameHead, size+pad)
	if err != nil {
		return nil, 0, err
	}
	return whole[:size], frameHead + size + pad, nil
}

// bytes reads n bytes at an offset through a window of the file, so that the log is read in large pieces.
func (s *segmentReader) bytes(at, n int64) ([]byte, error) {
	const piece = 1 << 20
	if at < s.windowAt || at+n > s.windowAt+int64(len(s.window)) {
		want := min(max(n, piece), s.size-at)
		if int64(cap(s.buf)) < want {
			s.buf = make([]byte, want)
		}
		got, err := s.r.ReadAt(s.buf[:want], at)
		if int64(got) < n {
			if err == nil || errors.Is(err, io.EOF) {
				err = errShort
			}
			return nil, err
		}
		s.window, s.windowAt = s.buf[:got], at
	}
	return s.window[at-s.windowAt:][:n], nil
}

func decodeRecord(body []byte, rec *walpb.Record) error {
	rec.Reset()
	if err := proto.Unmarshal(body, rec); err != nil {
		return errNoRecord
	}
	if t := rec.GetType(); t < wal.MetadataType || t > wal.SnapshotType {
		return errNoRecord
	}
	return nil
}

// verdict says what a failure at the reader's place means. last is whether this is the newest segment: only there may a
// write have been cut off.
func (s *segmentReader) verdict(failure error, last bool) (state SegmentState, detail string) {
	where := fmt.Sprintf("at byte %d", s.at)
	if next, found := s.recordBehind(); found {
		return SegmentDamaged, fmt.Sprintf("the record %s is damaged: others follow it at byte %d", where, next)
	}
	switch {
	case !last:
		return SegmentDamaged, "the record " + where + " is damaged, and newer segments follow"
	case errors.Is(failure, errShort):
		return SegmentDamaged, "the file ends within the record " + where + ": what followed is lost"
	case errors.Is(failure, errFrameSize):
		return SegmentDamaged, "no record has the length that stands " + where
	case s.cutOff():
		return SegmentTorn, "the last record, " + where + ", was not written to its end: it was never synced"
	}
	return SegmentDamaged, "the last record, " + where + ", is complete and does not match its checksum"
}

// cutOff tells whether the record at the reader's place was written in part: a sector of it is zero, as the file was
// before. A sector is written whole or not at all, so that a changed byte does not look like that.
func (s *segmentReader) cutOff() bool {
	const enough = 8 // bytes of content in the sector: fewer may be zero by chance
	body, _, err := s.frame(s.at)
	if err != nil {
		return false
	}
	start := s.at + frameHead
	for from := int64(0); from < int64(len(body)); {
		to := min((start+from)/sector*sector+sector-start, int64(len(body)))
		if to-from >= enough && allZero(body[from:to]) {
			return true
		}
		from = to
	}
	return false
}

// recordBehind looks for records after the one that fails, which a cut-off write cannot have.
func (s *segmentReader) recordBehind() (at int64, found bool) {
	var rec walpb.Record
	if _, length, err := s.frame(s.at); err == nil && s.plausible(s.at+length, &rec) {
		return s.at + length, true
	}
	for at = s.at + frameHead; at < min(s.size, s.at+lookahead); at += frameHead { // records are padded to 8 bytes
		if s.plausible(at, &rec) {
			return at, true
		}
	}
	return 0, false
}

// plausible tells whether a record begins at an offset: a sane length, a known type, a checksum, and content that decodes.
func (s *segmentReader) plausible(at int64, rec *walpb.Record) bool {
	if s.size-at < frameHead {
		return false
	}
	head, err := s.bytes(at, frameHead)
	if err != nil {
		return false
	}
	if size := binary.LittleEndian.Uint64(head) &^ (uint64(0xff) << 56); size < 4 || size > 64<<20 {
		return false
	}
	body, _, err := s.frame(at)
	if err != nil || decodeRecord(body, rec) != nil || rec.Crc == nil {
		return false
	}
	return contentDecodes(rec)
}

// discarded counts the bytes other than zero from an offset to the end of the file.
func (s *segmentReader) discarded(at int64) (int64, error) {
	var n int64
	buf := make([]byte, 1<<20)
	for at < s.size {
		got, err := s.r.ReadAt(buf[:min(int64(len(buf)), s.size-at)], at)
		if got == 0 {
			return n, err
		}
		if !allZero(buf[:got]) {
			for _, b := range buf[:got] {
				if b != 0 {
					n++
				}
			}
		}
		at += int64(got)
	}
	return n, nil
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
