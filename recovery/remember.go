package recovery

import (
	"context"
	"sync"
	"time"

	"github.com/etcdops/etcdops/recovery/datadir"
)

// Remember wraps an inspector of this machine's files: what was inspected once is not read again while its files are the
// same. Whether a process uses them is looked at each time. A plan is made from the sources and made again right before the
// first act, seconds later; that second look sees every change, and need not read gigabytes for it.
func Remember(inspector Inspector) Inspector {
	return &memory{inspector: inspector, seen: map[inspection]datadir.Info{}}
}

// memory is what Remember returns.
type memory struct {
	inspector Inspector

	mu   sync.Mutex
	seen map[inspection]datadir.Info
}

// inspection is one question about files in one state.
type inspection struct {
	path  string
	opts  datadir.Options
	state string
}

// settled is how long ago files must have changed last for their times to tell of the next change: the kernel's clock for
// them goes in steps of up to 10 ms.
const settled = 20 * time.Millisecond

// Inspect implements Inspector.
func (m *memory) Inspect(ctx context.Context, path string, opts datadir.Options) (datadir.Info, error) {
	before, known := fileStates(settled, path, opts.WALDir)
	key := inspection{path, opts, before}
	if known {
		m.mu.Lock()
		info, ok := m.seen[key]
		m.mu.Unlock()
		if ok && !datadir.InUse(path) {
			return info, nil
		}
	}
	info, err := m.inspector.Inspect(ctx, path, opts)
	if err != nil || !known || info.Running || info.State == datadir.StateUnreadable {
		return info, err
	}
	if after, _ := fileStates(0, path, opts.WALDir); after == before {
		m.mu.Lock()
		m.seen[key] = info
		m.mu.Unlock()
	}
	return info, nil
}
