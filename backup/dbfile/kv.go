package dbfile

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// KV is an entry of history, decoded: mvccpb.KeyValue without its copies. Key and Value point into the entry.
type KV struct {
	Key, Value                  []byte
	CreateRevision, ModRevision int64
	Version, Lease              int64
}

// ParseKV decodes the value of an entry of the bucket "key". Every field is read, so that what does not decode is found.
func ParseKV(b []byte) (KV, error) {
	var kv KV
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return kv, badKV(n)
		}
		b = b[n:]
		switch {
		case kind == protowire.BytesType && (number == 1 || number == 5):
			var field []byte
			if field, n = protowire.ConsumeBytes(b); n < 0 {
				return kv, badKV(n)
			}
			if number == 1 {
				kv.Key = field
			} else {
				kv.Value = field
			}
		case kind == protowire.VarintType && number >= 2 && number <= 6 && number != 5:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n < 0 {
				return kv, badKV(n)
			}
			switch int(number) {
			case 2:
				kv.CreateRevision = int64(v)
			case 3:
				kv.ModRevision = int64(v)
			case 4:
				kv.Version = int64(v)
			case 6:
				kv.Lease = int64(v)
			}
		default:
			if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
				return kv, badKV(n)
			}
		}
		b = b[n:]
	}
	return kv, nil
}

func badKV(n int) error {
	return fmt.Errorf("%w: an entry does not decode: %w", ErrDamaged, protowire.ParseError(n))
}
