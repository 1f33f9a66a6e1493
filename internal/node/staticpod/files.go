package staticpod

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/node/dirs"
	"github.com/etcdops/etcdops/recovery"
)

// The kubelet runs every file of its directory, so nothing of ours may be there: a manifest that is not to run is held in
// a directory beside it, on the same file system, under its own name. The files there:
//
//	etcd.yaml               the manifest, while it is held
//	etcd.yaml.masked        Start is forbidden
//	etcd.yaml.old-1a2b3c4d  what the manifest was before a change of ours, by a digest of its content

// holdSuffix ends the name of the directory that manifests are held in.
const holdSuffix = ".etcdops"

const (
	maskSuffix = ".masked"
	oldSuffix  = ".old-"
)

// held is where the manifest is while the kubelet must not see it.
func (n *Node) held() string {
	return filepath.Join(filepath.Dir(n.path)+holdSuffix, filepath.Base(n.path))
}

// Manifests lists the manifests of a kubelet's directory, by their paths there, with those that are held.
func Manifests(dir string) []string {
	var out []string
	for _, where := range []string{dir, dir + holdSuffix} {
		entries, err := os.ReadDir(where)
		if err != nil {
			continue
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !e.Type().IsRegular() || e.Name()[0] == '.' || strings.Contains(e.Name(), oldSuffix) || filepath.Ext(e.Name()) == maskSuffix {
				continue
			}
			if !slices.Contains(out, path) {
				out = append(out, path)
			}
		}
	}
	return out
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// file is the manifest that counts: the kubelet's, else the one that is held.
func (n *Node) file() (string, error) {
	for _, path := range []string{n.path, n.held()} {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no file (%s): name the file that it stands for", path, info.Mode().Type())
		}
		return path, err
	}
	return "", fmt.Errorf("there is no manifest %s, and none is held in %s", n.path, filepath.Dir(n.held()))
}

// moveOut takes the manifest away from the kubelet. A manifest that came back meanwhile counts, and what was held is kept.
func (n *Node) moveOut() error {
	if !exists(n.path) {
		return nil
	}
	if err := os.Mkdir(filepath.Dir(n.held()), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A mark from before says nothing of a manifest that came back: its kubelet is waited for anew.
	if err := os.Remove(n.held() + maskSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if exists(n.held()) {
		if err := n.keep(); err != nil {
			return err
		}
	}
	return n.rename(n.path, n.held())
}

// moveIn gives the manifest to the kubelet.
func (n *Node) moveIn() error {
	switch {
	case exists(n.path) && exists(n.held()):
		return fmt.Errorf("%s is there again while %s is held: something else writes it (kubeadm, configuration management); stop that, then remove one of the two", n.path, n.held())
	case exists(n.path):
		return nil
	}
	return n.rename(n.held(), n.path)
}

func (n *Node) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(recovery.SyncDir(filepath.Dir(to)), recovery.SyncDir(filepath.Dir(from)))
}

// keep makes a copy of the held manifest that stays. The name is that of its content: to keep it twice is nothing new.
func (n *Node) keep() error {
	text, err := os.ReadFile(n.held())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	old := n.held() + oldSuffix + hex.EncodeToString(sum[:4])
	if exists(old) {
		return nil
	}
	return recovery.WriteFile(old, text, 0o600)
}

// replace puts a new text in the place of the held manifest, with its owner, mode and labels.
func (n *Node) replace(text []byte) error {
	if err := n.keep(); err != nil {
		return err
	}
	info, err := os.Stat(n.held())
	if err != nil {
		return err
	}
	next := filepath.Join(filepath.Dir(n.held()), "."+filepath.Base(n.held())+".new")
	if err := recovery.WriteFile(next, text, info.Mode().Perm()); err != nil {
		return err
	}
	if err := dirs.Inherit(n.held(), next, info); err != nil {
		return fmt.Errorf("give the new manifest the owner and mode of the old: %w", err)
	}
	return n.rename(next, n.held())
}

// heldSince is when the manifest was taken away.
func (n *Node) heldSince() time.Time {
	info, err := os.Lstat(n.held())
	if err != nil {
		return time.Time{}
	}
	return changed(info)
}

// sameFileSystem refuses a directory that a rename cannot leave.
func (n *Node) sameFileSystem() error {
	dir := filepath.Dir(n.path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if dirs.IsMount(dir, info) {
		return fmt.Errorf("%s is a file system of its own: a manifest cannot be moved out of it in one step: %w", dir, errHooks)
	}
	return nil
}
