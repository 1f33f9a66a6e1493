package datadir

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/ops"
)

// store is what a database file says, before it is put together with the log.
type store struct {
	db       Database
	members  []Member
	removed  []ops.MemberID
	voters   int  // of the raft configuration, 0 when the database has none (before 3.5)
	hasConf  bool // it records the raft configuration: 3.5 or newer
	cluster  string
	storage  string
	problems []Problem
}

// readDatabase reads a database file. The error says why nothing, or not everything, could be read; what was read is
// there all the same.
func readDatabase(ctx context.Context, path string, snapshot bool, opts Options) (*store, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	s := &store{db: Database{Size: info.Size()}}
	size := info.Size()
	hasSum := snapshot && size%sector == sha256.Size
	if hasSum {
		size -= sha256.Size
	}
	if !opts.NoHash || hasSum { // without the keys few pages are read
		if err := s.prefetch(ctx, f, size, hasSum); err != nil {
			return s, err
		}
	}
	file, err := openBolt(f, size)
	if file != nil {
		s.db.PageSize, s.db.TxID = int(file.page), file.txid
		if !file.both {
			s.note(SeverityWarning, "one of its two first pages is invalid; the other, which etcd takes, may be one transaction older")
		}
	}
	if err != nil {
		return s, err
	}
	err = s.readBuckets(ctx, file, opts)
	s.db.InUse = int64(file.used+2) * file.page //nolint:gosec // pages of the file
	if again, other := openBolt(f, size); other != nil || again.txid != file.txid {
		s.note(SeverityWarning, "it was written while it was read: the facts are not of one moment")
	}
	return s, err
}

// prefetch reads the file once from beginning to end, so that the walk through its pages finds them in memory: single
// pages from a cold disk take twenty times as long. The checksum at the end of a snapshot is checked on the way.
func (s *store) prefetch(ctx context.Context, f *os.File, size int64, hasSum bool) error {
	sum := io.Discard
	hash := sha256.New()
	if hasSum {
		sum = hash
	}
	buf := make([]byte, 4<<20)
	for at := int64(0); at < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if n == 0 && err != nil {
			return fmt.Errorf("byte %d: %w", at, err)
		}
		_, _ = sum.Write(buf[:n]) // a hash takes everything
		at += int64(n)
	}
	if !hasSum {
		return nil
	}
	want := make([]byte, sha256.Size)
	if _, err := f.ReadAt(want, size); err != nil {
		return err
	}
	got := hash.Sum(nil)
	ok := string(got) == string(want)
	s.db.Checksum, s.db.SHA256 = &ok, hex.EncodeToString(got)
	if !ok {
		return fmt.Errorf("%w: the sha256 at its end does not match its content", errPage)
	}
	return nil
}

func (s *store) note(severity Severity, text string) {
	s.problems = append(s.problems, Problem{Severity: severity, Text: text})
}

// readBuckets reads all buckets; what damage hides is left out.
func (s *store) readBuckets(ctx context.Context, file *boltFile, opts Options) error {
	buckets, err := file.buckets()
	for _, name := range slices.Sorted(maps.Keys(buckets)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if name == "key" {
			continue
		}
		err = cmp.Or(err, s.readSmall(file, name, buckets[name]))
	}
	key, there := buckets["key"]
	switch {
	case !there:
		return cmp.Or(err, fmt.Errorf("%w: it has no keys bucket: it is not etcd's, or never was in use", errPage))
	case opts.NoHash:
		return err
	}
	return cmp.Or(err, s.readKeys(file, key, opts))
}

// readKeys goes through all keys.
func (s *store) readKeys(file *boltFile, key boltBucket, opts Options) error {
	finished, scheduled := s.db.CompactRevision, s.db.Revision // as readMetaValue left them
	compact := max(finished, scheduled)
	if opts.CompactAt != nil {
		compact = *opts.CompactAt
	}
	space := newKeyspace(file, key, compact, compact <= finished, opts.HashAt)
	err := space.read()
	s.db.CompactRevision = max(finished, scheduled)
	s.db.Revision = max(space.revision, s.db.CompactRevision, 1)
	s.db.Keys, s.db.Records = space.live, space.records
	if err != nil {
		return err
	}
	s.db.Hash, err = space.hash(s.db.Revision)
	if err != nil {
		s.note(SeverityNote, err.Error())
	}
	return nil
}

