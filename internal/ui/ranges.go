package ui

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// rangeBuffer is how much is written at once: enough that the calls cost nothing, little beside the keys themselves.
const rangeBuffer = 64 << 10

// RangeFormat is a format of etcdctl's that a range of keys is printed in.
type RangeFormat string

// The formats of etcdctl's get; etcdctl has no table of keys.
const (
	RangeSimple   RangeFormat = "simple"
	RangeJSON     RangeFormat = "json"
	RangeFields   RangeFormat = "fields"
	RangeProtobuf RangeFormat = "protobuf"
)

// RangeOptions say how a range is printed.
type RangeOptions struct {
	Format     RangeFormat
	Hex        bool // byte strings, lease IDs and IDs in hexadecimal where etcdctl prints them so
	ValuesOnly bool // RangeSimple: leave the keys out
}

// RangeWriter prints the answer to a get piece by piece, in the very bytes that etcdctl prints for the whole.
type RangeWriter struct {
	w       *bufio.Writer
	opts    RangeOptions
	scratch []byte
	first   bool // no key has been printed yet
}

// NewRangeWriter prints to w. The format must be one of the constants.
func NewRangeWriter(w io.Writer, o RangeOptions) *RangeWriter {
	return &RangeWriter{w: bufio.NewWriterSize(w, rangeBuffer), opts: o, first: true}
}

// Begin prints what stands before the keys.
func (r *RangeWriter) Begin(h *pb.ResponseHeader) error {
	switch r.opts.Format {
	case RangeSimple:
	case RangeJSON:
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		r.put(`{"header":`, string(text))
	case RangeFields:
		id := func(n uint64) string { return strconv.FormatUint(n, 10) }
		if r.opts.Hex {
			id = func(n uint64) string { return strconv.FormatUint(n, 16) }
		}
		r.put(`"ClusterID" : `, id(h.GetClusterId()), "\n", `"MemberID" : `, id(h.GetMemberId()), "\n")
		if h.GetRevision() > 0 {
			r.put(`"Revision" : `, strconv.FormatInt(h.GetRevision(), 10), "\n")
		}
		r.put(`"RaftTerm" : `, strconv.FormatUint(h.GetRaftTerm(), 10), "\n")
	case RangeProtobuf:
		return r.message(&pb.RangeResponse{Header: h})
	}
	return nil
}

// Keys prints keys, and hands everything printed so far to the writer below.
func (r *RangeWriter) Keys(kvs []*mvccpb.KeyValue) error {
	switch r.opts.Format {
	case RangeSimple:
		r.simple(kvs)
	case RangeJSON:
		r.json(kvs)
	case RangeFields:
		r.fields(kvs)
	case RangeProtobuf:
		// The encoding of a message is that of its parts one after another.
		if err := r.message(&pb.RangeResponse{Kvs: kvs}); err != nil {
			return err
		}
	}
	return r.w.Flush()
}

// End prints what stands behind the keys: whether there are more, and how many there are in all.
func (r *RangeWriter) End(more bool, count int64) error {
	switch r.opts.Format {
	case RangeSimple:
	case RangeJSON:
		if !r.first {
			r.put("]")
		}
		if more {
			r.put(`,"more":true`)
		}
		if count != 0 {
			r.put(`,"count":`, strconv.FormatInt(count, 10))
		}
		r.put("}\n")
	case RangeFields:
		r.put(fmt.Sprintf("\"More\" : %t\n\"Count\" : %d\n", more, count))
	case RangeProtobuf:
		if err := r.message(&pb.RangeResponse{More: more, Count: count}); err != nil {
			return err
		}
	}
	return r.w.Flush()
}

// put writes text; the buffer keeps the first error for Flush.
func (r *RangeWriter) put(text ...string) {
	for _, t := range text {
		_, _ = r.w.WriteString(t)
	}
}

func (r *RangeWriter) message(m proto.Message) (err error) {
	if r.scratch, err = (proto.MarshalOptions{}).MarshalAppend(r.scratch[:0], m); err != nil {
		return err
	}
	_, err = r.w.Write(r.scratch)
	return err
}

func (r *RangeWriter) simple(kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		if !r.opts.ValuesOnly {
			r.line(kv.GetKey())
		}
		r.line(kv.GetValue())
	}
}

func (r *RangeWriter) line(b []byte) {
	if r.opts.Hex {
		r.scratch = appendHex(r.scratch[:0], b)
		b = r.scratch
	}
	_, _ = r.w.Write(b)
	_ = r.w.WriteByte('\n')
}

// appendHex appends b as \x01\x02.
func appendHex(out, b []byte) []byte {
	for _, c := range b {
		out = append(out, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
	}
	return out
}

func (r *RangeWriter) json(kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		before := byte(',')
		if r.first {
			r.put(`,"kvs":`)
			before, r.first = '[', false
		}
		_ = r.w.WriteByte(before)
		r.scratch = appendJSON(r.scratch[:0], kv)
		_, _ = r.w.Write(r.scratch)
	}
}

// appendJSON appends kv as encoding/json writes it: what is zero is left out.
func appendJSON(out []byte, kv *mvccpb.KeyValue) []byte {
	out = append(out, '{')
	start := len(out)
	name := func(name string) {
		if len(out) > start {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), '"', ':')
	}
	text := func(key string, b []byte) {
		if len(b) > 0 {
			name(key)
			out = append(base64.StdEncoding.AppendEncode(append(out, '"'), b), '"')
		}
	}
	number := func(key string, n int64) {
		if n != 0 {
			name(key)
			out = strconv.AppendInt(out, n, 10)
		}
	}
	text("key", kv.GetKey())
	number("create_revision", kv.GetCreateRevision())
	number("mod_revision", kv.GetModRevision())
	number("version", kv.GetVersion())
	text("value", kv.GetValue())
	number("lease", kv.GetLease())
	return append(out, '}')
}

func (r *RangeWriter) fields(kvs []*mvccpb.KeyValue) {
	lease := "%d"
	if r.opts.Hex {
		lease = "%016x"
	}
	for _, kv := range kvs {
		r.scratch = fmt.Appendf(r.scratch[:0], "\"Key\" : %q\n\"CreateRevision\" : %d\n\"ModRevision\" : %d\n\"Version\" : %d\n"+
			"\"Value\" : %q\n\"Lease\" : "+lease+"\n",
			kv.GetKey(), kv.GetCreateRevision(), kv.GetModRevision(), kv.GetVersion(), kv.GetValue(), kv.GetLease())
		_, _ = r.w.Write(r.scratch)
	}
}
