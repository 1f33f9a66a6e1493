package ops

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// Member is one entry of a cluster's member list.
type Member struct {
	ID         MemberID `json:"id"`
	Name       string   `json:"name"` // empty until the member has started once and published it
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"` // as advertised; empty until the member has started once
	Learner    bool     `json:"learner"`     // receives the log, does not vote
}

// Started reports whether the member ever started: a member publishes its name with its first start.
func (m Member) Started() bool { return m.Name != "" }

// Label names the member for people: its name, or its ID while it has none.
func (m Member) Label() string {
	if m.Name != "" {
		return m.Name
	}
	return m.ID.String()
}

// Membership is the member list of a cluster as one member knows it, in the order of the IDs.
type Membership struct {
	ClusterID ClusterID `json:"cluster_id"`
	Members   []Member  `json:"members"`
}

// Voters returns the members that count towards the majority, also those that never started.
func (m Membership) Voters() []Member { return m.filter(false) }

// Learners returns the members that do not vote.
func (m Membership) Learners() []Member { return m.filter(true) }

func (m Membership) filter(learner bool) []Member {
	var out []Member
	for _, member := range m.Members {
		if member.Learner == learner {
			out = append(out, member)
		}
	}
	return out
}

// ByID returns the member with the given ID.
func (m Membership) ByID(id MemberID) (Member, bool) {
	i := slices.IndexFunc(m.Members, func(member Member) bool { return member.ID == id })
	if i < 0 {
		return Member{}, false
	}
	return m.Members[i], true
}

// Find resolves what people type for a member: its name, its ID in hexadecimal, or one of its URLs. It fails when
// nothing or more than one member matches.
func (m Membership) Find(ref string) (Member, error) {
	var found []Member
	for _, member := range m.Members {
		if member.matches(ref) {
			found = append(found, member)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Member{}, fmt.Errorf("no member %q; there are %s", ref, m.labels())
	}
	return Member{}, fmt.Errorf("%d members match %q: name one by its ID", len(found), ref)
}

func (m Member) matches(ref string) bool {
	if id, err := ParseMemberID(ref); err == nil && id == m.ID {
		return true
	}
	if m.Name != "" && m.Name == ref {
		return true
	}
	return slices.Contains(m.ClientURLs, ref) || slices.Contains(m.PeerURLs, ref)
}

func (m Membership) labels() string {
	var names []string
	for _, member := range m.Members {
		name := member.Label()
		if !member.Started() { // it has no name yet, and its ID tells nobody anything
			name += " at " + strings.Join(member.PeerURLs, ",") + ", never started"
		}
		names = append(names, name)
	}
	return strings.Join(names, "; ")
}

// Equal reports whether both lists name the same members with the same attributes; the order of URLs does not matter.
func (m Membership) Equal(other Membership) bool {
	return m.ClusterID == other.ClusterID && slices.EqualFunc(m.Members, other.Members, Member.equal)
}

func (m Member) equal(other Member) bool {
	return m.ID == other.ID && m.Name == other.Name && m.Learner == other.Learner &&
		sameSet(m.PeerURLs, other.PeerURLs) && sameSet(m.ClientURLs, other.ClientURLs)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// ReadMembership asks the member behind conn for its own copy of the member list. It needs no quorum and commits
// nothing; the copy may be behind. A learner refuses this request, and so does a member with auth on unless the
// connection carries a user.
func ReadMembership(ctx context.Context, conn grpc.ClientConnInterface) (Membership, error) {
	resp, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: false})
	if err != nil {
		return Membership{}, err
	}
	return membershipOf(resp), nil
}

// MembershipOf is the member list in an answer of etcd's client.
func MembershipOf(resp *clientv3.MemberListResponse) Membership {
	return membershipOf((*pb.MemberListResponse)(resp))
}

func membershipOf(resp *pb.MemberListResponse) Membership {
	list := Membership{ClusterID: ClusterID(resp.GetHeader().GetClusterId()), Members: []Member{}}
	for _, m := range resp.GetMembers() {
		list.Members = append(list.Members, Member{
			ID: MemberID(m.GetID()), Name: m.GetName(), Learner: m.GetIsLearner(),
			PeerURLs: orEmpty(m.GetPeerURLs()), ClientURLs: orEmpty(m.GetClientURLs()),
		})
	}
	slices.SortFunc(list.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// orEmpty keeps JSON lists from being null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Membership returns the member list as a majority confirms it; without a quorum it fails (see ReadMembership).
func (c *Cluster) Membership(ctx context.Context) (Membership, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CommandTimeout)
	defer cancel()
	resp, err := c.all.MemberList(ctx)
	if err != nil {
		return Membership{}, c.Explain(ctx, "list members", "", err)
	}
	return membershipOf((*pb.MemberListResponse)(resp)), nil
}
