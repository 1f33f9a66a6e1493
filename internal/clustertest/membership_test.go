package clustertest_test

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestMembership grows a cluster by a learner, replaces a member, and reads everything back from both.
func TestMembership(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	ctx := clustertest.Context(t, time.Minute)
	client := c.Client(t)
	if err := put(ctx, client, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	learner := c.AddMember(t, clustertest.KindEtcd, true)

	lost := c.Members[2]
	c.RemoveMember(t, lost)
	lost.Wipe(t)
	c.Readd(t, lost, false)
	lost.Start(t)

	list, err := client.MemberList(ctx)
	if err != nil || len(list.Members) != 4 {
		t.Fatalf("members: %v, %v", list, err)
	}
	for _, m := range []*clustertest.Member{learner, lost} {
		got, err := m.Client(t).Get(ctx, "put", clientv3.WithSerializable())
		if err != nil || len(got.Kvs) != 1 {
			t.Errorf("%s holds %v, %v", m.Name, got, err)
		}
	}
}
