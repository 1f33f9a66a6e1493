package seed

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/recovery/datadir"
)

// Sealed tells whether Seal is done.
func (w Work) Sealed() bool { return exists(filepath.Join(w.Replica(), "member", "wal")) }

// Seal writes the replica's log: the entries of the source's, all of them committed up to last, which is what electing
// this log would do. The log gets a cluster ID that nobody else has, so that members of the old cluster which run somewhere
// all the same cannot talk with the replica: etcd refuses peers of another cluster.
func (w Work) Seal(info *datadir.Info, last uint64) error {
	start, conf, err := w.startOf(info)
	if err != nil {
		return err
	}
	state, entries, err := readEntries(info, start)
	if err != nil {
		return err
	}
	if n := len(entries); n > 0 && entries[n-1].GetIndex() != last || n == 0 && start.GetIndex() != last {
		return fmt.Errorf("the log does not end at entry %d as it did when the plan was made", last)
	}
	to := filepath.Join(w.Dir, "wal"+partial)
	if err := os.RemoveAll(to); err != nil { // our own, of a run that was killed
		return err
	}
	cluster, err := randomID()
	if err != nil {
		return err
	}
	meta, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(info.MemberID)), ClusterID: new(cluster)})
	if err != nil {
		return err
	}
	sealed := &raftpb.HardState{Term: state.Term, Vote: state.Vote, Commit: new(last)}
	if err := guarded("write the new log", func(lg *zap.Logger) error { return writeLog(lg, to, meta, start, conf, sealed, entries) }); err != nil {
		return err
	}
	return publish(to, filepath.Join(w.Replica(), "member", "wal"))
}

// writeLog writes a new log and makes it durable.
func writeLog(lg *zap.Logger, to string, meta []byte, start *walpb.Snapshot, conf *raftpb.ConfState, state *raftpb.HardState, entries []*raftpb.Entry) error {
	log, err := wal.Create(lg, to, meta)
	if err == nil && log == nil { // etcd forgets the error when a directory cannot be synced
		err = fmt.Errorf("%s could not be written to the disk", to)
	}
	if err != nil {
		return err
	}
	if start.GetIndex() > 0 {
		err = log.SaveSnapshot(&walpb.Snapshot{Index: start.Index, Term: start.Term, ConfState: conf})
	}
	if err == nil {
		err = log.Save(state, entries)
	}
	if err == nil {
		err = log.Sync()
	}
	return errors.Join(err, log.Close())
}

// startOf finds the newest raft snapshot that the replica can start from; index 0 for the beginning of the log.
func (w Work) startOf(info *datadir.Info) (*walpb.Snapshot, *raftpb.ConfState, error) {
	valid, err := wal.ValidSnapshotEntries(zap.NewNop(), info.WAL.Dir)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range info.Snapshots { // newest first
		for _, v := range valid {
			if !s.OK || v.GetIndex() != s.Index || v.GetTerm() != s.Term {
				continue
			}
			file, err := snap.Read(zap.NewNop(), filepath.Join(w.Replica(), "member", "snap", s.Name))
			if err != nil {
				return nil, nil, err
			}
			return v, file.GetMetadata().GetConfState(), nil
		}
	}
	return &walpb.Snapshot{Index: proto.Uint64(0), Term: proto.Uint64(0)}, nil, nil
}

// readEntries reads the source's log after a snapshot; nothing is written. A torn tail is left out, as the inspection told.
func readEntries(info *datadir.Info, start *walpb.Snapshot) (*raftpb.HardState, []*raftpb.Entry, error) {
	log, err := wal.OpenForRead(zap.NewNop(), info.WAL.Dir, start)
	if err != nil {
		return nil, nil, err
	}
	_, state, entries, err := log.ReadAll()
	_ = log.Close() // opened for reading, it complains about the directory that it does not hold
	if err != nil {
		return nil, nil, fmt.Errorf("read the log: %w", err)
	}
	return state, entries, nil
}

func randomID() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b[:]) | 1, nil
}
