// Package memberdir writes the data directory of a member that begins a new cluster with the data of a snapshot.
//
// The directory is made beside its place under a name drawn by lot, synced, and renamed: it appears whole, or not at all,
// and never over something. The database is opened once and changed in one transaction, where etcdutl copies it, reads it
// again and opens it three times.
package memberdir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.uber.org/zap"
)

// Options describe the member.
type Options struct {
	Dir            string // its data directory; may exist if it is empty
	WALDir         string // default Dir/member/wal; must not exist
	Name           string // of the member
	PeerURLs       []string
	InitialCluster string // "m1=URL,m2=URL": all members of the new cluster
	Token          string // makes the cluster's ID, with the URLs

	// Bump raises the revision by so much and marks all history as compacted, so that watchers and caches of before
	// notice. 0 leaves the revision as it is.
	Bump uint64

	Owner *Owner // of all files; default who runs this

	// Logger is given to etcd's code, which ends the process through it where a disk fails; default one that says nothing.
	Logger *zap.Logger
}

func (o *Options) logger() *zap.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return zap.NewNop()
}

// Owner is a user and a group, by number.
type Owner struct{ UID, GID int }

// ErrExists says that something is where the directory should be.
var ErrExists = errors.New("it exists and is not empty")

// ErrRuns says that a member runs on the directory; it is an ErrExists.
var ErrRuns = fmt.Errorf("a member runs on it: %w", ErrExists)

// Modes of all directories, without which etcd refuses to start, and of all files, whatever the umask.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// Member is what a directory was written for.
type Member struct {
	ID, ClusterID uint64
}

// Check says whether the options fit together and the place is free, without writing anything.
func (o *Options) Check() error {
	if _, err := o.cluster(); err != nil {
		return err
	}
	for _, dir := range []string{o.Dir, o.WALDir} {
		if dir == "" {
			continue
		}
		switch entries, err := os.ReadDir(dir); {
		case errors.Is(err, fs.ErrNotExist):
			if info, err := os.Lstat(dir); err == nil {
				return fmt.Errorf("%s: %w (%v)", dir, ErrExists, info.Mode().Type())
			}
		case err != nil:
			return fmt.Errorf("%s: %w: %w", dir, ErrExists, err)
		case len(entries) > 0 || dir == o.WALDir:
			if memberRuns(dir) {
				return fmt.Errorf("%s: %w", dir, ErrRuns)
			}
			return fmt.Errorf("%s: %w", dir, ErrExists)
		}
		if info, err := os.Lstat(dir); err == nil && !info.IsDir() { // a link to a directory
			return fmt.Errorf("%s: %w (%v)", dir, ErrExists, info.Mode().Type())
		}
	}
	return nil
}

// cluster computes the new cluster's members and IDs, as the server itself does.
func (o *Options) cluster() (*membership.RaftCluster, error) {
	all, err := types.NewURLsMap(o.InitialCluster)
	if err != nil {
		return nil, fmt.Errorf("initial cluster %q: %w", o.InitialCluster, err)
	}
	if all[o.Name] == nil {
		return nil, fmt.Errorf("the initial cluster %q has no member %q", o.InitialCluster, o.Name)
	}
	urls, err := types.NewURLs(o.PeerURLs)
	if err != nil {
		return nil, fmt.Errorf("peer URLs %s: %w", strings.Join(o.PeerURLs, ","), err)
	}
	srv := config.ServerConfig{
		Logger: zap.NewNop(), Name: o.Name, PeerURLs: urls, InitialPeerURLsMap: all, InitialClusterToken: o.Token,
	}
	if err := srv.VerifyBootstrap(); err != nil {
		return nil, err
	}
	return membership.NewClusterFromURLsMap(zap.NewNop(), o.Token, all)
}

// Write makes the directory. fill writes the database, and finish, if there is one, changes it before it becomes the new
// cluster's.
func Write(ctx context.Context, o Options, fill func(*os.File) error, finish func(path string) error) (Member, error) {
	if err := o.Check(); err != nil {
		return Member{}, err
	}
	cluster, err := o.cluster()
	if err != nil {
		return Member{}, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return Member{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), dirMode); err != nil {
		return Member{}, err
	}
	temp := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".restoring-"+rand.Text())
	if err := os.Mkdir(temp, dirMode); err != nil {
		return Member{}, err
	}
	w := &writer{o: o, cluster: cluster, temp: temp}
	err = w.write(ctx, fill, finish)
	if err == nil {
		err = w.publish(dir)
	}
	if err != nil {
		return Member{}, errors.Join(err, os.RemoveAll(temp))
	}
	id := cluster.MemberByName(o.Name).ID
	return Member{ID: uint64(id), ClusterID: uint64(cluster.ID())}, nil
}

// writer makes one directory.
type writer struct {
	o       Options
	cluster *membership.RaftCluster
	temp    string
	wal     string // that is to be moved to o.WALDir; empty when it stays within
}

// write fills the temporary directory.
func (w *writer) write(ctx context.Context, fill func(*os.File) error, finish func(string) error) error {
	snap := filepath.Join(w.temp, "member", "snap")
	if err := os.MkdirAll(snap, dirMode); err != nil {
		return err
	}
	db := filepath.Join(snap, "db")
	f, err := os.OpenFile(db, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return err
	}
	if finish != nil {
		if err := finish(db); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	wal := filepath.Join(w.temp, "member", "wal")
	if w.o.WALDir != "" {
		wal = filepath.Join(filepath.Dir(filepath.Clean(w.o.WALDir)), "."+filepath.Base(w.o.WALDir)+".restoring-"+rand.Text())
		w.wal = wal
	}
	members := slices.SortedFunc(slices.Values(w.cluster.Members()), func(a, b *membership.Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	if err := edit(db, members, w.o.Bump); err != nil {
		return err
	}
	if err := writeLog(w.o.logger(), w.cluster, w.o.Name, wal, snap); err != nil {
		return err
	}
	for _, dir := range []string{w.temp, w.wal} {
		if dir == "" {
			continue
		}
		if err := settle(dir, w.o.Owner); err != nil {
			return err
		}
	}
	return nil
}

// publish gives the directories their names.
func (w *writer) publish(dir string) error {
	if w.wal != "" {
		if err := moveNew(w.wal, w.o.WALDir); err != nil {
			return errors.Join(err, os.RemoveAll(w.wal))
		}
		if err := syncDir(filepath.Dir(filepath.Clean(w.o.WALDir))); err != nil {
			return err
		}
	}
	if err := moveNew(w.temp, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// settle gives all files below a directory their owner and mode, and syncs the directories; the files were synced as they were
// written.
func settle(root string, owner *Owner) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if owner != nil {
			if err := os.Lchown(path, owner.UID, owner.GID); err != nil {
				return err
			}
		}
		if entry.IsDir() {
			return syncDir(path)
		}
		return os.Chmod(path, fileMode) // etcd's libraries leave some of them to the umask
	})
}
