package archive

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/ops"
)

// Checked is what a check of an archive found.
type Checked struct {
	Segments int       `json:"segments"` // that were read
	Bytes    int64     `json:"bytes"`    // that they take in the store
	Problems []Problem `json:"problems"` // in the order of the objects' names
}

// Problem is an object that is not what was written.
type Problem struct {
	Object string `json:"object"`
	Error  string `json:"error"`
}

// CheckOptions say how an archive is checked.
type CheckOptions struct {
	Level    backup.Level      // LevelStored: the bytes of every object, without a key; above: what they hold, change by change
	Keys     backup.Identities // above LevelStored, of encrypted segments
	Progress func(backup.Progress)
}

// Clusters lists the clusters that a store has an archive of.
func Clusters(ctx context.Context, s backup.Store) ([]ops.ClusterID, error) {
	objects, err := s.List(ctx, "c/")
	if err != nil {
		return nil, err
	}
	var out []ops.ClusterID
	for _, o := range objects {
		fields := strings.SplitN(o.Name, "/", 4) // c, cluster, seg, rest
		if len(fields) != 4 || fields[2] != "seg" {
			continue
		}
		id, err := strconv.ParseUint(fields[1], 16, 64)
		if err == nil && !slices.Contains(out, ops.ClusterID(id)) {
			out = append(out, ops.ClusterID(id))
		}
	}
	return out, nil
}

// Check reads every object of a cluster's archive. Objects that are damaged are in what is returned; an error says that the
// check could not be made.
func Check(ctx context.Context, s backup.Store, cluster ops.ClusterID, o CheckOptions) (Checked, error) {
	out := Checked{Problems: []Problem{}}
	objects, err := s.List(ctx, backup.SegmentPrefix(cluster))
	if err != nil {
		return out, err
	}
	var total int64
	for _, object := range objects {
		total += object.Size
	}
	var done int64
	for _, object := range objects {
		err := checkObject(ctx, s, cluster, object.Name, o)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return out, context.Cause(ctx)
		case errors.Is(err, backup.ErrNotExist): // retention has removed it meanwhile
			continue
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer), backup.IsDamaged(err):
			out.Problems = append(out.Problems, Problem{object.Name, err.Error()})
		case errors.Is(err, backup.ErrNoKey):
			return out, &ops.HintError{
				Code: backup.CodeWrongKey, Class: ops.ClassRefused, Op: "check archive", Member: object.Name, Err: err, Hint: "--identity FILE",
			}
		default:
			return out, &ops.HintError{Code: backup.CodeStore, Op: "check archive in", Member: s.String(), Err: err, Hint: "check that the place can be read"}
		}
		if _, ok := parseName(cluster, object.Name); ok {
			out.Segments++
			out.Bytes += object.Size
		}
		done += object.Size
		if o.Progress != nil {
			o.Progress(backup.Progress{Stage: "archive", Done: done, Total: total})
		}
	}
	return out, nil
}

// checkObject reads one object. What no archiver writes is left alone.
func checkObject(ctx context.Context, s backup.Store, cluster ops.ClusterID, name string, o CheckOptions) error {
	if ref, ok := parseName(cluster, name); ok {
		if o.Level > backup.LevelStored {
			_, err := ReadObject(ctx, s, ref, Visitor{}, o.Keys)
			return err
		}
		return checkStored(ctx, s, ref)
	}
	dir, file := path.Split(name)
	if !validTimeline(path.Base(dir)) {
		return nil
	}
	schema := ""
	switch {
	case file == timelineDocument:
		schema = schemaTimeline
	case strings.HasPrefix(file, syncPrefix):
		schema = schemaSync
	case strings.HasPrefix(file, trimPrefix):
		schema = schemaTrim
	default:
		return nil
	}
	var body json.RawMessage
	return backup.ReadDocument(ctx, s, name, schema, &body)
}

// checkStored compares a segment's bytes with their hashes. It needs no key.
func checkStored(ctx context.Context, s backup.Store, ref Ref) error {
	r, err := s.Open(ctx, ref.Object)
	if err != nil {
		return err
	}
	h, err := ReadHeader(r)
	if err == nil {
		_, err = readStored(r, h)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	return ref.fits(h)
}
