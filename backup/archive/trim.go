package archive

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

const (
	schemaTrim = "etcdops-archive-trim/1"
	trimPrefix = "trim-"
)

// Trim says that retention takes away what a timeline has up to a revision, and that the rest goes on from there. It is
// written before anything is removed: without it, what is missing is a gap.
type Trim struct {
	Revision int64     `json:"revision"`
	Chain    string    `json:"chain"`    // Chain.Short at it
	Received time.Time `json:"received"` // by when all changes up to it had come, to the millisecond
	At       time.Time `json:"at"`       // when it was written: the grace of what goes begins

	Object string `json:"-"`
}

// trimOf is where what is left begins when a segment and all before it have gone.
func trimOf(r Ref, now time.Time) Trim {
	return Trim{Revision: r.Last, Chain: r.Chain, Received: r.SealedAt, At: now.UTC()}
}

// name is where a trim lies. It carries what is needed to read the timeline, so that a damaged document hides nothing.
func (t Trim) name(cluster ops.ClusterID, timeline string) string {
	return fmt.Sprintf("%s%s/%s%020d-%s-%011x", backup.SegmentPrefix(cluster), timeline, trimPrefix, t.Revision, t.Chain, t.Received.UnixMilli())
}

// parseTrim takes the name of a trim's file apart.
func parseTrim(file string) (t Trim, ok bool) {
	fields := strings.Split(file, "-")
	if len(fields) != 4 || len(fields[2]) != 12 {
		return t, false
	}
	revision, revisionErr := strconv.ParseInt(fields[1], 10, 64)
	ms, msErr := strconv.ParseInt(fields[3], 16, 64)
	return Trim{Revision: revision, Chain: fields[2], Received: time.UnixMilli(ms).UTC()}, revisionErr == nil && msErr == nil && revision > 0
}

// readTrim reads a trim. Of a damaged one the store's clock tells when it was written.
func readTrim(ctx context.Context, s backup.Store, o backup.Object, file string) (Trim, bool) {
	t, ok := parseTrim(file)
	if !ok {
		return t, false
	}
	t.Object, t.At = o.Name, o.Modified
	var body Trim
	if err := backup.ReadDocument(ctx, s, o.Name, schemaTrim, &body); err == nil {
		t.At = body.At
	}
	return t, true
}

// putTrim writes a trim.
func putTrim(ctx context.Context, s backup.Store, cluster ops.ClusterID, timeline string, t Trim) error {
	err := backup.PutDocument(ctx, s, t.name(cluster, timeline), schemaTrim, t)
	if errors.Is(err, backup.ErrExist) {
		return nil
	}
	return err
}
