package backup

import (
	"context"
	"errors"
	"time"
)

// DebrisAge is how old what has no manifest must be to be taken for debris: an upload may be under way elsewhere.
const DebrisAge = 24 * time.Hour

// SweepDebris removes what runs that were killed have left behind: parts without a manifest whose newest is older than
// before, and halves of uploads in the store itself. Backups are not touched.
func (r *Repository) SweepDebris(ctx context.Context, before time.Time) error {
	objects, err := r.store.List(ctx, clusterDir)
	if err != nil {
		return storeError("list", r.store, err)
	}
	type debris struct {
		names    []string
		modified time.Time
		manifest Object // without a name where there is none
	}
	byDir := map[string]*debris{}
	for _, o := range objects {
		dir, _, ok := parseBaseDir(o.Name)
		if !ok {
			continue
		}
		d := byDir[dir]
		if d == nil {
			d = &debris{}
			byDir[dir] = d
		}
		d.names = append(d.names, o.Name)
		if o.Name == dir+manifestName {
			d.manifest = o
		}
		if o.Modified.After(d.modified) {
			d.modified = o.Modified
		}
	}
	var errs []error
	for _, d := range byDir {
		if d.modified.After(before) {
			continue
		}
		if d.manifest.Name != "" {
			errs = append(errs, r.sweepVoid(ctx, d.manifest, d.names))
			continue
		}
		for _, name := range d.names {
			errs = append(errs, r.store.Delete(ctx, name))
		}
	}
	errs = append(errs, r.sweepClaims(ctx, time.Now()))
	_, err = r.store.Sweep(ctx, before)
	if err = errors.Join(append(errs, err)...); err != nil {
		return storeError("sweep", r.store, err)
	}
	return nil
}
