package backup_test

import (
	"context"
	"errors"
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

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// lab is a cluster, a connection to it, and a repository.
type lab struct {
	*clustertest.Cluster
	conn  *ops.Cluster
	repo  *backup.Repository
	store *dirstore.Store
	spool string
}

func newLab(t *testing.T, o clustertest.Options) *lab {
	t.Helper()
	l := &lab{Cluster: clustertest.New(t, o), spool: t.TempDir()}
	var err error
	l.conn, err = ops.Dial(t.Context(), ops.Config{Endpoints: l.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.conn.Close() })
	l.store, err = dirstore.Create(filepath.Join(t.TempDir(), "repo"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.store.Close() })
	if l.repo, err = backup.EnsureRepository(t.Context(), l.store, time.Now()); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) put(t *testing.T, n int, size int) int64 {
	t.Helper()
	client := l.Client(t)
	var revision int64
	for i := range n {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(rand.Uint32())
		}
		resp, err := client.Put(clustertest.Context(t, 20*time.Second), fmt.Sprintf("/k/%04d", i), string(value))
		if err != nil {
			t.Fatal(err)
		}
		revision = resp.Header.Revision
	}
	return revision
}

func (l *lab) create(t *testing.T, o backup.CreateOptions) *backup.Manifest {
	t.Helper()
	o.SpoolDir = l.spool
	m, err := l.repo.Create(clustertest.Context(t, time.Minute), l.conn, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (l *lab) find(t *testing.T, id backup.ID) backup.Entry {
	t.Helper()
	e, err := l.repo.Find(t.Context(), string(id))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestBackupComesFromAFollower and is what the cluster holds, also while it is written to.
func TestBackupComesFromAFollower(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	l.put(t, 50, 100)
	ctx, stop := context.WithCancel(t.Context())
	writing := make(chan struct{})
	client := l.Client(t)
	go func() {
		defer close(writing)
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = client.Put(ctx, "/busy", strconv.Itoa(i))
		}
	}()
	for range 4 {
		m := l.create(t, backup.CreateOptions{LiveHash: backup.LiveHashAlways})
		if m.Member.Role != "follower" || m.Hash.Live != "equal" || len(m.Members) != 3 || m.Level != backup.LevelData {
			t.Errorf("from %+v, hash %+v, %d members, level %v", m.Member, m.Hash, len(m.Members), m.Level)
		}
		live, err := client.HashKV(t.Context(), m.Member.Endpoint, m.Revision)
		if err != nil || live.Hash != m.Hash.Value {
			t.Errorf("manifest: hash %08x at %d; the member says %08x, %v", m.Hash.Value, m.Revision, live.Hash, err)
		}
	}
	stop()
	<-writing
}

// TestRestoredMembersAreOneCluster restores all three members, at an older revision, and starts them.
func TestRestoredMembersAreOneCluster(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	newest := l.put(t, 40, 50)
	client := l.Client(t)
	if _, err := client.AlarmDisarm(t.Context(), &clientv3.AlarmMember{}); err != nil { // a proposal that leaves no trace
		t.Fatal(err)
	}
	at := newest - 15
	m := l.create(t, backup.CreateOptions{})
	want, err := client.HashKV(t.Context(), l.Members[0].ClientURL, at)
	if err != nil {
		t.Fatal(err)
	}
	next := clustertest.NewUnstarted(t, clustertest.Options{Size: 3})
	var targets []memberdir.Options
	for _, member := range next.Members {
		targets = append(targets, memberdir.Options{
			Dir: member.DataDir, Name: member.Name, PeerURLs: []string{member.PeerURL}, InitialCluster: member.InitialCluster, Token: "restored",
		})
	}
	got, err := l.repo.Restore(t.Context(), l.find(t, m.ID), backup.RestoreOptions{Targets: targets, Revision: at})
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range got.Members[1:] {
		if member.ClusterID != got.Members[0].ClusterID {
			t.Errorf("the members are of different clusters: %+v", got.Members)
		}
	}
	next.Start(t)
	for _, member := range next.Members {
		hash, err := member.Client(t).HashKV(clustertest.Context(t, 10*time.Second), member.ClientURL, at)
		if err != nil || hash.Hash != want.Hash || got.HashKV != want.Hash {
			t.Errorf("%s: %v, %v; the old cluster had %08x", member.Name, hash, err, want.Hash)
		}
	}
	resp, err := next.Client(t).Put(clustertest.Context(t, 10*time.Second), "/new", "x")
	if err != nil || resp.Header.Revision != at+1 {
		t.Errorf("the first write after revision %d: %v, %v", at, resp, err)
	}
}

// TestRunningMembersAreNotRestoredOver restores into the directory of a member that runs, and of one that was stopped: both are
// refused, and only the second may be set aside.
func TestRunningMembersAreNotRestoredOver(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 3, 10)
	e := l.find(t, l.create(t, backup.CreateOptions{}).ID)
	member := l.Members[0]
	restore := func() *ops.HintError {
		_, err := l.repo.Restore(t.Context(), e, backup.RestoreOptions{Targets: []memberdir.Options{{
			Dir: member.DataDir, Name: member.Name, PeerURLs: []string{member.PeerURL}, InitialCluster: member.InitialCluster, Token: "restored",
		}}})
		hint, ok := errors.AsType[*ops.HintError](err)
		if !ok || hint.Code != backup.CodeTargetExists {
			t.Fatal(err)
		}
		return hint
	}
	if hint := restore(); !errors.Is(hint, memberdir.ErrRuns) || strings.Contains(hint.Hint, "mv ") {
		t.Errorf("a member that runs: %v; %s", hint, hint.Hint)
	}
	member.Stop(t)
	if hint := restore(); errors.Is(hint, memberdir.ErrRuns) || !strings.Contains(hint.Hint, "mv ") {
		t.Errorf("a member that was stopped: %v; %s", hint, hint.Hint)
	}
}

// TestAnyFlippedBitIsFound flips a bit of every object of a repository, in many places, and has each found and named
// without a key.
func TestAnyFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 30, 2000)
	phrase := filepath.Join(t.TempDir(), "phrase")
	if err := os.WriteFile(phrase, []byte("canary-phrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sealed, keys, err := backup.ReadPassphrase(phrase)
	if err != nil {
		t.Fatal(err)
	}
	m := l.create(t, backup.CreateOptions{Encryption: sealed, Slot: time.Unix(3600, 0)})
	e := l.find(t, m.ID)
	if err := l.repo.SetHold(t.Context(), e, true, "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.repo.VerifyAndRecord(t.Context(), e, backup.VerifyOptions{Level: backup.LevelData, Keys: keys, SpoolDir: l.spool}); err != nil {
		t.Fatal(err)
	}
	for name, schema := range map[string]string{"tomb/" + string(m.ID): "etcdops-repository-tomb/1", "lease/" + string(m.ID) + "/00": "etcdops-repository-lease/1"} {
		if err := backup.PutDocument(t.Context(), l.store, name, schema, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.check(t); err != nil {
		t.Fatalf("nothing is damaged yet: %v", err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	objects, err := l.store.List(t.Context(), "")
	if err != nil || len(objects) < 8 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	for _, o := range objects {
		path := filepath.Join(l.store.Path(), o.Name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range append([]int{0, len(good) - 1}, r.Perm(len(good))[:min(25, len(good))]...) {
			bad := slices.Clone(good)
			bad[at] ^= 1 << r.IntN(8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := l.check(t); err == nil || !strings.Contains(err.Error(), filepath.Base(o.Name)) {
				t.Errorf("seed %d: a bit of %s at %d is flipped, and verify says %v", seed, o.Name, at, err)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.check(t); err != nil {
		t.Errorf("all is mended, and verify says %v", err)
	}
}

// check verifies a whole repository to LevelStored, from its beginning.
func (l *lab) check(t *testing.T) error {
	t.Helper()
	repo, err := backup.OpenRepository(t.Context(), l.store)
	if err != nil {
		return err
	}
	if err := repo.VerifyDocuments(t.Context()); err != nil {
		return err
	}
	list, err := repo.List(t.Context())
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("no backup is listed")
	}
	var errs []error
	for _, e := range list {
		_, err := repo.Verify(t.Context(), e, backup.VerifyOptions{Level: backup.LevelStored})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// TestSecretsStayOut looks for a value of the cluster and for the passphrase in everything that a backup leaves.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	const canary = "canary-value-of-a-secret"
	if _, err := l.Client(t).Put(t.Context(), "/registry/secrets/default/db", canary); err != nil {
		t.Fatal(err)
	}
	phrase := filepath.Join(t.TempDir(), "phrase")
	if err := os.WriteFile(phrase, []byte("canary-phrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sealed, _, err := backup.ReadPassphrase(phrase)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	look := func(dir string) {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return nil //nolint:nilerr // it went away meanwhile
			}
			seen++
			if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), "canary") {
				t.Errorf("%s holds a secret", path)
			}
			return nil
		})
	}
	l.create(t, backup.CreateOptions{Encryption: sealed, Progress: func(backup.Progress) { look(l.spool) }})
	look(l.store.Path())
	if seen < 3 {
		t.Errorf("only %d files were looked at", seen)
	}
	if entries, err := os.ReadDir(l.spool); err != nil || len(entries) > 0 {
		t.Errorf("left in the spool: %v, %v", entries, err)
	}
}

// TestFailuresLeaveNothing has the disk fail in the middle of a backup's upload, and has older backups unharmed.
func TestFailuresLeaveNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{})
	l.put(t, 20, 1000)
	first := l.create(t, backup.CreateOptions{})
	for name, broken := range map[string]backup.Store{
		"parts":    failing{l.store, "part.000"},
		"manifest": failing{l.store, "manifest.json"},
	} {
		repo, err := backup.OpenRepository(t.Context(), broken)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := repo.Create(t.Context(), l.conn, backup.CreateOptions{SpoolDir: l.spool}); ops.CodeOf(err) != backup.CodeStore {
			t.Errorf("%s: %v, want %s", name, err, backup.CodeStore)
		}
		list, err := l.repo.List(t.Context())
		if err != nil || len(list) != 1 || list[0].ID != first.ID || list[0].Level() != backup.LevelData {
			t.Errorf("%s: backups %+v, %v", name, list, err)
		}
		if objects, err := l.store.List(t.Context(), "c/"); err != nil || len(objects) != 2 {
			t.Errorf("%s: %d objects, %v", name, len(objects), err)
		}
	}
	if _, err := l.repo.Create(t.Context(), l.conn, backup.CreateOptions{SpoolDir: "/proc"}); ops.CodeOf(err) != backup.CodeSpool {
		t.Errorf("a spool that cannot be written to: %v", err)
	}
}

// failing is a store that cannot put objects of some name.
type failing struct {
	backup.Store
	name string
}

// Put implements backup.Store.
func (f failing) Put(ctx context.Context, name string, body backup.Body) error {
	if filepath.Base(name) == f.name {
		return errors.New("no space left on device")
	}
	return f.Store.Put(ctx, name, body)
}

// TestNewerRepositoriesAreRefused opens a repository of a later format.
func TestNewerRepositoriesAreRefused(t *testing.T) {
	t.Parallel()
	s, err := dirstore.Create(filepath.Join(t.TempDir(), "repo"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := backup.EnsureRepository(t.Context(), s, time.Now()); err != nil {
		t.Fatal(err)
	}
	newer := `{"schema":"etcdops-repository/2","sha256":"4c440b3b04a09c07103b2861e881b72e4dab8ef31cd166ad61ed9827f6b4cb1c","body":{}}`
	path := filepath.Join(s.Path(), "repo.json")
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func() error{
		func() error { _, err := backup.OpenRepository(t.Context(), s); return err },
		func() error { _, err := backup.EnsureRepository(t.Context(), s, time.Now()); return err },
	} {
		if err := open(); ops.CodeOf(err) != backup.CodeNewerFormat {
			t.Errorf("a newer repository: %v", err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != newer {
		t.Errorf("its document was changed: %q, %v", got, err)
	}
}
