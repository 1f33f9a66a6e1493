package memberdir

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// writeLog writes the write-ahead log and the raft snapshot that a cluster of these members begins with: one entry for each
// member that joins, all committed.
func writeLog(lg *zap.Logger, cluster *membership.RaftCluster, name, walDir, snapDir string) error {
	self := cluster.MemberByName(name)
	metadata, err := proto.Marshal(&etcdserverpb.Metadata{
		NodeID: new(uint64(self.ID)), ClusterID: new(uint64(cluster.ID())),
	})
	if err != nil {
		return err
	}
	ids := cluster.MemberIDs()
	slices.Sort(ids)
	entries, voters, err := joinEntries(cluster, ids)
	if err != nil {
		return err
	}
	last := uint64(len(entries))
	conf := &raftpb.ConfState{Voters: voters}
	log, err := wal.Create(lg, walDir, metadata)
	if err == nil && log == nil { // etcd forgets the error when a directory cannot be synced
		err = fmt.Errorf("%s could not be written to the disk", walDir)
	}
	if err != nil {
		return err
	}
	state := &raftpb.HardState{Term: new(uint64(firstTerm)), Vote: new(voters[0]), Commit: new(last)}
	err = log.Save(state, entries)
	if err == nil {
		err = snap.New(lg, snapDir).SaveSnap(&raftpb.Snapshot{
			Data:     etcdserver.GetMembershipInfoInV2Format(lg, cluster),
			Metadata: &raftpb.SnapshotMetadata{Index: new(last), Term: new(uint64(firstTerm)), ConfState: conf},
		})
	}
	if err == nil {
		err = log.SaveSnapshot(&walpb.Snapshot{Index: new(last), Term: new(uint64(firstTerm)), ConfState: conf})
	}
	if err == nil {
		err = log.Sync()
	}
	return errors.Join(err, log.Close())
}

// joinEntries are the log entries with which the members join.
func joinEntries(cluster *membership.RaftCluster, ids []types.ID) (entries []*raftpb.Entry, voters []uint64, err error) {
	for i, id := range ids {
		member, err := json.Marshal(cluster.Member(id))
		if err != nil {
			return nil, nil, err
		}
		change, err := proto.Marshal(&raftpb.ConfChange{
			Type: raftpb.ConfChangeAddNode.Enum(), NodeId: new(uint64(id)), Context: member,
		})
		if err != nil {
			return nil, nil, err
		}
		voters = append(voters, uint64(id))
		entries = append(entries, &raftpb.Entry{
			Type: raftpb.EntryConfChange.Enum(), Term: new(uint64(firstTerm)), Index: new(uint64(i + 1)), Data: change,
		})
	}
	return entries, voters, nil
}
