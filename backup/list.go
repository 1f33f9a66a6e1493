package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// Entry is a backup in a repository, as a look at the list of objects and at its manifest shows it.
type Entry struct {
	Manifest *Manifest // nil when it cannot be read: Problem says why
	ID       ID
	Dir      string
	Bytes    int64     // that its objects take
	Modified time.Time // of its newest object, by the store's clock
	Problem  string    // empty when every part is there and has its size
	Object   string    // that the problem is with

	Hold   *Hold   // somebody wants it kept
	Tomb   *Tomb   // it is to be removed
	Leased bool    // a restore reads it
	Last   *Record // what verifications after it was made came to
	Drill  *Record // the newest drill that went well
}

// Level is how far the backup is verified by now: LevelNone when something is wrong with it.
func (e *Entry) Level() Level {
	switch {
	case e.Manifest == nil || e.Problem != "":
		return LevelNone
	case e.Last != nil && e.Last.Failed():
		return LevelNone
	case e.Last != nil:
		return max(e.Last.Level, e.Manifest.Level)
	}
	return e.Manifest.Level
}

// Future says whether the backup was taken later than now: by a machine whose clock was ahead.
func (e *Entry) Future(now time.Time) bool {
	return e.Manifest != nil && e.Manifest.TakenAt.After(now.Add(futureSlack))
}

// List returns all backups, newest first. What has no manifest is no backup.
func (r *Repository) List(ctx context.Context) ([]Entry, error) { return r.list(ctx, 0) }

// Recent is List for those who want an answer soon: of each cluster it reads the newest limit backups, by the times in
// their names, and leaves out the others.
func (r *Repository) Recent(ctx context.Context, limit int) ([]Entry, error) {
	return r.list(ctx, limit)
}

// list reads the newest limit backups of each cluster, all where limit is 0.
func (r *Repository) list(ctx context.Context, limit int) ([]Entry, error) {
	objects, err := r.store.List(ctx, "")
	if err != nil {
		return nil, storeError("list", r.store, err)
	}
	byDir := map[string]*Entry{}
	sizes := map[string]int64{}
	for _, o := range objects {
		sizes[o.Name] = o.Size
		dir, id, ok := parseBaseDir(o.Name)
		if !ok {
			continue
		}
		e := byDir[dir]
		if e == nil {
			e = &Entry{ID: id, Dir: dir}
			byDir[dir] = e
		}
		e.Bytes += o.Size
		if o.Modified.After(e.Modified) {
			e.Modified = o.Modified
		}
	}
	for dir := range byDir {
		if _, ok := sizes[dir+manifestName]; !ok {
			delete(byDir, dir)
		}
	}
	if limit > 0 {
		keepNewest(byDir, limit)
	}
	var out []Entry
	for _, e := range byDir {
		if size := sizes[e.Dir+manifestName]; size <= maxVoid {
			if known, err := r.isVoid(ctx, e.Dir+manifestName); err == nil && known {
				continue // there never was a backup
			}
		}
		if err := r.readEntry(ctx, e, sizes); err != nil {
			return nil, err
		}
		out = append(out, *e)
	}
	if err := r.readMarks(ctx, objects, out); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Or(b.taken().Compare(a.taken()), cmp.Compare(b.Dir, a.Dir)) })
	return out, nil
}

// keepNewest leaves the newest limit backups of each cluster.
func keepNewest(byDir map[string]*Entry, limit int) {
	clusters := map[string][]string{}
	for dir := range byDir {
		cluster, _, _ := strings.Cut(strings.TrimPrefix(dir, clusterDir), "/")
		clusters[cluster] = append(clusters[cluster], dir)
	}
	for _, dirs := range clusters {
		slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(cmp.Compare(timeOf(b), timeOf(a)), cmp.Compare(b, a)) })
		for _, dir := range dirs[min(limit, len(dirs)):] {
			delete(byDir, dir)
		}
	}
}

// taken is when the backup was taken, as far as can be told.
func (e *Entry) taken() time.Time {
	if e.Manifest != nil {
		return e.Manifest.TakenAt
	}
	return e.Modified
}

// readEntry reads a backup's manifest and holds its parts against the list. Only a store that fails is an error.
func (r *Repository) readEntry(ctx context.Context, e *Entry, sizes map[string]int64) error {
	name := e.Dir + manifestName
	var m Manifest
	err := readDocument(ctx, r.store, name, schemaManifest, &m)
	switch {
	case err == nil:
		err = m.check(name)
	case errors.Is(err, errDamaged), errors.Is(err, errNewer), errors.Is(err, ErrNotExist):
	default:
		return storeError("read "+name+" in", r.store, err)
	}
	if err != nil {
		e.Object, e.Problem = name, err.Error()
		return nil //nolint:nilerr // it is what is found out about the backup
	}
	e.Manifest = &m
	for _, part := range m.Parts {
		size, ok := sizes[e.Dir+part.Name]
		switch {
		case !ok:
			e.Object, e.Problem = e.Dir+part.Name, "it is missing"
		case size != part.Size:
			e.Object, e.Problem = e.Dir+part.Name, fmt.Sprintf("it has %d bytes and not %d", size, part.Size)
		default:
			continue
		}
		break
	}
	return nil
}

// Find returns the backup that a person means: by the first digits of its ID, or the newest good one for "latest". Where backups
// of several clusters lie, "latest" is a *SeveralClustersError.
func (r *Repository) Find(ctx context.Context, ref string) (Entry, error) {
	return r.FindOf(ctx, ref, 0)
}

// FindOf is Find with "latest" as the newest good backup of one cluster; 0 means the only one that has backups here.
func (r *Repository) FindOf(ctx context.Context, ref string, cluster ops.ClusterID) (Entry, error) {
	list, err := r.List(ctx)
	if err != nil {
		return Entry{}, err
	}
	if ref == "latest" || ref == "" {
		return r.newest(list, cluster)
	}
	var found []Entry
	for _, e := range list {
		if strings.HasPrefix(string(e.ID), strings.ToLower(ref)) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Entry{}, r.noBackup(fmt.Errorf("no backup's ID begins with %q", ref))
	}
	return Entry{}, r.noBackup(fmt.Errorf("the IDs of %d backups begin with %q", len(found), ref))
}

// newest finds the newest backup of a cluster that nothing is known against.
func (r *Repository) newest(list []Entry, cluster ops.ClusterID) (Entry, error) {
	if cluster == 0 {
		if err := r.OneCluster(list); err != nil {
			return Entry{}, err
		}
	}
	counted := 0
	for _, e := range list {
		if e.Manifest == nil || cluster != 0 && e.Manifest.ClusterID != cluster {
			continue
		}
		if counted++; e.Level() >= LevelData {
			return e, nil
		}
	}
	of := ""
	if cluster != 0 {
		of = " of cluster " + cluster.String()
	}
	return Entry{}, r.noBackup(fmt.Errorf("none of %d backups%s is good", counted, of))
}

func (r *Repository) noBackup(err error) error {
	return &ops.HintError{Code: CodeNoBackup, Class: ops.ClassUsage, Op: "find backup in", Member: r.store.String(), Err: err, Hint: "etcdops backup list"}
}

// readBytes reads a small object whole.
func readBytes(ctx context.Context, s Store, name string) ([]byte, error) {
	body, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(body, maxDocument))
	return data, errors.Join(err, body.Close())
}
