package clustertest_test

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// TestCluster starts, writes to, stops, kills and restarts clusters of each layout.
func TestCluster(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]clustertest.Options{
		"one":     {},
		"three":   {Size: 3},
		"tls":     {Size: 3, TLS: true},
		"auth":    {Size: 1, Auth: &clustertest.Auth{}},
		"etcd34":  {Size: 1, Kind: clustertest.KindEtcd34},
		"serve":   {Size: 3, Kind: clustertest.KindServe, TLS: true},
		"mixed":   {Kinds: []clustertest.Kind{clustertest.KindEtcd, clustertest.KindServe, clustertest.KindEtcd}},
		"seven":   {Size: 7},
		"tlsauth": {Size: 1, TLS: true, Auth: &clustertest.Auth{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.New(t, opts)
			ctx := clustertest.Context(t, 30*time.Second)
			client := c.Client(t)
			if _, err := client.Put(ctx, "app/a", "1"); err != nil {
				t.Fatal(err)
			}
			last := c.Members[len(c.Members)-1]
			last.Kill(t)
			last.Start(t)
			last.Restart(t)
			got, err := last.Client(t).Get(ctx, "app/a", clientv3.WithLimit(1))
			if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "1" {
				t.Fatalf("read back %v, %v", got, err)
			}
		})
	}
}
