package clustertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// AddMember adds a member of the given kind as a voter or a learner, and starts it.
func (c *Cluster) AddMember(tb testing.TB, kind Kind, learner bool) *Member {
	tb.Helper()
	m := c.newMember(tb, kind)
	c.Readd(tb, m, learner)
	m.Start(tb)
	return m
}

// Readd adds a member that the cluster does not have (any more), without starting it. Its next start joins.
func (c *Cluster) Readd(tb testing.TB, m *Member, learner bool) {
	tb.Helper()
	client := c.Client(tb)
	add := client.MemberAdd
	if learner {
		add = client.MemberAddAsLearner
	}
	ctx := Context(tb, readyLimit)
	// A change that is proposed while there is no leader waits for its whole time: the removal of a leader leaves none.
	if err := repeat(ctx, func() error { return linearizable(ctx, client) }); err != nil {
		tb.Fatalf("add %s: no quorum: %v", m.Name, err)
	}
	var response *clientv3.MemberAddResponse
	err := whileUnhealthy(ctx, func() (err error) {
		response, err = add(ctx, []string{m.PeerURL})
		return err
	})
	if err != nil {
		tb.Fatalf("add %s: %v", m.Name, err)
	}
	m.InitialState = "existing"
	m.InitialCluster = initialClusterOf(response.Members, response.Member.ID, m.Name)
}

// RemoveMember removes a member from the cluster; its process, which ends by itself then, is waited for. It stays in
// Members only if it is added again.
func (c *Cluster) RemoveMember(tb testing.TB, m *Member) {
	tb.Helper()
	ctx := Context(tb, readyLimit)
	id := c.memberID(ctx, tb, m)
	client := c.Client(tb)
	err := whileUnhealthy(ctx, func() error {
		_, err := client.MemberRemove(ctx, id)
		return err
	})
	if err != nil {
		tb.Fatalf("remove %s: %v", m.Name, err)
	}
	if m.Running() && !m.process.wait(stopLimit) {
		m.Kill(tb)
	}
}

// memberID looks the member up in the cluster's list by its peer URL.
func (c *Cluster) memberID(ctx context.Context, tb testing.TB, m *Member) uint64 {
	tb.Helper()
	list, err := c.Client(tb).MemberList(ctx)
	if err != nil {
		tb.Fatalf("list members: %v", err)
	}
	for _, member := range list.Members {
		if slices.Contains(member.PeerURLs, m.PeerURL) {
			return member.ID
		}
	}
	tb.Fatalf("%s is not in the cluster's list", m.Name)
	return 0
}

// initialClusterOf is the value of --initial-cluster for a member that was just added under newID.
func initialClusterOf(members []*etcdserverpb.Member, newID uint64, newName string) string {
	var pairs []string
	for _, member := range members {
		name := member.Name
		if member.ID == newID {
			name = newName
		}
		for _, url := range member.PeerURLs {
			pairs = append(pairs, name+"="+url)
		}
	}
	return strings.Join(pairs, ",")
}

// whileUnhealthy repeats a change of the membership while the server refuses it because its members have not been
// connected for long enough (5 s), which is so just after a start.
func whileUnhealthy(ctx context.Context, change func() error) error {
	var refused error
	err := repeat(ctx, func() error {
		err := change()
		if errors.Is(err, rpctypes.ErrUnhealthy) {
			return err
		}
		refused = err
		return nil
	})
	return errors.Join(err, refused)
}

// linearizable reads through the quorum, or fails soon.
func linearizable(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := client.Get(ctx, "clustertest")
	return err
}
