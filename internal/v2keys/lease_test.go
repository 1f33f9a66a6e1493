package v2keys

import (
	"context"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// deaf carries transactions out and loses the answers of those that write.
type deaf struct{ clientv3.KV }

// Txn implements clientv3.KV.
func (d deaf) Txn(ctx context.Context) clientv3.Txn { return deafTxn{d.KV.Txn(ctx)} }

type deafTxn struct{ clientv3.Txn }

func (d deafTxn) If(cs ...clientv3.Cmp) clientv3.Txn  { return deafTxn{d.Txn.If(cs...)} }
func (d deafTxn) Then(os ...clientv3.Op) clientv3.Txn { return deafTxn{d.Txn.Then(os...)} }

// Commit implements clientv3.Txn.
func (d deafTxn) Commit() (*clientv3.TxnResponse, error) {
	if _, err := d.Txn.Commit(); err != nil {
		return nil, err
	}
	return nil, context.DeadlineExceeded
}

// TestLostAnswerKeepsTheKey: a key with a time to live is written, and the answer is lost. The key lives as long as it was told:
// whoever reads it may take the write for done.
func TestLostAnswerKeepsTheKey(t *testing.T) { //nolint:paralleltest // sockets are named in the working directory
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = filepath.Join(t.TempDir(), "data"), "fatal"
	socket := func(name string) []url.URL { return []url.URL{{Scheme: "unix", Host: name, Path: ""}} }
	t.Chdir(t.TempDir())
	cfg.ListenClientUrls, cfg.ListenPeerUrls = socket("localhost:1"), socket("localhost:2")
	member, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	<-member.Server.ReadyNotify()
	s := &store{member: member.Server, client: v3client.New(member.Server), locks: newPathLocks()}
	s.root.member = member.Server
	kv := s.client.KV
	s.client.KV = deaf{kv}
	r := &request{method: "PUT", path: "/x", value: "v", ttl: 3600, expires: time.Now().Add(time.Hour)}
	c, fault := r.decide(&view{nodes: map[string]*node{}}, time.Now())
	if fault != nil {
		t.Fatal(fault)
	}
	if _, done, err := s.commit(t.Context(), r, c); done || err == nil {
		t.Fatal("the answer was not lost")
	}
	for range 200 {
		got, err := kv.Get(t.Context(), Key("/x"))
		if err != nil || len(got.Kvs) != 1 {
			t.Fatalf("the key is gone: %v", err)
		}
	}
}
