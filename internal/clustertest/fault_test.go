package clustertest_test

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestPartition cuts the leader of a TLS cluster off: the others elect another, and it cannot commit until the heal.
func TestPartition(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true})
	ctx := clustertest.Context(t, time.Minute)
	leader := c.WaitLeader(t, c.Members...)
	c.Isolate(t, leader.Name)
	var others []*clustertest.Member
	for _, m := range c.Members {
		if m != leader {
			others = append(others, m)
		}
	}
	next := c.WaitLeader(t, others...)
	if next == leader {
		t.Fatalf("%s leads although it is cut off", leader.Name)
	}
	if _, err := next.Client(t).Put(ctx, "a", "1"); err != nil {
		t.Fatalf("write through the majority: %v", err)
	}
	if err := put(ctx, leader.Client(t), time.Second); err == nil {
		t.Fatal("a member that is cut off acknowledged a write")
	}
	c.Heal()
	if again := c.WaitLeader(t, c.Members...); again == leader {
		t.Logf("%s leads again", leader.Name)
	}
	if err := put(ctx, leader.Client(t), 20*time.Second); err != nil {
		t.Fatalf("write after the heal: %v", err)
	}
}

// TestClientsCutOff cuts the clients off alone: what they write arrives nowhere, until the heal.
func TestClientsCutOff(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 1, ClientProxy: true})
	ctx := clustertest.Context(t, time.Minute)
	client := c.Client(t)
	if err := put(ctx, client, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	c.Partition(t, []string{clustertest.Clients}, []string{"m1"})
	if err := put(ctx, client, time.Second); err == nil {
		t.Fatal("a client that is cut off wrote")
	}
	c.Heal()
	if err := put(ctx, client, 20*time.Second); err != nil {
		t.Fatal(err)
	}
}

// put writes one key within limit.
func put(ctx context.Context, client *clientv3.Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := client.Put(ctx, "put", "1")
	return err
}
