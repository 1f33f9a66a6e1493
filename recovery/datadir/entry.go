package datadir

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/ops"
)

// entryKind sorts entries by what they may do to keys.
type entryKind uint8

const (
	entryOther entryKind = iota // no key is changed: elections, leases, alarms, users, membership
	entryWrite                  // keys may be changed
)

// oldRequest is what members up to 3.5 published themselves with: a request of the old keys API.
type oldRequest struct{ method, path, value string }

// decodeEntry reads a normal entry's content: a request of today, or an old one. Both are nil when it is neither.
func decodeEntry(data []byte) (*etcdserverpb.InternalRaftRequest, *oldRequest) {
	if old := decodeOldRequest(data); old != nil {
		return nil, old
	}
	var req etcdserverpb.InternalRaftRequest
	if proto.Unmarshal(data, &req) != nil {
		return nil, nil
	}
	return &req, nil
}

// decodeOldRequest reads {ID, method, path, value}; nil when data is something else. Its second field is a word, which no
// request of today has there.
func decodeOldRequest(data []byte) *oldRequest {
	var out oldRequest
	for len(data) > 0 {
		num, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil
		}
		data = data[n:]
		if num >= 2 && num <= 4 && kind == protowire.BytesType {
			text, n := protowire.ConsumeString(data)
			if n < 0 {
				return nil
			}
			data = data[n:]
			switch num {
			case 2:
				out.method = text
			case 3:
				out.path = text
			default:
				out.value = text
			}
			continue
		}
		n = protowire.ConsumeFieldValue(num, kind, data)
		if n < 0 {
			return nil
		}
		data = data[n:]
	}
	switch out.method {
	case "PUT", "POST", "DELETE", "QGET", "SYNC", "GET":
		return &out
	}
	return nil
}

// classify sorts an entry, and reads the change of membership in it, if there is one.
func classify(e *raftpb.Entry) (entryKind, *Change) {
	if e.GetType() != raftpb.EntryNormal {
		return entryOther, membershipChange(e)
	}
	req, _ := decodeEntry(e.GetData())
	if req != nil && (req.Put != nil || req.DeleteRange != nil || req.Txn != nil || req.LeaseRevoke != nil) {
		return entryWrite, nil
	}
	return entryOther, nil
}

// changeContext is what the server writes beside a change of membership.
type changeContext struct {
	PeerURLs  []string `json:"peerURLs"`
	IsLearner bool     `json:"isLearner"`
	IsPromote bool     `json:"isPromote"`
}

func membershipChange(e *raftpb.Entry) *Change {
	if e.GetType() == raftpb.EntryConfChangeV2 { // etcd itself proposes none
		return &Change{Index: e.GetIndex(), Action: "joint change"}
	}
	var cc raftpb.ConfChange
	if proto.Unmarshal(e.GetData(), &cc) != nil {
		return &Change{Index: e.GetIndex(), Action: "unreadable change"}
	}
	var about changeContext
	_ = json.Unmarshal(cc.GetContext(), &about) // an empty one is fine: removals have none
	change := &Change{Index: e.GetIndex(), Member: ops.MemberID(cc.GetNodeId()), URLs: about.PeerURLs}
	switch cc.GetType() {
	case raftpb.ConfChangeAddNode:
		change.Action = "add"
		if about.IsPromote {
			change.Action = "promote"
		}
	case raftpb.ConfChangeAddLearnerNode:
		change.Action = "add-learner"
	case raftpb.ConfChangeRemoveNode:
		change.Action = "remove"
	case raftpb.ConfChangeUpdateNode:
		change.Action = "update"
	}
	return change
}

// publications takes what members tell of themselves through the log.
func (l *logReader) publications(e *raftpb.Entry) {
	if e.GetType() != raftpb.EntryNormal {
		return
	}
	req, old := decodeEntry(e.GetData())
	switch {
	case old != nil && old.method == "PUT" && old.path == "/0/version":
		l.version = old.value
	case old != nil && old.method == "PUT" && path.Base(old.path) == "attributes":
		var attributes struct {
			Name string `json:"name"`
		}
		id, err := ops.ParseMemberID(path.Base(path.Dir(old.path)))
		if err == nil && json.Unmarshal([]byte(old.value), &attributes) == nil {
			l.names[id] = attributes.Name
		}
	case req != nil && req.ClusterVersionSet != nil:
		l.version = req.ClusterVersionSet.GetVer()
	case req != nil && req.ClusterMemberAttrSet != nil:
		l.names[ops.MemberID(req.ClusterMemberAttrSet.GetMember_ID())] = req.ClusterMemberAttrSet.GetMemberAttributes().GetName()
	}
}

// Describe says in a line what an entry would do, or did. Values and passwords are left out.
func Describe(e *raftpb.Entry) string {
	switch {
	case e.GetType() != raftpb.EntryNormal:
		c := membershipChange(e)
		text := "membership: " + c.Action + " " + c.Member.String()
		if len(c.URLs) > 0 {
			text += " at " + strings.Join(c.URLs, ",")
		}
		return text
	case len(e.GetData()) == 0:
		return "nothing: a leader's first entry"
	}
	req, old := decodeEntry(e.GetData())
	switch {
	case old != nil:
		return strings.ToLower(old.method) + " " + shorten(old.path) + " (keys API of old)"
	case req == nil:
		return fmt.Sprintf("unknown: %d bytes that no request decodes from", len(e.GetData()))
	}
	return describeRequest(req)
}

