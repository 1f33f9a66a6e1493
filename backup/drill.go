package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/backup/memberdir"
	"github.com/etcdops/etcdops/ops"
)

// DrillOptions say how a backup is drilled.
type DrillOptions struct {
	Server   []string // program and first arguments of an etcd; etcd's own flags follow
	Dir      string   // for the data directory, which is removed at the end; required
	Revision int64    // to restore; 0 for one drawn by lot among those that the backup holds
	Keys     Identities
	Limit    time.Duration // for the server to answer; default 5 minutes
	Progress func(Progress)
}

// Drilled is what a drill did.
type Drilled struct {
	Backup   ID     `json:"backup"`
	Revision int64  `json:"revision"`
	HashKV   uint32 `json:"hash_kv"` // of the restored file and of the server that was started on it
	Keys     int64  `json:"keys"`
	Leases   int    `json:"leases"`  // that the server has
	TookMS   int64  `json:"took_ms"` // from the command to the first answer: what a recovery of this size takes here
}

// Drill restores a backup at a revision, starts a server on it that listens on this machine's loopback only, and compares
// what it serves with the file: hash, keys, leases, the revision of the users; then it writes and reads a key. Nothing else is touched. What was
// found is kept as a record of LevelDrill. A backup that fails is CodeDrillFailed.
func (r *Repository) Drill(ctx context.Context, e Entry, o DrillOptions) (Drilled, error) {
	begin := time.Now()
	out, err := r.drill(ctx, e, o, begin)
	return out, r.record(ctx, e, Record{At: begin.UTC(), Level: LevelDrill, TookMS: out.TookMS}, err)
}

