package dirs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/etcdops/etcdops/recovery"
)

// place is where a directory goes when it is set aside.
type place struct {
	dir   string // the member's
	aside string // where its contents are kept
	mount bool   // dir cannot be renamed: its contents go to a directory in it
}

func (s Set) place(dir, label string) (place, error) {
	if label == "" || filepath.Base(label) != label {
		return place{}, fmt.Errorf("bad label %q", label)
	}
	p := place{dir: dir, aside: dir + Suffix + label}
	info, err := os.Lstat(dir)
	if err == nil && IsMount(dir, info) {
		p.mount, p.aside = true, filepath.Join(dir, Suffix+label)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	return p, nil
}

// taken reports whether something is set aside there.
func (p place) taken() (bool, error) {
	_, err := os.Lstat(p.aside)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// SetAside renames each directory that holds something, makes an empty one in its place, and makes both durable. It may
// be repeated after it was killed anywhere. A directory that holds data again although its old contents are set aside
// under this label is an error: nothing is mixed.
func (s Set) SetAside(label string) ([]recovery.Aside, error) {
	if err := s.InUse(); err != nil {
		return nil, err
	}
	var out []recovery.Aside
	for _, dir := range s.all() {
		p, err := s.place(dir, label)
		if err == nil {
			err = s.setAside(p)
		}
		if err != nil {
			return out, fmt.Errorf("set %s aside: %w", dir, err)
		}
	}
	for _, dir := range s.all() {
		asides, err := s.asideOf(dir, label)
		if err != nil {
			return out, err
		}
		out = append(out, asides...)
	}
	return out, nil
}

// setAside does it for one directory.
func (s Set) setAside(p place) error {
	names, err := contents(p.dir)
	if err != nil {
		return err
	}
	taken, err := p.taken()
	if err != nil {
		return err
	}
	if p.mount {
		return s.moveContents(p, names, taken)
	}
	switch {
	case len(names) > 0 && taken:
		return fmt.Errorf("it holds data although %s was set aside before: something started the member in between", p.aside)
	case len(names) > 0:
		if err := os.Rename(p.dir, p.aside); err != nil {
			return err
		}
		if err := s.sync(filepath.Dir(p.dir)); err != nil {
			return err
		}
		taken = true
	}
	if !taken {
		return nil // it was empty, or absent: nothing to keep
	}
	return s.replace(p)
}

// replace makes the empty directory that takes the place of a renamed one.
func (s Set) replace(p place) error {
	info, err := os.Lstat(p.aside)
	if err != nil {
		return err
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := Inherit(p.aside, p.dir, info); err != nil {
		return fmt.Errorf("give the new directory the owner and mode of the old: %w", err)
	}
	return s.sync(filepath.Dir(p.dir))
}

// moveContents is setAside for the top of a file system, which itself cannot be renamed.
func (s Set) moveContents(p place, names []string, taken bool) error {
	if len(names) == 0 && !taken {
		return nil
	}
	if err := os.Mkdir(p.aside, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, name := range names {
		to := filepath.Join(p.aside, name)
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s was set aside before: something started the member in between", to)
		}
		if err := os.Rename(filepath.Join(p.dir, name), to); err != nil {
			return err
		}
	}
	return errors.Join(s.sync(p.aside), s.sync(p.dir))
}

// PutBack takes SetAside back.
func (s Set) PutBack(label string) error {
	if err := s.InUse(); err != nil {
		return err
	}
	for _, dir := range s.all() {
		p, err := s.place(dir, label)
		if err == nil {
			err = s.putBack(p)
		}
		if err != nil {
			return fmt.Errorf("put %s back: %w", dir, err)
		}
	}
	return nil
}

func (s Set) putBack(p place) error {
	taken, err := p.taken()
	if err != nil || !taken {
		return err
	}
	names, err := contents(p.dir)
	if err != nil {
		return err
	}
	if !p.mount {
		if len(names) > 0 {
			return errors.New("there is data in its place")
		}
		if err := os.Remove(p.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(p.aside, p.dir); err != nil {
			return err
		}
		return s.sync(filepath.Dir(p.dir))
	}
	kept, err := os.ReadDir(p.aside)
	if err != nil {
		return err
	}
	for _, e := range kept {
		if _, err := os.Lstat(filepath.Join(p.dir, e.Name())); !errors.Is(err, fs.ErrNotExist) {
			return errors.New("there is data in its place")
		}
		if err := os.Rename(filepath.Join(p.aside, e.Name()), filepath.Join(p.dir, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(p.aside), s.sync(p.dir))
}

// Discard removes what was set aside under label.
func (s Set) Discard(label string) error {
	for _, dir := range s.all() {
		p, err := s.place(dir, label)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(p.aside); err != nil {
			return fmt.Errorf("remove %s: %w", p.aside, err)
		}
		if err := s.sync(filepath.Dir(p.aside)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// asideOf lists what was set aside of dir under label.
func (s Set) asideOf(dir, label string) ([]recovery.Aside, error) {
	p, err := s.place(dir, label)
	if err != nil {
		return nil, err
	}
	taken, err := p.taken()
	if err != nil || !taken {
		return nil, err
	}
	bytes, err := size(p.aside)
	return []recovery.Aside{{Original: dir, Path: p.aside, Bytes: bytes}}, err
}

// InUse reports a process that has the database or the log open, as etcd has them: both are locked.
func (s Set) InUse() error {
	files := []string{s.database()}
	for _, dir := range []string{filepath.Join(s.Data, "member", "wal"), s.WAL} {
		logs, err := filepath.Glob(filepath.Join(dir, "*.wal"))
		if err != nil || dir == "" {
			continue
		}
		files = append(files, logs...)
	}
	for _, file := range files {
		if locked(file) {
			return fmt.Errorf("a running process uses %s: end it first", file)
		}
	}
	return nil
}
