package archive

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/etcdops/etcdops/backup/dbfile"
)

// Entry is one change, as members keep it in their bucket "key".
type Entry struct {
	Key   []byte // the revision: 17 bytes, 18 for a deletion
	Value []byte // mvccpb.KeyValue
}

var errForeignEvent = errors.New("an event that no member would send")

// FromEvent turns an event of the watch stream into the entry that the member keeps, byte for byte. sub is the number of
// the event within its revision, from 0.
func FromEvent(ev *mvccpb.Event, sub int64) (Entry, error) {
	kv := ev.GetKv()
	if kv.GetModRevision() <= 0 || len(kv.GetKey()) == 0 {
		return Entry{}, fmt.Errorf("%w: it has no revision or no key", errForeignEvent)
	}
	rev := dbfile.Revision{Main: kv.GetModRevision(), Sub: sub}
	switch ev.GetType() {
	case mvccpb.Event_DELETE:
		rev.Tombstone = true
		return Entry{rev.Bytes(), appendKV(nil, &mvccpb.KeyValue{Key: kv.GetKey()})}, nil
	case mvccpb.Event_PUT:
		return Entry{rev.Bytes(), appendKV(nil, kv)}, nil
	}
	return Entry{}, fmt.Errorf("%w: of type %d", errForeignEvent, ev.GetType())
}

// appendKV encodes a KeyValue as every version of etcd does: the fields in the order of their numbers, without those that
// are zero.
func appendKV(b []byte, kv *mvccpb.KeyValue) []byte {
	if b == nil {
		b = make([]byte, 0, len(kv.GetKey())+len(kv.GetValue())+48)
	}
	number := func(field protowire.Number, v int64) {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
		}
	}
	text := func(field protowire.Number, v []byte) {
		if len(v) > 0 {
			b = protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
		}
	}
	text(1, kv.GetKey())
	number(2, kv.GetCreateRevision())
	number(3, kv.GetModRevision())
	number(4, kv.GetVersion())
	text(5, kv.GetValue())
	number(6, kv.GetLease())
	return b
}

// dense is the check that nothing is missing: the revisions follow each other, and so do the changes within each.
type dense struct {
	last int64 // revision
	sub  int64 // of the last entry of it; -1 before the first
}

func newDense(after int64) dense { return dense{last: after, sub: -1} }

// next takes the key of the next entry. begins says that it is the first of its revision.
func (d *dense) next(key []byte) (rev dbfile.Revision, begins bool, err error) {
	if rev, err = dbfile.ParseRevision(key); err != nil {
		return rev, false, err
	}
	switch {
	case rev.Main == d.last && d.sub >= 0 && rev.Sub == d.sub+1:
	case rev.Main == d.last+1 && rev.Sub == 0:
		begins = true
	default:
		return rev, false, fmt.Errorf("%w: revision %d.%d follows %d.%d", errGap, rev.Main, rev.Sub, d.last, max(d.sub, 0))
	}
	d.last, d.sub = rev.Main, rev.Sub
	return rev, begins, nil
}

var errGap = errors.New("the history has a gap")
