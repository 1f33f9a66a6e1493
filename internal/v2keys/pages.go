package v2keys

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Bounds of what a listing holds in memory: a page ends with the read that passes pageBytes, so it is at most that and the
// largest values of one read.
const (
	pageBytes = 1 << 20
	pageKeys  = 1000
	readKeys  = 16
)

// errStopping is given to those who still read when the member begins to close.
var errStopping = errors.New("the member is stopping")

// pages reads a range of v3 at one revision, in any order, and remembers the last page. It asks the member's own store: a
// limited read by the API of v3 counts all that is behind it too, every time.
type pages struct {
	store    *store
	revision int64
	end      string       // of all that is read
	check    func() error // asked before each page

	kvs      []*mvccpb.KeyValue
	from, to string // kvs are all the keys of this range
}

// first is the first key from a place on, nil if there is none before end.
func (p *pages) first(ctx context.Context, from, end string) (*mvccpb.KeyValue, error) {
	for from < end {
		if from < p.from || from >= p.to {
			if err := p.load(ctx, from); err != nil {
				return nil, err
			}
		}
		i, _ := slices.BinarySearchFunc(p.kvs, from, func(kv *mvccpb.KeyValue, key string) int {
			return strings.Compare(string(kv.Key), key)
		})
		if i < len(p.kvs) {
			if string(p.kvs[i].Key) < end {
				return p.kvs[i], nil
			}
			return nil, nil //nolint:nilnil // there is none
		}
		from = p.to
	}
	return nil, nil //nolint:nilnil // there is none
}

// load reads the page from a place on.
func (p *pages) load(ctx context.Context, from string) error {
	if err := p.check(); err != nil {
		return err
	}
	return p.store.reading(func(kv mvcc.KV) error {
		tx := kv.Read(mvcc.ConcurrentReadTxMode, traceutil.TODO())
		defer tx.End()
		p.kvs, p.from, p.to = nil, from, from
		for size := 0; size < pageBytes && len(p.kvs) < pageKeys; {
			got, err := tx.Range(ctx, []byte(p.to), []byte(p.end), mvcc.RangeOptions{Limit: readKeys, Rev: p.revision})
			if err != nil {
				p.kvs, p.from, p.to = nil, "", ""
				return err
			}
			p.kvs = append(p.kvs, got.KVs...)
			if len(got.KVs) < readKeys {
				p.to = p.end
				return nil
			}
			for _, kv := range got.KVs {
				size += len(kv.Key) + len(kv.Value)
			}
			p.to = string(got.KVs[readKeys-1].Key) + "\x00"
		}
		return nil
	})
}

// reading lets read use the member's store, unless that may be closed already.
func (s *store) reading(read func(mvcc.KV) error) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return errStopping
	}
	return read(s.kv())
}

// close waits for those who read the member's store, and refuses others from then on.
func (s *store) close() {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.closed = true
}
