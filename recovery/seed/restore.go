package seed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// Target is what the new directory is made for.
type Target struct {
	Name     string   `json:"name"`
	PeerURLs []string `json:"peer_urls"`
	Token    string   `json:"token"`
	Bump     int64    `json:"bump"`     // added to the revision, with all before it marked compacted; 0 for no
	Checksum bool     `json:"checksum"` // the database carries one at its end: a snapshot
	Shrink   bool     `json:"shrink"`   // give back the space that no key uses
}

// Restored tells whether Restore is done.
func (w Work) Restored() bool { return exists(w.Staged()) && exists(w.StagedWAL()) }

// Restore makes the new data directory of a database: that of source, or the replica's where source is nil. It is read
// once and only read. verify is called with the directory before it gets its name; its error keeps it from that.
func (w Work) Restore(ctx context.Context, source *datadir.Info, t Target, told func(bytes int64), verify func(dir, walDir string) error) (c Copied, err error) {
	from := filepath.Join(w.Replica(), "member", "snap", "db")
	if source != nil {
		from = databaseOf(source)
	}
	to, walDir := w.Staged()+partial, ""
	if w.WALDir != "" {
		walDir = w.StagedWAL()
	}
	if err := w.clear(to, walDir); err != nil {
		return c, err
	}
	var cluster []string
	for _, u := range t.PeerURLs {
		cluster = append(cluster, t.Name+"="+u)
	}
	o := memberdir.Options{
		Dir: to, WALDir: walDir, Name: t.Name, PeerURLs: t.PeerURLs, InitialCluster: strings.Join(cluster, ","), Token: t.Token, Bump: uint64(t.Bump),
	}
	fill := func(f *os.File) (err error) {
		if c, err = copyInto(ctx, from, f, told); err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
		return cutChecksum(f, t.Checksum)
	}
	finish := func(db string) error {
		full, err := ranFull(db)
		if err != nil || !t.Shrink && !full {
			return err
		}
		return shrink(db)
	}
	err = guarded("restore", func(lg *zap.Logger) error {
		o.Logger = lg
		_, err := memberdir.Write(ctx, o, fill, finish)
		return err
	})
	if err != nil {
		return c, err
	}
	if err := verify(to, walDir); err != nil {
		return c, err
	}
	if walDir != "" {
		if err := errors.Join(syncTree(walDir), syncPath(w.WALDir)); err != nil {
			return c, err
		}
	}
	return c, publish(to, w.Staged())
}

// clear removes what a run that was killed has left of its own.
func (w Work) clear(to, walDir string) error {
	stale := []string{to, w.Staged()}
	unnamed := []string{w.Dir}
	if w.WALDir != "" {
		stale, unnamed = append(stale, walDir), append(unnamed, w.WALDir)
		if err := os.MkdirAll(w.WALDir, 0o700); err != nil {
			return err
		}
	}
	for _, dir := range unnamed { // directories that memberdir had not given their name yet
		found, err := filepath.Glob(filepath.Join(dir, ".*.restoring-*"))
		if err != nil {
			return err
		}
		stale = append(stale, found...)
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.MkdirAll(w.Dir, 0o700)
}

// cutChecksum takes the checksum off a snapshot's end, and holds it against the content when wanted.
func cutChecksum(f *os.File, check bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - sha256.Size
	if info.Size()%512 != sha256.Size {
		if check {
			return errors.New("the snapshot has no checksum at its end")
		}
		return nil
	}
	if check {
		want := make([]byte, sha256.Size)
		hash := sha256.New()
		_, err := io.Copy(hash, io.NewSectionReader(f, 0, size))
		if err == nil {
			_, err = f.ReadAt(want, size)
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(hash.Sum(nil), want) {
			return errors.New("the snapshot's checksum does not fit its content")
		}
	}
	return f.Truncate(size)
}

// ranFull tells whether a database has the alarm NOSPACE, which the log may have told after the plan was made of the database.
// The alarms themselves are not taken over: they are of members that end with the old cluster, and would keep the new one
// from taking writes for good.
func ranFull(db string) (full bool, err error) {
	b, err := bbolt.Open(db, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return false, err
	}
	err = b.View(func(tx *bbolt.Tx) error {
		alarms := tx.Bucket([]byte("alarm"))
		if alarms == nil {
			return nil
		}
		return alarms.ForEach(func(key, _ []byte) error {
			var alarm etcdserverpb.AlarmMember
			full = full || proto.Unmarshal(key, &alarm) == nil && alarm.GetAlarm() == etcdserverpb.AlarmType_NOSPACE
			return nil
		})
	})
	return full, errors.Join(err, b.Close())
}

// shrink writes the database anew, without the space that nothing uses.
func shrink(db string) error {
	const batch = 10 << 20 // bytes of a transaction
	from, err := bbolt.Open(db, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	if err != nil {
		return err
	}
	to, err := bbolt.Open(db+partial, 0o600, &bbolt.Options{Timeout: lockWait, NoSync: true, NoFreelistSync: true})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	err = bbolt.Compact(to, from, batch)
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close(), from.Close()); err != nil {
		return err
	}
	return os.Rename(db+partial, db)
}

// lockWait is how long the lock of a database is waited for that nobody else should have.
const lockWait = 10 * time.Second

// InPlace puts the staged directory into the data directory, which is empty, and a log of its own into its. owner is asked
// to give each file to the member's user.
func (w Work) InPlace(dataDir, walDir string, owner func(path string) error) error {
	for _, root := range []string{w.Staged(), w.WALDir} {
		if root == "" || !exists(root) {
			continue
		}
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return owner(path)
		})
		if err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	if walDir != "" && exists(w.StagedWAL()) {
		if err := moveFiles(w.StagedWAL(), walDir); err != nil {
			return err
		}
	}
	if from := filepath.Join(w.Staged(), "member"); exists(from) {
		if err := os.Rename(from, filepath.Join(dataDir, "member")); err != nil {
			return err
		}
	}
	return errors.Join(syncPath(dataDir), syncPath(filepath.Dir(dataDir)))
}

// moveFiles moves what is in a directory into another one, which keeps its owner, mode and labels.
func moveFiles(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(syncPath(to), syncPath(filepath.Dir(to)))
}

// Remove removes the working directory: it holds copies only.
func (w Work) Remove() error {
	err := os.RemoveAll(w.Dir)
	if w.WALDir != "" {
		err = errors.Join(err, os.RemoveAll(w.WALDir))
	}
	return err
}
