package pitr_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/ops"
)

// change is one as the watch stream tells it, with a value like an object of Kubernetes'.
func change(tb testing.TB, revision int64) archive.Entry {
	tb.Helper()
	value := fmt.Sprintf(`{"kind":"Pod","metadata":{"name":"pod-%d","resourceVersion":"%d"},"spec":"%s"}`, revision%10_000, revision, strings.Repeat("0123456789abcdef", 60))
	e, err := archive.FromEvent(&mvccpb.Event{Kv: &mvccpb.KeyValue{
		Key: fmt.Appendf(nil, "/registry/pods/default/pod-%05d", revision%10_000), Value: []byte(value),
		CreateRevision: revision, ModRevision: revision, Version: 1,
	}}, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// BenchmarkReplay measures how many archived changes of 1 KiB a second a restore writes behind a base, from the first byte
// that is read to the hash of what was restored.
func BenchmarkReplay(b *testing.B) {
	const cluster, base, perSegment = ops.ClusterID(7), 1000, 16_000
	changes := int64(200_000)
	store, err := dirstore.Create(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	origin := filepath.Join(dir, "base")
	db, err := bolt.Open(origin, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"key", "meta", "lease", "auth", "members", "cluster", "alarm"} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		for r := int64(2); r <= base; r++ {
			e := change(b, r)
			if err := tx.Bucket([]byte("key")).Put(e.Key, e.Value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	timeline := archive.NewTimeline(time.Unix(1, 0))
	chain := archive.Genesis(cluster, timeline, base)
	for last := int64(base); last < base+changes; {
		w, err := archive.NewWriter(cluster, timeline, last, chain, backup.Encryption{})
		if err != nil {
			b.Fatal(err)
		}
		for range perSegment {
			if last++; last > base+changes {
				break
			}
			if err := w.Append(time.Unix(last, 0), change(b, last)); err != nil {
				b.Fatal(err)
			}
		}
		name, data, err := w.Seal(time.Unix(last, 0), "bench", 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := store.Put(b.Context(), name, strings.NewReader(string(data))); err != nil {
			b.Fatal(err)
		}
		last, chain = w.Last(), w.Chain()
	}
	timelines, err := archive.Load(b.Context(), store, cluster)
	if err != nil || len(timelines) != 1 {
		b.Fatal(len(timelines), err)
	}
	refs, ok := timelines[0].Covering(base, base+changes)
	if !ok {
		b.Fatal("the archive does not cover the changes")
	}
	content, err := os.ReadFile(origin)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		file := filepath.Join(dir, "db")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		got, err := pitr.To(b.Context(), file, pitr.Segments{Store: store, Refs: refs}, base+changes, pitr.Options{Own: true})
		if err != nil || got.Replayed != changes {
			b.Fatal(got, err)
		}
	}
	b.ReportMetric(float64(changes)*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}
