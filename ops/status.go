package ops

import (
	"context"
	"strconv"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Status is what one member tells about itself. Reading it needs no quorum and commits nothing.
type Status struct {
	ClusterID      ClusterID `json:"cluster_id"`
	MemberID       MemberID  `json:"member_id"`
	Version        string    `json:"version"`         // of the server, as in "3.7.3"
	StorageVersion string    `json:"storage_version"` // of the database file; empty before 3.6
	Leader         MemberID  `json:"leader"`          // as this member sees it; 0 for none
	Learner        bool      `json:"learner"`
	Revision       int64     `json:"revision"`
	RaftTerm       uint64    `json:"raft_term"`
	RaftIndex      uint64    `json:"raft_index"`         // committed
	RaftApplied    uint64    `json:"raft_applied_index"` // applied to the database
	DBSize         int64     `json:"db_size"`            // bytes of the database file
	DBSizeInUse    int64     `json:"db_size_in_use"`     // bytes of it that hold data
	DBQuota        int64     `json:"db_quota"`           // bytes; 0 when the member does not tell (before 3.6)
	Downgrade      string    `json:"downgrade"`          // target version of a downgrade under way; empty for none
	Errors         []string  `json:"errors"`             // alarms and complaints in the server's words
}

// ReadStatus asks the member behind conn for its status. A member with auth on refuses unless the connection carries a
// user.
func ReadStatus(ctx context.Context, conn grpc.ClientConnInterface) (Status, error) {
	resp, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return Status{}, err
	}
	return statusOf(resp), nil
}

func statusOf(resp *pb.StatusResponse) Status {
	s := Status{
		ClusterID: ClusterID(resp.GetHeader().GetClusterId()), MemberID: MemberID(resp.GetHeader().GetMemberId()),
		Version: resp.GetVersion(), StorageVersion: resp.GetStorageVersion(),
		Leader: MemberID(resp.GetLeader()), Learner: resp.GetIsLearner(), Revision: resp.GetHeader().GetRevision(),
		RaftTerm: resp.GetRaftTerm(), RaftIndex: resp.GetRaftIndex(), RaftApplied: resp.GetRaftAppliedIndex(),
		DBSize: resp.GetDbSize(), DBSizeInUse: resp.GetDbSizeInUse(), DBQuota: resp.GetDbSizeQuota(),
		Errors: orEmpty(resp.GetErrors()),
	}
	if d := resp.GetDowngradeInfo(); d.GetEnabled() {
		s.Downgrade = d.GetTargetVersion()
	}
	return s
}

// Alarm is a condition that a member raised for the whole cluster.
type Alarm struct {
	Member MemberID `json:"member"`
	Type   string   `json:"type"` // "NOSPACE", "CORRUPT"
}

// Meaning says what the alarm does, in a few words.
func (a Alarm) Meaning() string {
	switch a.Type {
	case "NOSPACE":
		return "its database is full, the cluster accepts no writes"
	case "CORRUPT":
		return "its data differs from the other members', do not trust it"
	}
	return "a kind that this version does not know"
}

// Alarms picks the alarms out of the server's complaints, which repeat those of the whole cluster; others are what is
// left. That there is no leader is told by Leader and is neither.
func (s Status) Alarms() (alarms []Alarm, others []string) {
	for _, text := range s.Errors {
		switch alarm, ok := parseAlarm(text); {
		case ok:
			alarms = append(alarms, alarm)
		case text != noLeaderText:
			others = append(others, text)
		}
	}
	return alarms, others
}

// noLeaderText is how a member without a leader complains.
const noLeaderText = "etcdserver: no leader"

// parseAlarm reads the text form of an alarm, fields in any order and with any blanks between them, as in
// "memberID:1234 alarm:NOSPACE ". The member ID is decimal, and missing where it is 0: a leader that sees that data differ and
// cannot tell whose are wrong raises CORRUPT for no member in particular.
func parseAlarm(text string) (Alarm, bool) {
	var a Alarm
	for field := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(field, ":")
		switch key {
		case "memberID":
			id, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return Alarm{}, false
			}
			a.Member = MemberID(id)
		case "alarm":
			a.Type = value
		default:
			return Alarm{}, false
		}
	}
	return a, a.Type != ""
}

// StatusReply is how one endpoint answered: with its status, or not.
type StatusReply struct {
	Endpoint string
	Status   Status
	Err      error // a *HintError; nil when Status is known
}

// Statuses asks all endpoints of Config at once and returns their answers in the order of Config. A member that does
// not answer costs CommandTimeout at most and is a reply too. It needs no quorum and commits nothing.
func (c *Cluster) Statuses(ctx context.Context) []StatusReply {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CommandTimeout)
	defer cancel()
	replies := make([]StatusReply, len(c.cfg.Endpoints))
	var pending sync.WaitGroup
	for i, endpoint := range c.cfg.Endpoints {
		pending.Go(func() { replies[i] = c.statusAt(ctx, endpoint) })
	}
	pending.Wait()
	return replies
}

func (c *Cluster) statusAt(ctx context.Context, endpoint string) StatusReply {
	r := StatusReply{Endpoint: endpoint}
	conn, err := c.Conn(ctx, endpoint)
	if err == nil {
		r.Status, err = ReadStatus(ctx, conn)
	}
	r.Err = c.Explain(ctx, "read status of", endpoint, err)
	return r
}
