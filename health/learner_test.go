package health_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestLearnerHash wants a learner's data compared too, which tells its hash to peers only, and a learner that differs named
// alone: it outvotes nobody. Who may not speak as a peer is told so.
func TestLearnerHash(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{TLS: true})
	put(t, c.Client(t), 20, "key")
	learner := c.AddMember(t, clustertest.KindEtcd, true)
	cfg := at(c.Endpoints()...)
	cfg.TLS = tlsOf(c)
	compared := func() (r health.Report) {
		until(t, "hashes of both", func(context.Context) (bool, error) { // it may be catching up
			r = judge(t, collect(t, cfg, patient(health.DepthDeep)), nil) //nolint:contextcheck // it has a limit of its own
			return check(t, r, "data.hash").Looked == 2, nil
		})
		return r
	}
	if r := compared(); len(found(r, "data.hash")) > 0 {
		t.Errorf("%+v", found(r, "data.hash"))
	}
	if f := found(compared(), "data.keys"); len(f) != 1 || f[0].Severity != health.SeverityUnknown || f[0].Member != learner.Name {
		t.Errorf("its keys: %+v", f)
	}
	learner.Stop(t)
	edit(t, learner, func(keys *bbolt.Bucket) error {
		k, v := keys.Cursor().First()
		return keys.Put(k, []byte(strings.Replace(string(v), "value", "VALUE", 1)))
	})
	learner.Start(t)
	if f := found(compared(), "data.hash"); len(f) != 1 || f[0].Severity != health.SeverityCritical || f[0].Member != learner.Name {
		t.Errorf("an edited learner: %+v", f)
	}
}

// edit changes the database of a member that does not run.
func edit(t *testing.T, m *clustertest.Member, change func(*bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(m.DataDir, "member", "snap", "db"), 0o600, &bbolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte("key"))) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
