// Package dirs does what drivers do with a member's directories on this machine: look at them, set them aside, put them
// back. Nothing is ever copied or edited, and nothing is removed but by Discard.
package dirs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/recovery"
)

// Suffix stands between a directory's name and the label that it was set aside under.
const Suffix = ".etcdops-"

// Set is the directories of one member.
type Set struct {
	Data string // --data-dir, absolute
	WAL  string // --wal-dir, absolute; empty when it is inside Data

	// SyncDir makes renames durable; recovery.SyncDir when nil. Tests break it.
	SyncDir func(dir string) error
}

// New makes the set of a data directory and a WAL directory, either as configured.
func New(data, wal string) (Set, error) {
	if data == "" {
		return Set{}, errors.New("the data directory is not known")
	}
	if !filepath.IsAbs(data) || wal != "" && !filepath.IsAbs(wal) {
		return Set{}, fmt.Errorf("data directory %q and WAL directory %q must be absolute paths", data, wal)
	}
	s := Set{Data: filepath.Clean(data)}
	if wal != "" && !within(filepath.Clean(wal), s.Data) {
		s.WAL = filepath.Clean(wal)
	}
	return s, nil
}

// database is the member's database file.
func (s Set) database() string { return filepath.Join(s.Data, "member", "snap", "db") }

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// all lists the directories: data first.
func (s Set) all() []string {
	if s.WAL == "" {
		return []string{s.Data}
	}
	return []string{s.Data, s.WAL}
}

func (s Set) sync(dir string) error {
	if s.SyncDir != nil {
		return s.SyncDir(dir)
	}
	return recovery.SyncDir(dir)
}

// Survey looks at the directories.
func (s Set) Survey() ([]recovery.Dir, error) {
	var out []recovery.Dir
	for _, path := range s.all() {
		d, err := survey(path)
		if err != nil {
			return nil, err
		}
		if d.Mount && path == s.WAL {
			return nil, fmt.Errorf("the WAL directory %s is the top of a file system: etcd cannot begin a log there; use a directory below it", path)
		}
		out = append(out, d)
	}
	return out, nil
}

// survey looks at one directory, which may be absent.
func survey(path string) (recovery.Dir, error) {
	d := recovery.Dir{Path: path, Empty: true}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.Free = free(nearest(path))
		return d, nil
	}
	if err != nil {
		return d, err
	}
	if !info.IsDir() {
		return d, fmt.Errorf("%s is no directory (%s): name the directory that it stands for", path, info.Mode().Type())
	}
	d.Mode, d.Mount, d.Free = info.Mode(), IsMount(path, info), free(path)
	d.UID, d.GID = owner(info)
	if d.Empty, err = empty(path); err != nil {
		return d, err
	}
	d.Bytes, err = size(path)
	return d, err
}

// nearest is the closest parent that exists.
func nearest(path string) string {
	for {
		if _, err := os.Lstat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// empty reports whether a directory holds nothing of a member: absent, or nothing but what we set aside in it and what
// mkfs leaves.
func empty(path string) (bool, error) {
	names, err := contents(path)
	return len(names) == 0, err
}

// contents lists what a member keeps in its directory.
func contents(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "lost+found" && !strings.HasPrefix(e.Name(), Suffix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// size adds up the space of all files below path but what was set aside. Files that vanish meanwhile do not count.
func size(path string) (int64, error) {
	var total int64
	err := filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.IsDir() && file != path && strings.HasPrefix(e.Name(), Suffix) {
			return fs.SkipDir
		}
		if e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil
	})
	return total, err
}

// Look fills in what a node's status says of the directories; PID must be there already.
func (s Set) Look(status *recovery.NodeStatus) error {
	status.Empty, status.Bytes = true, 0
	for _, path := range s.all() {
		isEmpty, err := empty(path)
		if err != nil {
			return err
		}
		bytes, err := size(path)
		if err != nil {
			return err
		}
		status.Empty, status.Bytes = status.Empty && isEmpty, status.Bytes+bytes
	}
	status.Free = free(nearest(s.Data))
	status.Detached = status.PID != 0 && detached(status.PID, s.database())
	status.MemberID, status.ClusterID = identity(cmp.Or(s.WAL, filepath.Join(s.Data, "member", "wal")))
	return nil
}
