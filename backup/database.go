package backup

import (
	"context"
	"errors"
	"io"

	"github.com/etcdops/etcdops/ops"
)

// OpenDatabase opens the database in a backup. Its last read checks the hash: only with io.EOF is what was read what was
// saved. A key that does not fit is told at once.
func (r *Repository) OpenDatabase(ctx context.Context, e Entry, keys Identities) (io.ReadCloser, error) {
	if e.Manifest == nil || e.Problem != "" {
		return nil, damagedObject(e.Object, errors.New(e.Problem))
	}
	plain, err := r.openPlain(ctx, e.Manifest, keys)
	if err != nil {
		return nil, err
	}
	return database{r: r, m: e.Manifest, plain: plain, ctx: ctx}, nil
}

// database explains what goes wrong with the reading.
type database struct {
	r     *Repository
	m     *Manifest
	plain *plainReader
	ctx   context.Context // of the reading
}

// Read implements io.Reader.
func (d database) Read(p []byte) (int, error) {
	n, err := d.plain.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && ops.CodeOf(err) == "" {
		err = d.r.nameDamage(d.ctx, d.m, err)
	}
	return n, err
}

// Close implements io.Closer.
func (d database) Close() error { return d.plain.Close() }
