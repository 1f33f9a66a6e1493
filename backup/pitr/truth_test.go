package pitr_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/archive"
	"github.com/etcdops/etcdops/backup/pitr"
	"github.com/etcdops/etcdops/backup/rewind"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// by restores a revision by one plan.
func (s *site) by(t *testing.T, plan pitr.Plan, revision int64, keys backup.Identities, o pitr.Options) (string, *pitr.Result, error) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	file := filepath.Join(t.TempDir(), "db")
	s.fetchWith(t, plan.Base, file, keys)
	o.Own = plan.Own
	got, err := pitr.To(ctx, file, pitr.Segments{Store: s.repo.Store(), Refs: plan.Segments, Keys: keys}, revision, o)
	return file, got, err
}

// TestMutatedOverlap has the archive end otherwise than the cluster went on: an archiver that reads the end once more sees it,
// takes a base and begins a new timeline. What is restored is the cluster's history, also at revisions that both have.
func TestMutatedOverlap(t *testing.T) {
	t.Parallel()
	s := newSite(t, clustertest.Options{})
	r := rand.New(rand.NewPCG(9, 1))
	a := s.archive(t)
	first := load(t, s.client, r, 20)
	a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= first })
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	s.forge(t, 5)
	last := load(t, s.client, r, 30)
	b := s.archive(t)
	b.until(t, "a new timeline begins", func(p archive.Progress) bool { return p.Timelines == 1 && p.Archived >= last })
	if !b.saw(archive.EventDiverged) || b.saw(archive.EventGap) {
		t.Error("it was not told that the history is another one")
	}
	last = load(t, s.client, r, 10)
	b.until(t, "it goes on", func(p archive.Progress) bool { return p.Archived >= last })
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	for _, revision := range []int64{first, first + 1, first + 5, first + 6, last} {
		want := s.hashAt(t, revision)
		file, _ := s.restore(t, revision)
		if sum := hashOf(t, file, want); sum != want.hash {
			t.Errorf("revision %d: hash %08x, the member had %08x", revision, sum, want.hash)
		}
	}
}

// forge continues the archive with changes that the cluster never made.
func (s *site) forge(t *testing.T, n int64) {
	t.Helper()
	line := s.facts(t).Timelines[0]
	end := line.Segments[len(line.Segments)-1]
	r, err := s.repo.Store().Open(t.Context(), end.Object)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	h, err := archive.ReadHeader(r)
	if err != nil {
		t.Fatal(err)
	}
	w, err := archive.NewWriter(h.ClusterID, h.Timeline, h.Last, h.Chain, backup.Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := w.Append(time.Now(), change(t, h.Last+1+i)); err != nil {
			t.Fatal(err)
		}
	}
	name, data, err := w.Seal(time.Now(), "forged", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.repo.Store().Put(t.Context(), name, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

// TestUsersChangeBetweenBases has a base taken when users change. A restore from the base before to a point after says that
// its users are not those of then.
func TestUsersChangeBetweenBases(t *testing.T) {
	t.Parallel()
	s := newSite(t, clustertest.Options{})
	r := rand.New(rand.NewPCG(9, 2))
	a := s.archive(t, func(o *archive.Options) { o.AuthEvery = 20 * time.Millisecond })
	load(t, s.client, r, 10)
	ctx := clustertest.Context(t, time.Minute)
	for i := 0; !a.saw(archive.EventAuth); i++ { // the first look may come after the first user
		if _, err := s.client.UserAddWithOptions(ctx, fmt.Sprintf("user-%d", i), "", &clientv3.UserAddOptions{NoPassword: true}); err != nil {
			t.Fatal(err)
		}
	}
	a.until(t, "a base is taken", func(archive.Progress) bool { return a.saw(archive.EventBase) })
	last := load(t, s.client, r, 10)
	a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= last })
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	plans, err := pitr.Plans(s.facts(t), last, "")
	if err != nil || len(plans) < 2 {
		t.Fatalf("%d ways to revision %d, %v", len(plans), last, err)
	}
	before := plans[len(plans)-1]
	_, got, err := s.by(t, before, last, backup.Identities{}, pitr.Options{})
	if err != nil || !got.AuthKnown || !got.AuthChanged {
		t.Errorf("from the base before the change: %+v, %v", got, err)
	}
}

// TestTimesOfASkewedClock archives with a clock that is half a second ahead. The revision of a true time that is further from
// every change than that is right, and no later change is ever called certain.
func TestTimesOfASkewedClock(t *testing.T) {
	t.Parallel()
	const skew = 500 * time.Millisecond
	s := newSite(t, clustertest.Options{})
	now := func() time.Time { return time.Now().Add(skew) }
	a := s.archive(t, func(o *archive.Options) { o.Now = now })
	type asked struct {
		at       time.Time
		revision int64
	}
	var want []asked
	var last int64
	for i := range 3 {
		resp, err := s.client.Put(clustertest.Context(t, 20*time.Second), "/k", strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		last = resp.Header.Revision
		a.until(t, "it is received", func(p archive.Progress) bool { return p.Archived >= last })
		received := now()
		a.until(t, "time passes", func(p archive.Progress) bool { return p.Synced.After(received.Add(skew + 200*time.Millisecond)) })
		want = append(want, asked{time.Now(), last})
	}
	end, err := s.client.Put(clustertest.Context(t, 20*time.Second), "/k", "end")
	if err != nil {
		t.Fatal(err)
	}
	a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= end.Header.Revision })
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	f := s.facts(t)
	for _, w := range want {
		m, err := pitr.At(t.Context(), s.repo.Store(), f, w.at, "", backup.Identities{})
		if err != nil || m.Revision != w.revision || m.Latest < m.Revision || m.Received.After(w.at) {
			t.Errorf("%v is %+v, %v; it was revision %d", w.at, m, err, w.revision)
		}
	}
}

