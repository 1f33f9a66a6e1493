package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// uploads is how many parts are put at once.
const uploads = 3

// commit uploads the parts and then the manifest.
func (r *Repository) commit(ctx context.Context, m *Manifest, data encoded, o CreateOptions, begin time.Time) error {
	m.Stored, m.Parts = data.stored, data.parts
	err := r.putParts(ctx, m, data, o.Progress)
	if err == nil && !o.Slot.IsZero() {
		err = r.claimSlot(ctx, m, o.Slot, o.Now())
	}
	if err == nil {
		m.TookMS = o.Now().Sub(begin).Milliseconds()
		err = putDocument(ctx, r.store, m.Dir()+manifestName, schemaManifest, m)
	}
	if err == nil {
		if err = r.present(ctx, m); err == nil {
			return nil
		}
		_ = r.store.Delete(context.WithoutCancel(ctx), m.Dir()+manifestName) // what is left without its parts is listed as damaged
	}
	r.discard(ctx, m)
	if ctx.Err() != nil {
		return &ops.HintError{Class: ops.ClassInterrupted, Op: "upload backup to", Member: r.store.String(), Err: context.Cause(ctx)}
	}
	if !o.Slot.IsZero() && errors.Is(err, ErrExist) { // our manifest's place is void
		return r.slotTaken(o.Slot, "this run was silent for so long that another scheduler took its place")
	}
	return storeError("upload backup to", r.store, err)
}

// present looks whether everything is there once the manifest is: until then another machine, whose clock is ahead, may have
// taken parts for debris. With a manifest nobody does.
func (r *Repository) present(ctx context.Context, m *Manifest) error {
	objects, err := r.store.List(ctx, m.Dir())
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	for _, o := range objects {
		sizes[o.Name] = o.Size
	}
	for _, part := range m.Parts {
		if size, ok := sizes[m.Dir()+part.Name]; !ok || size != part.Size {
			return fmt.Errorf("%s%s is not there although it was stored: something removed or changed it", m.Dir(), part.Name)
		}
	}
	return nil
}

// putParts uploads all parts.
func (r *Repository) putParts(ctx context.Context, m *Manifest, data encoded, progress func(Progress)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	var done atomic.Int64
	var mu sync.Mutex
	next := make(chan int)
	for range min(uploads, len(m.Parts)) {
		group.Go(func() {
			for n := range next {
				part := m.Parts[n]
				body := data.file.section(int64(n)*partBytes, part.Size)
				if err := r.store.Put(ctx, m.Dir()+part.Name, body); err != nil {
					cancel(err)
					continue
				}
				sent := done.Add(part.Size)
				mu.Lock()
				progress(Progress{Stage: "upload", Done: sent, Total: m.Stored.Size})
				mu.Unlock()
			}
		})
	}
	for n := range m.Parts {
		select {
		case next <- n:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}

// discardLimit is how long the removal of a failed backup may take; the sweep of a later run does the rest.
const discardLimit = 20 * time.Second

// discard removes the parts of a backup that has no manifest. Whether the manifest was written may be unknown, when the
// answer of its upload was lost: then everything stays.
func (r *Repository) discard(ctx context.Context, m *Manifest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardLimit)
	defer cancel()
	if _, err := readBytes(ctx, r.store, m.Dir()+manifestName); !errors.Is(err, ErrNotExist) {
		return // the sweep looks again
	}
	for _, part := range m.Parts {
		if err := r.store.Delete(ctx, m.Dir()+part.Name); err != nil {
			return // the failure that led here is what counts; the sweep removes the rest
		}
	}
}