// readSmall reads a bucket that is not the keys'.
func (s *store) readSmall(file *boltFile, name string, bucket boltBucket) error {
	readers := map[string]func(k, v []byte) error{
		"meta": s.readMetaValue, "members": s.readMember, "members_removed": s.readRemoved, "cluster": s.readCluster,
		"alarm": s.readAlarm, "auth": s.readAuth,
		"lease":     func(_, _ []byte) error { s.db.Leases++; return nil },
		"authUsers": func(k, _ []byte) error { s.db.Users = append(s.db.Users, string(k)); return nil },
		"authRoles": func(k, _ []byte) error { s.db.Roles = append(s.db.Roles, string(k)); return nil },
	}
	read := readers[name]
	if read == nil {
		read = func(_, _ []byte) error { return nil } // walked for its pages
	}
	file.begin()
	if err := file.walk(bucket, nil, read); err != nil {
		return fmt.Errorf("bucket %s: %w", strconv.Quote(name), err)
	}
	return nil
}

// readMetaValue reads what the store notes of itself. The compaction's two revisions are kept where they are not known yet.
func (s *store) readMetaValue(k, v []byte) error {
	switch string(k) {
	case "consistent_index":
		if len(v) == 8 {
			s.db.ConsistentIndex = binary.BigEndian.Uint64(v)
		}
	case "term":
		if len(v) == 8 {
			s.db.Term = binary.BigEndian.Uint64(v)
		}
	case "finishedCompactRev", "scheduledCompactRev":
		if len(v) < 8 || v[0] > 0x7f {
			return fmt.Errorf("%w: %s is no revision", errPage, k)
		}
		revision := int64(binary.BigEndian.Uint64(v)) //nolint:gosec // the sign was looked at
		if string(k) == "finishedCompactRev" {
			s.db.CompactRevision = revision
		} else {
			s.db.Revision = revision
		}
	case "confState":
		var conf struct {
			Voters []uint64 `json:"voters"`
		}
		s.hasConf = true
		if json.Unmarshal(v, &conf) == nil {
			s.voters = len(conf.Voters)
		}
	case "storageVersion":
		s.storage = string(v)
	}
	return nil
}

func (s *store) readMember(_, v []byte) error {
	var m struct {
		ID         uint64   `json:"id"`
		Name       string   `json:"name"`
		PeerURLs   []string `json:"peerURLs"`
		ClientURLs []string `json:"clientURLs"`
		IsLearner  bool     `json:"isLearner"`
	}
	if err := json.Unmarshal(v, &m); err != nil {
		return fmt.Errorf("%w: a member does not decode: %w", errPage, err)
	}
	s.members = append(s.members, Member{
		ID: ops.MemberID(m.ID), Name: m.Name, PeerURLs: orEmpty(m.PeerURLs), ClientURLs: orEmpty(m.ClientURLs), Learner: m.IsLearner,
	})
	return nil
}

func (s *store) readRemoved(k, _ []byte) error {
	id, err := ops.ParseMemberID(string(k))
	if err != nil {
		return fmt.Errorf("%w: %w", errPage, err)
	}
	s.removed = append(s.removed, id)
	return nil
}

func (s *store) readCluster(k, v []byte) error {
	if string(k) == "clusterVersion" {
		s.cluster = string(v)
	}
	return nil
}

func (s *store) readAlarm(k, _ []byte) error {
	var m etcdserverpb.AlarmMember
	if err := proto.Unmarshal(k, &m); err != nil {
		return fmt.Errorf("%w: an alarm does not decode", errPage)
	}
	s.db.Alarms = append(s.db.Alarms, Alarm{Member: ops.MemberID(m.GetMemberID()), Alarm: m.GetAlarm().String()})
	return nil
}

func (s *store) readAuth(k, v []byte) error {
	switch string(k) {
	case "authEnabled":
		s.db.AuthEnabled = len(v) == 1 && v[0] == 1
	case "authRevision":
		if len(v) == 8 {
			s.db.AuthRevision = binary.BigEndian.Uint64(v)
		}
	}
	return nil
}

// orEmpty makes a list of nothing an empty one: in JSON null would mean that it is not known.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
