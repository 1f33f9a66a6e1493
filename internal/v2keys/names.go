package v2keys

import (
	"context"
	"hash/maphash"
	"path"
	"strconv"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// nameHints remember the last in-order name of directories that have names beyond the revision, as after an import: they
// would be listed for each new name.
type nameHints struct {
	mu   sync.Mutex
	last map[string]uint64
}

// maxHints bounds the memory; beyond it they are learnt again.
const maxHints = 1024

// after is the last name that is known to be taken, or last if that is more.
func (h *nameHints) after(dir string, last uint64) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(last, h.last[dir])
}

// next chooses the number of a new name: behind last and behind all that were found taken.
func (h *nameHints) next(dir string, last uint64, taken []*mvccpb.KeyValue) uint64 {
	if len(taken) == 0 {
		return last + 1
	}
	for _, kv := range taken {
		base := path.Base(string(kv.Key))
		if n, err := strconv.ParseUint(base, 10, 64); err == nil && len(base) == nameDigits {
			last = max(last, n)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil || len(h.last) >= maxHints {
		h.last = map[string]uint64{}
	}
	h.last[dir] = last
	return last + 1
}

// nameDigits is the length of an in-order name.
const nameDigits = 20

// pathLocks let one write of a path go at a time within this member, so that those of other members are the only ones to
// collide with.
type pathLocks struct {
	seed    maphash.Seed
	stripes [1024]chan struct{}
}

func newPathLocks() *pathLocks {
	l := &pathLocks{seed: maphash.MakeSeed()}
	for i := range l.stripes {
		l.stripes[i] = make(chan struct{}, 1)
	}
	return l
}

// lock waits for the path's turn.
func (l *pathLocks) lock(ctx context.Context, p string) (unlock func(), err error) {
	stripe := l.stripes[maphash.String(l.seed, p)%uint64(len(l.stripes))]
	select {
	case stripe <- struct{}{}:
		return func() { <-stripe }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