// TestLeasesThatExpired restores a key of a lease that had run out long before: no server runs during the replay, so nothing
// drifts, and what becomes of the key is what was asked for.
func TestLeasesThatExpired(t *testing.T) {
	t.Parallel()
	s := newSite(t, clustertest.Options{})
	a := s.archive(t)
	ctx := clustertest.Context(t, time.Minute)
	load(t, s.client, rand.New(rand.NewPCG(9, 3)), 10)
	lease, err := s.client.Grant(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	gone := s.client.Watch(ctx, "/short", clientv3.WithFilterPut())
	put, err := s.client.Put(ctx, "/short", "x", clientv3.WithLease(lease.ID))
	if err != nil {
		t.Fatal(err)
	}
	if resp := <-gone; len(resp.Events) != 1 {
		t.Fatalf("the lease did not run out: %+v", resp)
	}
	last := load(t, s.client, rand.New(rand.NewPCG(9, 4)), 10)
	want := s.hashAt(t, put.Header.Revision)
	a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= last })
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	plans, err := pitr.Plans(s.facts(t), put.Header.Revision, "")
	if err != nil {
		t.Fatal(err)
	}
	file, got, err := s.by(t, plans[0], put.Header.Revision, backup.Identities{}, pitr.Options{Leases: rewind.Regrant})
	if err != nil || hashOf(t, file, want) != want.hash || !slices.Contains(got.Missing, int64(lease.ID)) {
		t.Errorf("regrant: %+v, %v; the member had %08x", got, err, want.hash)
	}
	_, stripped, err := s.by(t, plans[0], put.Header.Revision, backup.Identities{}, pitr.Options{Leases: rewind.Strip})
	if err != nil || len(stripped.Missing) != len(got.Missing) || stripped.Keys != got.Keys || stripped.HashKV == got.HashKV {
		t.Errorf("strip: %+v, %v", stripped, err)
	}
	if _, _, err := s.by(t, plans[0], put.Header.Revision, backup.Identities{}, pitr.Options{Leases: rewind.Fail}); ops.CodeOf(err) != rewind.CodeLeaseMissing {
		t.Errorf("fail: %v", err)
	}
}

// TestEncryptedArchive has bases and segments encrypted for one key: no value lies in the store, the key restores, and another
// or none is refused.
func TestEncryptedArchive(t *testing.T) {
	t.Parallel()
	const canary = "canary-value-of-a-secret"
	s := newSite(t, clustertest.Options{})
	dir := t.TempDir()
	var files []string
	var sealed backup.Encryption
	for _, name := range []string{"right", "wrong"} {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(dir, name))
		if err := os.WriteFile(files[len(files)-1], []byte(id.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		public := filepath.Join(dir, name+".pub")
		if err := os.WriteFile(public, []byte(id.Recipient().String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "right" {
			if sealed, err = backup.ReadRecipients(public); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.sealed = sealed
	spool := t.TempDir()
	a := s.archive(t, func(o *archive.Options) { o.Encryption, o.SpoolDir = sealed, spool })
	var last int64
	for i := range 20 {
		resp, err := s.client.Put(clustertest.Context(t, 20*time.Second), fmt.Sprintf("/secret-%d", i), canary)
		if err != nil {
			t.Fatal(err)
		}
		last = resp.Header.Revision
		withoutCanary(t, spool, canary)
	}
	a.until(t, "it is stored", func(p archive.Progress) bool { return p.Stored >= last })
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	store := s.directory(t)
	if n := withoutCanary(t, store.Path(), canary); n < 3 {
		t.Errorf("only %d files were looked at", n)
	}
	plans, err := pitr.Plans(s.facts(t), last, "")
	if err != nil || len(plans[0].Segments) == 0 {
		t.Fatal(plans, err)
	}
	right, err := backup.ReadIdentities(files[0])
	if err != nil {
		t.Fatal(err)
	}
	want := s.hashAt(t, last)
	file, _, err := s.by(t, plans[0], last, right, pitr.Options{})
	if err != nil || hashOf(t, file, want) != want.hash {
		t.Errorf("with the key: %v", err)
	}
	wrong, err := backup.ReadIdentities(files[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]backup.Identities{"none": {}, "another": wrong} {
		if _, err := s.repo.OpenDatabase(t.Context(), plans[0].Base.Entry, keys); ops.CodeOf(err) != backup.CodeWrongKey {
			t.Errorf("the base with key %s: %v", name, err)
		}
		if _, err := archive.ReadObject(t.Context(), store, plans[0].Segments[0], archive.Visitor{}, keys); err == nil {
			t.Errorf("a segment was read with key %s", name)
		}
		if _, err := archive.Check(t.Context(), store, s.facts(t).Cluster, archive.CheckOptions{Level: backup.LevelPlain, Keys: keys}); ops.CodeOf(err) != backup.CodeWrongKey {
			t.Errorf("a check with key %s: %v", name, err)
		}
	}
}

// withoutCanary reads all files below a directory and counts them.
func withoutCanary(t *testing.T, dir, canary string) (n int) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // it went away meanwhile
		}
		n++
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), canary) {
			t.Errorf("%s holds a value", path)
		}
		return nil
	})
	return n
}
