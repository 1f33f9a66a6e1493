package ops

import (
	"encoding/binary"
	"errors"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Fields of etcdserverpb.SnapshotResponse.
const (
	snapshotHeader    = 1
	snapshotRemaining = 2
	snapshotBlob      = 3
	snapshotVersion   = 4

	wireVarint = 0
	wireBytes  = 2
)

var errWire = errors.New("a message of the stream does not decode")

// message reads one SnapshotResponse.
func (r *snapshotReader) message(c *bufferCursor) error {
	r.remaining = 0
	for {
		tag, err := binary.ReadUvarint(c)
		if err == io.EOF { //nolint:errorlint // the cursor's own end
			return nil
		}
		if err != nil {
			return errWire
		}
		size, err := binary.ReadUvarint(c)
		switch {
		case err != nil:
			return errWire
		case tag&7 == wireVarint:
			if tag>>3 == snapshotRemaining {
				r.remaining = int64(size)
			}
			continue
		case tag&7 != wireBytes || size > 1<<31:
			return errWire
		}
		if tag>>3 == snapshotBlob {
			err = c.each(int(size), r.take)
		} else {
			var field []byte
			err = c.each(int(size), func(b []byte) { field = append(field, b...) })
			switch {
			case err != nil:
			case tag>>3 == snapshotHeader && r.header == nil:
				r.header = &pb.ResponseHeader{}
				err = proto.Unmarshal(field, r.header)
			case tag>>3 == snapshotVersion:
				r.version = string(field)
			}
		}
		if err != nil {
			return errWire
		}
	}
}

// bufferCursor reads through buffers without joining them.
type bufferCursor struct {
	rest  mem.BufferSlice
	piece []byte
}

// next makes piece not empty; false at the end.
func (c *bufferCursor) next() bool {
	for len(c.piece) == 0 {
		if len(c.rest) == 0 {
			return false
		}
		c.piece, c.rest = c.rest[0].ReadOnlyData(), c.rest[1:]
	}
	return true
}

// ReadByte implements io.ByteReader.
func (c *bufferCursor) ReadByte() (byte, error) {
	if !c.next() {
		return 0, io.EOF
	}
	b := c.piece[0]
	c.piece = c.piece[1:]
	return b, nil
}

// each calls fn with the pieces of the next n bytes.
func (c *bufferCursor) each(n int, fn func([]byte)) error {
	for n > 0 {
		if !c.next() {
			return errWire
		}
		part := c.piece[:min(n, len(c.piece))]
		c.piece = c.piece[len(part):]
		n -= len(part)
		fn(part)
	}
	return nil
}