func describeRequest(r *etcdserverpb.InternalRaftRequest) string {
	switch {
	case r.Put != nil:
		return describePut(r.Put)
	case r.DeleteRange != nil:
		return "delete " + keyRange(r.DeleteRange.GetKey(), r.DeleteRange.GetRangeEnd())
	case r.Txn != nil:
		return describeTxn(r.Txn)
	case r.Compaction != nil:
		return "compact to revision " + strconv.FormatInt(r.Compaction.GetRevision(), 10)
	case r.LeaseGrant != nil:
		return fmt.Sprintf("grant lease %x of %d s", r.LeaseGrant.GetID(), r.LeaseGrant.GetTTL())
	case r.LeaseRevoke != nil:
		return fmt.Sprintf("revoke lease %x with its keys", r.LeaseRevoke.GetID())
	case r.LeaseCheckpoint != nil:
		return fmt.Sprintf("note what is left of %d leases", len(r.LeaseCheckpoint.GetCheckpoints()))
	case r.Alarm != nil:
		return fmt.Sprintf("alarm: %s %s of member %x", strings.ToLower(r.Alarm.GetAction().String()), r.Alarm.GetAlarm(), r.Alarm.GetMemberID())
	case r.ClusterVersionSet != nil:
		return "set cluster version " + shorten(r.ClusterVersionSet.GetVer())
	case r.ClusterMemberAttrSet != nil:
		return fmt.Sprintf("member %x publishes its name %s", r.ClusterMemberAttrSet.GetMember_ID(), shorten(r.ClusterMemberAttrSet.GetMemberAttributes().GetName()))
	case r.DowngradeInfoSet != nil:
		return fmt.Sprintf("downgrade: enabled %t, to %s", r.DowngradeInfoSet.GetEnabled(), shorten(r.DowngradeInfoSet.GetVer()))
	}
	return describeAuth(r)
}

func describeAuth(r *etcdserverpb.InternalRaftRequest) string {
	switch {
	case r.Authenticate != nil:
		return "log in user " + shorten(r.Authenticate.GetName())
	case r.AuthEnable != nil:
		return "turn authentication on"
	case r.AuthDisable != nil:
		return "turn authentication off"
	case r.AuthUserAdd != nil:
		return "add user " + shorten(r.AuthUserAdd.GetName())
	case r.AuthUserDelete != nil:
		return "delete user " + shorten(r.AuthUserDelete.GetName())
	case r.AuthUserChangePassword != nil:
		return "change the password of user " + shorten(r.AuthUserChangePassword.GetName())
	case r.AuthUserGrantRole != nil:
		return "grant user " + shorten(r.AuthUserGrantRole.GetUser()) + " role " + shorten(r.AuthUserGrantRole.GetRole())
	case r.AuthUserRevokeRole != nil:
		return "take role " + shorten(r.AuthUserRevokeRole.GetRole()) + " from user " + shorten(r.AuthUserRevokeRole.GetName())
	case r.AuthRoleAdd != nil:
		return "add role " + shorten(r.AuthRoleAdd.GetName())
	case r.AuthRoleDelete != nil:
		return "delete role " + shorten(r.AuthRoleDelete.GetRole())
	case r.AuthRoleGrantPermission != nil:
		return "change the permissions of role " + shorten(r.AuthRoleGrantPermission.GetName())
	case r.AuthRoleRevokePermission != nil:
		return "change the permissions of role " + shorten(r.AuthRoleRevokePermission.GetRole())
	}
	return "read only: it changes nothing"
}

func describePut(r *etcdserverpb.PutRequest) string {
	text := "put " + shorten(string(r.GetKey())) + " (" + humanize.IBytes(uint64(len(r.GetValue()))) + ")"
	if r.GetLease() != 0 {
		text += fmt.Sprintf(" lease %x", r.GetLease())
	}
	return text
}

// describeTxn lists what a transaction may write; whether its conditions hold is decided when it is applied.
func describeTxn(r *etcdserverpb.TxnRequest) string {
	var parts []string
	for _, branch := range []struct {
		word string
		ops  []*etcdserverpb.RequestOp
	}{{"then", r.GetSuccess()}, {"else", r.GetFailure()}} {
		for _, op := range branch.ops {
			switch {
			case op.GetRequestPut() != nil:
				parts = append(parts, branch.word+" "+describePut(op.GetRequestPut()))
			case op.GetRequestDeleteRange() != nil:
				parts = append(parts, branch.word+" delete "+keyRange(op.GetRequestDeleteRange().GetKey(), op.GetRequestDeleteRange().GetRangeEnd()))
			case op.GetRequestTxn() != nil:
				parts = append(parts, branch.word+" another transaction")
			}
		}
	}
	const shown = 4
	if len(parts) > shown {
		parts = append(parts[:shown], fmt.Sprintf("and %d more", len(parts)-shown))
	}
	if len(parts) == 0 {
		return "transaction that only reads"
	}
	return fmt.Sprintf("transaction of %d conditions: %s", len(r.GetCompare()), strings.Join(parts, ", "))
}

func keyRange(key, end []byte) string {
	switch {
	case len(end) == 0:
		return shorten(string(key))
	case len(end) == 1 && end[0] == 0:
		return "all keys from " + shorten(string(key)) + " on"
	}
	return shorten(string(key)) + " up to " + shorten(string(end))
}

// shorten keeps a line readable, whatever keys contain.
func shorten(text string) string {
	const most = 100
	if len(text) > most {
		text = text[:most] + "..."
	}
	quoted := strconv.Quote(text)
	if quoted == `"`+text+`"` && !strings.ContainsRune(text, ' ') && text != "" {
		return text
	}
	return quoted
}
