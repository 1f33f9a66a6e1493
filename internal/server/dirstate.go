package server

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/ops"
)

// dirState is what a data directory says about itself. What could not be read is zero.
type dirState struct {
	initialised bool // it holds a write-ahead log: the member has started before
	member      ops.MemberID
	cluster     ops.ClusterID
	members     []*membership.Member
	storage     *semver.Version // layout of the database; nil before etcd 3.6
	agreed      *semver.Version // the version that the cluster agreed on
	applied     uint64          // index of the last entry of the log that the database contains
}

// own is the directory's member itself; nil when it is unknown.
func (s *dirState) own() *membership.Member {
	for _, m := range s.members {
		if ops.MemberID(m.ID) == s.member {
			return m
		}
	}
	return nil
}

// readDatabase reads membership and versions. A database that another process has open is refused: etcd itself would
// wait for it for ever; so is one whose beginning or end is lost: etcd would panic, or crash in a page that is not there.
// A missing or empty one says nothing; an unreadable one is returned for a note.
func (s *dirState) readDatabase(file string) (unreadable, refused error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a page beyond the end of a torn file
	defer func() {
		if r := recover(); r != nil {
			unreadable = fmt.Errorf("%v", r)
		}
	}()
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return err, nil
	case info.Size() == 0: // made, and never written: the process was killed in between
		return nil, nil
	}
	db, err := bbolt.Open(file, 0o400, &bbolt.Options{ReadOnly: true, Timeout: time.Nanosecond})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, lockedBy(file)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum): // of both first pages
		return nil, refusal("ETO-3038", memberDataDir(file), fmt.Errorf("%s is no database any more: %w", file, err), damagedHint)
	case err != nil:
		return err, nil
	}
	defer func() { _ = db.Close() }() // only read
	unreadable = db.View(func(tx *bbolt.Tx) (err error) {
		if refused = checkComplete(file, info.Size(), tx.Size()); refused == nil {
			err = s.readBuckets(tx)
		}
		return err
	})
	return unreadable, refused
}

// checkComplete refuses a database file that is shorter than its pages, of which bbolt makes room before it refers to them.
func checkComplete(file string, size, pages int64) error {
	if size >= pages {
		return nil
	}
	return refusal("ETO-3038", memberDataDir(file), fmt.Errorf("%s has lost its end: it has %d bytes of %d", file, size, pages), damagedHint)
}

// damagedHint is what to do with a directory that cannot be used again.
const damagedHint = "set the directory aside, do not delete it, and replace the member: etcdops explain replace-member"

// memberDataDir is the data directory that a database file is in.
func memberDataDir(file string) string { return filepath.Dir(filepath.Dir(filepath.Dir(file))) }

// lockedBy refuses a directory that a running process uses.
func lockedBy(file string) error {
	user := "another process"
	if holder := lockHolder(file); holder != "" {
		user = holder
	}
	return refusal("ETO-3031", memberDataDir(file), fmt.Errorf("%s is using it", user), "stop that process first, or choose another directory with --data-dir")
}

// uint64Bytes is the size of a number in the database.
const uint64Bytes = 8

// readBuckets reads the small buckets that a member keeps about itself.
func (s *dirState) readBuckets(tx *bbolt.Tx) error {
	if meta := tx.Bucket(schema.Meta.Name()); meta != nil {
		s.storage = parseVersion(meta.Get(schema.MetaStorageVersionName))
		if index := meta.Get(schema.MetaConsistentIndexKeyName); len(index) == uint64Bytes {
			s.applied = binary.BigEndian.Uint64(index)
		}
	}
	if cluster := tx.Bucket(schema.Cluster.Name()); cluster != nil {
		s.agreed = parseVersion(cluster.Get(schema.ClusterClusterVersionKeyName))
	}
	members := tx.Bucket(schema.Members.Name())
	if members == nil {
		return nil
	}
	return members.ForEach(func(_, value []byte) error {
		var m membership.Member
		if err := json.Unmarshal(value, &m); err != nil {
			return fmt.Errorf("member in the database: %w", err)
		}
		s.members = append(s.members, &m)
		return nil
	})
}

// parseVersion reads a version; nil when there is none.
func parseVersion(text []byte) *semver.Version {
	v, err := semver.NewVersion(string(text))
	if err != nil {
		return nil
	}
	return v
}

// readLogHead reads the IDs from the first records of the newest segment of the log; it stays silent when it cannot,
// since etcd reads the whole log next and says what is wrong with it.
func (s *dirState) readLogHead(dir string) {
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) == 0 {
		return
	}
	f, err := os.Open(slices.Max(names))
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // only read
	decoder := wal.NewDecoder(fileutil.NewFileReader(f))
	var record walpb.Record
	for range 3 { // a checksum record, the metadata, a snapshot record
		if err := decoder.Decode(&record); err != nil {
			return
		}
		switch record.GetType() {
		case wal.CrcType:
			decoder.UpdateCRC(record.GetCrc())
		case wal.MetadataType:
			var meta etcdserverpb.Metadata
			if proto.Unmarshal(record.GetData(), &meta) == nil {
				s.member, s.cluster = ops.MemberID(meta.GetNodeID()), ops.ClusterID(meta.GetClusterID())
			}
			return
		}
	}
}

// checkVersions refuses data that a newer etcd wrote.
func checkVersions(dir string, state dirState) error {
	own := semver.New(version.Version)
	for _, written := range []*semver.Version{state.storage, state.agreed} {
		if written == nil || written.Major < own.Major || (written.Major == own.Major && written.Minor <= own.Minor) {
			continue
		}
		return refusal("ETO-3033", dir, fmt.Errorf("etcd %d.%d wrote it, this is %s", written.Major, written.Minor, own),
			fmt.Sprintf("run etcd %d.%d or newer on it, or downgrade the cluster first: etcdops downgrade validate %d.%d",
				written.Major, written.Minor, own.Major, own.Minor))
	}
	return nil
}

// checkLog refuses a database without the log that it came from, as when the file system of --wal-dir is not mounted. etcd
// would begin a new log and leave the first entries out that it acknowledges, up to the index that the database is at.
func checkLog(cfg *embed.Config, state dirState) error {
	if state.initialised || state.applied == 0 {
		return nil
	}
	dir := walDir(cfg)
	return refusal("ETO-3034", cfg.Dir,
		fmt.Errorf("its database contains the log up to entry %d, but there is no log in %s", state.applied, absolute(dir)),
		"is that file system mounted, and --wal-dir the one that it was? With the log lost: etcdops explain replace-member")
}
