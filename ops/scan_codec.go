package ops

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that is built upon
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// streamCodec decodes the messages of one stream of a range into memory that it uses again for the next message. A scan
// of a million keys spends half of its time on allocating and collecting what it has already printed otherwise.
//
// A key and its value are slices of the message as received; all of it is valid until the next message is decoded.
type streamCodec struct {
	encoding.CodecV2 // of everything that is not a chunk of keys

	message []byte
	keys    []mvccpb.KeyValue
	chunk   []*mvccpb.KeyValue
}

func newStreamCodec() *streamCodec {
	return &streamCodec{CodecV2: encoding.GetCodecV2("proto")}
}

// Unmarshal implements encoding.CodecV2. What it does not know in a message is left to the general decoder.
func (c *streamCodec) Unmarshal(data mem.BufferSlice, v any) error {
	response, ok := v.(*pb.RangeStreamResponse)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if n := data.Len(); cap(c.message) < n {
		c.message = make([]byte, n+n/4)
	}
	message := c.message[:data.Len()]
	data.CopyTo(message)
	inner, ok := onlyField(message, 1)
	if !ok || !c.decode(inner) {
		return c.CodecV2.Unmarshal(data, v)
	}
	response.RangeResponse = &pb.RangeResponse{Kvs: c.chunk}
	return nil
}

// decode reads a RangeResponse that has nothing but keys, as all but the last of a stream have.
func (c *streamCodec) decode(message []byte) bool {
	n := 0
	for rest := message; len(rest) > 0; n++ {
		kv, length, ok := field(rest, 2)
		if !ok {
			return false
		}
		if n == len(c.keys) {
			c.grow(len(message) / max(1, len(kv)))
		}
		if !decodeKeyValue(kv, &c.keys[n]) {
			return false
		}
		rest = rest[length:]
	}
	c.chunk = c.chunk[:0]
	for i := range n {
		c.chunk = append(c.chunk, &c.keys[i])
	}
	return true
}

// grow makes room for about as many keys as the message should have, and for twice as many as there was room for at least.
func (c *streamCodec) grow(estimate int) {
	grown := make([]mvccpb.KeyValue, max(estimate, 2*len(c.keys), 16))
	for i := range c.keys {
		from, to := &c.keys[i], &grown[i]
		to.Key, to.Value, to.Lease = from.Key, from.Value, from.Lease
		to.CreateRevision, to.ModRevision, to.Version = from.CreateRevision, from.ModRevision, from.Version
	}
	c.keys = grown
}

// decodeKeyValue reads a KeyValue without copying; ok unless there is a field that it does not know.
func decodeKeyValue(message []byte, kv *mvccpb.KeyValue) (ok bool) {
	kv.Key, kv.Value, kv.Lease = nil, nil, 0
	kv.CreateRevision, kv.ModRevision, kv.Version = 0, 0, 0
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		switch kind {
		case protowire.BytesType:
			text, n := protowire.ConsumeBytes(message)
			switch {
			case n < 0:
				return false
			case number == 1:
				kv.Key = slices.Clip(text)
			case number == 5:
				kv.Value = slices.Clip(text)
			default:
				return false
			}
			message = message[n:]
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(message)
			if n < 0 || !setNumber(kv, number, int64(value)) {
				return false
			}
			message = message[n:]
		default:
			return false
		}
	}
	return true
}

func setNumber(kv *mvccpb.KeyValue, number protowire.Number, value int64) bool {
	switch number {
	case 2:
		kv.CreateRevision = value
	case 3:
		kv.ModRevision = value
	case 4:
		kv.Version = value
	case 6:
		kv.Lease = value
	default:
		return false
	}
	return true
}

// field reads one field of bytes with the given number from the front of a message, and says how long it is with its tag.
func field(message []byte, number protowire.Number) (content []byte, length int, ok bool) {
	got, kind, tag := protowire.ConsumeTag(message)
	if tag < 0 || got != number || kind != protowire.BytesType {
		return nil, 0, false
	}
	content, n := protowire.ConsumeBytes(message[tag:])
	if n < 0 {
		return nil, 0, false
	}
	return content, tag + n, true
}

// onlyField reads a message that consists of one field of bytes.
func onlyField(message []byte, number protowire.Number) ([]byte, bool) {
	content, length, ok := field(message, number)
	return content, ok && length == len(message)
}