func (r *Repository) drill(ctx context.Context, e Entry, o DrillOptions, begin time.Time) (Drilled, error) {
	out := Drilled{Backup: e.ID}
	if e.Manifest == nil || e.Problem != "" {
		return out, damagedObject(e.Object, errors.New(e.Problem))
	}
	out.Revision = o.Revision
	if out.Revision == 0 {
		oldest := max(e.Manifest.CompactRevision, 1)
		// A member tells no hash of the very revision that it compacted at.
		oldest = min(oldest+1, e.Manifest.Revision)
		out.Revision = oldest + mathrand.Int64N(e.Manifest.Revision-oldest+1)
	}
	dir := filepath.Join(o.Dir, "drill-"+rand.Text())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return out, spoolError(o.Dir, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	client, peer, err := freeAddresses(ctx)
	if err != nil {
		return out, err
	}
	target := memberdir.Options{
		Dir: filepath.Join(dir, "data"), Name: "drill", PeerURLs: []string{"http://" + peer},
		InitialCluster: "drill=http://" + peer, Token: "drill-" + rand.Text(),
	}
	got, err := r.Restore(ctx, e, RestoreOptions{Targets: []memberdir.Options{target}, Revision: out.Revision, Keys: o.Keys, Progress: o.Progress})
	if err != nil {
		return out, err
	}
	out.HashKV, out.Keys = got.HashKV, got.Keys
	want := expected(e.Manifest, got)
	if err := openToAll(filepath.Join(target.Dir, "member", "snap", "db")); err != nil {
		return out, err
	}
	if o.Progress != nil {
		o.Progress(Progress{Stage: "start"})
	}
	server, err := startServer(ctx, o.Server, dir, target, client)
	if err != nil {
		return out, err
	}
	defer server.stop()
	err = server.inspect(ctx, "http://"+client, &out, want, begin, o.Limit)
	if err != nil && ctx.Err() == nil {
		return out, &ops.HintError{
			Code: CodeDrillFailed, Class: ops.ClassCritical, Op: "drill backup", Member: e.ID.Short(),
			Err: fmt.Errorf("at revision %d: %w; the server said last: %s", out.Revision, err, server.lastWords()), Hint: "etcdops explain " + string(CodeDrillFailed),
		}
	}
	return out, err
}

// openToAll turns authentication off in a drill's own copy: nobody here knows a password, and only this machine's loopback
// reaches it, for a moment. Users and roles are compared with the manifest by the verification of the file.
func openToAll(path string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second, NoFreelistSync: true})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if auth := tx.Bucket([]byte("auth")); auth != nil {
			return auth.Put([]byte("authEnabled"), []byte{0})
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// freeAddresses finds two ports of the loopback that are free now.
func freeAddresses(ctx context.Context) (client, peer string, err error) {
	var held []net.Listener
	for range 2 {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		held = append(held, l)
	}
	client, peer = held[0].Addr().String(), held[1].Addr().String()
	return client, peer, errors.Join(held[0].Close(), held[1].Close())
}

// drillServer is a server under test.
type drillServer struct {
	cmd    *exec.Cmd
	log    string
	begun  time.Time
	exited chan struct{}
}

// startServer starts a server on a restored directory.
func startServer(ctx context.Context, program []string, dir string, t memberdir.Options, client string) (*drillServer, error) {
	log := filepath.Join(dir, "log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	args := append(program[1:len(program):len(program)],
		"--name="+t.Name, "--data-dir="+t.Dir, "--initial-cluster="+t.InitialCluster, "--initial-cluster-token="+t.Token,
		"--initial-advertise-peer-urls="+t.PeerURLs[0], "--listen-peer-urls="+t.PeerURLs[0],
		"--listen-client-urls=http://"+client, "--advertise-client-urls=http://"+client,
		"--quota-backend-bytes=107374182400", "--logger=zap", "--unsafe-no-fsync")
	cmd := exec.CommandContext(ctx, program[0], args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.Cancel = func() error { return cmd.Process.Kill() }
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &drillServer{cmd: cmd, log: log, begun: time.Now(), exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

// stop ends the server. It has nothing that anybody needs.
func (s *drillServer) stop() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// lastWords is the end of the server's log.
func (s *drillServer) lastWords() string {
	const most = 300
	f, err := os.Open(s.log)
	if err != nil {
		return "(no log)"
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}

var errExited = errors.New("the server ended by itself")

// inspect waits until the server answers, and compares what it serves.
func (s *drillServer) inspect(ctx context.Context, endpoint string, out *Drilled, want drillExpectation, begin time.Time, limit time.Duration) error {
	if limit <= 0 {
		limit = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cluster, err := s.connect(ctx, endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }()
	client := cluster.Client()
	if _, err := client.Get(ctx, "drill"); err != nil { // linearizable: the server has a leader
		return fmt.Errorf("read: %w", err)
	}
	out.TookMS = time.Since(begin).Milliseconds()
	hash, err := client.HashKV(ctx, endpoint, out.Revision)
	if err != nil {
		return fmt.Errorf("ask for the hash: %w", err)
	}
	if hash.Hash != out.HashKV {
		return fmt.Errorf("its hash is %08x, the file's is %08x", hash.Hash, out.HashKV)
	}
	count, err := client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithRev(out.Revision))
	if err != nil {
		return fmt.Errorf("count the keys: %w", err)
	}
	if count.Count != out.Keys {
		return fmt.Errorf("it has %d keys, the file has %d", count.Count, out.Keys)
	}
	if out.Leases, err = want.compare(ctx, client, s.begun); err != nil {
		return err
	}
	value := rand.Text()
	if _, err := client.Put(ctx, "etcdops-drill", value); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	read, err := client.Get(ctx, "etcdops-drill")
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if len(read.Kvs) != 1 || string(read.Kvs[0].Value) != value {
		return errors.New("what was written is not read back")
	}
	return nil
}

// connect waits until the server lets a client in.
func (s *drillServer) connect(ctx context.Context, endpoint string) (*ops.Cluster, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		cluster, err := ops.Dial(ctx, ops.Config{Endpoints: []string{endpoint}, CommandTimeout: time.Minute})
		if err == nil {
			return cluster, nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return nil, errExited
		case <-ctx.Done():
			return nil, fmt.Errorf("it did not answer in time: %w", err)
		}
	}
}
