package rebuildtest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/clustertest/ledger"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
	"github.com/etcdops/etcdops/recovery/datadir"
	"github.com/etcdops/etcdops/recovery/seed"
)

// envOperator makes the test binary an operator: a process of its own, which can be killed.
const envOperator = "REBUILD_OPERATOR"

func TestMain(m *testing.M) {
	if os.Getenv(envOperator) != "" {
		if err := operate(); err != nil {
			log.Fatal(err)
		}
		return
	}
	clustertest.Main(m)
}

// inspector inspects in the test's own process.
type inspector struct{}

func (inspector) Inspect(ctx context.Context, path string, opts datadir.Options) (datadir.Info, error) {
	return datadir.Inspect(ctx, path, opts)
}

// ownServer is the test binary as a member.
func ownServer() recovery.Program {
	self, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	return recovery.Program{Path: "/usr/bin/env", Args: []string{"env", "-u", envOperator, "CLUSTERTEST_ROLE=member", self}}
}

// lab is a cluster whose members are driven by specifications.
type lab struct {
	*clustertest.Cluster
	state string
	specs map[string]string
}

func newLab(t *testing.T, opts clustertest.Options) *lab {
	t.Helper()
	l := &lab{Cluster: clustertest.New(t, opts), state: t.TempDir(), specs: map[string]string{}}
	l.WaitLeader(t, l.Members...)
	dir := t.TempDir()
	for _, m := range l.Members {
		l.specs[m.Name] = filepath.Join(dir, m.Name+".yaml")
		l.writeSpec(t, m)
	}
	return l
}

// writeSpec says how a member is started.
func (l *lab) writeSpec(t *testing.T, m *clustertest.Member) {
	t.Helper()
	fixture.WriteSpec(t, l.specs[m.Name], m)
}

// crashed is a cluster that took so many writes at least, and whose members were then killed at once; the ledger tells which.
func crashed(t *testing.T, opts clustertest.Options, writes int64) (*lab, []ledger.Entry) {
	t.Helper()
	l := newLab(t, opts)
	stop := l.load(t, 1)
	l.acknowledgedAtLeast(t, writes)
	l.killAll(t)
	return l, stop()
}

// move moves the data of a member that does not run to another place, and starts it there from now on.
func (l *lab) move(t *testing.T, name, to string) {
	t.Helper()
	m := l.Member(t, name)
	if err := os.CopyFS(to, os.DirFS(m.DataDir)); err != nil {
		t.Fatal(err)
	}
	m.DataDir = to
	l.writeSpec(t, m)
}

// killAll kills every member at once, as far as that is possible.
func (l *lab) killAll(t *testing.T) {
	t.Helper()
	for _, m := range l.Members {
		if err := syscall.Kill(m.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range l.Members {
		m.Kill(t)
	}
}

// sources are the directories of members.
func (l *lab) sources(t *testing.T, names ...string) []recovery.Source {
	t.Helper()
	var out []recovery.Source
	for _, name := range names {
		out = append(out, recovery.Source{Name: name, Path: l.Member(t, name).DataDir})
	}
	return out
}

// order is what an operator is told to do. It round-trips through JSON.
type order struct {
	Config   ops.Config
	State    string
	Specs    map[string]string
	Sources  []recovery.Source
	Members  []recovery.NewMember
	Binaries []string
	Resume   bool
	Abandon  bool   // take the unfinished rebuild back
	AtOnce   int    // members that join at the same time
	KillAt   string // end the process at this boundary

	at     func(point string)         // called at each boundary in this process
	change func(*recovery.Plan) error // what is done to the plan before it is carried out
}

func (l *lab) order(t *testing.T, names ...string) order {
	t.Helper()
	return order{Config: fixture.Config(l.Cluster), State: l.state, Specs: l.specs, Sources: l.sources(t, names...)}
}

func (o order) request(ctx context.Context) (recovery.RebuildRequest, error) {
	servers, err := recovery.FindServers(ctx, o.Binaries)
	req := recovery.RebuildRequest{Sources: o.Sources, Servers: servers, Settings: o.Config}
	for name, spec := range o.Specs {
		req.Nodes = append(req.Nodes, recovery.RebuildNode{Name: name, Via: "process:" + spec, Node: process.New(spec)})
	}
	return req, err
}

func (o order) plan(ctx context.Context) (*recovery.Plan, recovery.RebuildRequest, error) {
	req, err := o.request(ctx)
	if err != nil {
		return nil, req, err
	}
	facts, err := recovery.CollectRebuild(ctx, inspector{}, req)
	if err != nil {
		return nil, req, err
	}
	now := time.Now()
	plan, err := recovery.PlanRebuild(facts, recovery.RebuildOptions{Now: now, Operation: recovery.NewOperation(now), Members: o.Members, AtOnce: o.AtOnce})
	return plan, req, err
}

// run carries the order out in this process.
func (o order) run(ctx context.Context) error {
	state := recovery.StateDir{Path: o.State}
	var journal *recovery.Journal
	var held *recovery.Held
	var err error
	switch {
	case o.Abandon:
		journal, held, err = state.ResumeAny("")
	case o.Resume:
		journal, held, err = state.ResumeRebuild("")
	default:
		plan, req, failed := o.plan(ctx)
		if failed == nil && o.change != nil {
			failed = o.change(plan)
		}
		if failed != nil {
			return failed
		}
		journal, held, err = state.BeginRebuild(ctx, inspector{}, plan, req)
	}
	if err != nil {
		return err
	}
	run := recovery.RebuildRun{
		Journal: journal, Nodes: map[string]recovery.Node{}, Here: recovery.Bench{Inspector: inspector{}, Own: ownServer()}, Settings: o.Config,
		Me: recovery.Holder{Operation: journal.Operation(), Host: "lab", PID: os.Getpid()},
	}
	for name, spec := range o.Specs {
		run.Nodes[name] = process.New(spec)
	}
	run.Fault = func(point string) {
		if o.at != nil {
			o.at(point)
		}
		if o.KillAt != "" && point == o.KillAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if o.Abandon {
		plan, err := run.PlanAbandon(ctx)
		if err == nil {
			err = run.Abandon(ctx, plan)
		}
		return errors.Join(err, journal.Close(), held.Close())
	}
	return errors.Join(run.Execute(ctx), journal.Close(), held.Close())
}

// operate is the operator's process.
func operate() error {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(envOperator)), &o); err != nil {
		return err
	}
	return o.run(context.Background())
}

// command is a process of its own that carries the order out; wrap are the words of a program that runs it.
func (o order) command(t *testing.T, wrap ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	words := append(wrap, self)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Env = append(os.Environ(), envOperator+"="+string(text))
	return cmd
}

// operator runs the order in a process of its own; killed says that it was killed where the order says.
func (o order) operator(t *testing.T) (killed bool, err error) {
	t.Helper()
	cmd := o.command(t)
	out, err := cmd.CombinedOutput()
	if fixture.Killed(err) {
		return true, nil
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return false, err
}

// load writes a ledger through all members until stop is called, which returns its entries.
func (l *lab) load(t *testing.T, seedOf uint64) (stop func() []ledger.Entry) {
	t.Helper()
	return fixture.Record(t, ledger.Options{Seed: seedOf, Workers: 24, Timeout: time.Second}, l.Members...)
}

// acknowledgedAtLeast waits until the cluster has taken n writes.
func (l *lab) acknowledgedAtLeast(t *testing.T, n int64) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	client := l.Client(t)
	for {
		got, err := client.Get(ctx, "ledger/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		if got.Count >= n {
			return
		}
	}
}

// keysOf reads the newest values of the ledger's keys out of a database file.
func keysOf(t *testing.T, file string) []ledger.Found {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	newest := map[string]ledger.Found{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("key")).ForEach(func(k, v []byte) error {
			var kv mvccpb.KeyValue
			if err := proto.Unmarshal(v, &kv); err != nil {
				return err
			}
			if strings.HasPrefix(string(kv.Key), "ledger/") {
				newest[string(kv.Key)] = ledger.Found{Key: string(kv.Key), Value: string(kv.Value), ModRevision: int64(binary.BigEndian.Uint64(k)), Version: kv.Version}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []ledger.Found
	for _, f := range newest {
		out = append(out, f)
	}
	return out
}

// replica makes what a plan would make of its source, up to the replayed database, and returns that.
func replica(t *testing.T, plan *recovery.Plan, sealed bool) string {
	t.Helper()
	p := plan.Rebuild
	info, err := datadir.Inspect(t.Context(), p.Source.Path, datadir.Options{NoHash: true})
	if err != nil {
		t.Fatal(err)
	}
	w := seed.Work{Dir: t.TempDir()}
	if _, err := w.Copy(t.Context(), &info, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(w.Replica(), "member", "snap", "db")
	if !p.Replay {
		return db
	}
	last := p.Seal
	if sealed {
		err = w.Seal(&info, p.Seal)
	} else { // as force-new-cluster does it: the tail beyond commit is thrown away
		err = os.CopyFS(filepath.Join(w.Replica(), "member", "wal"), os.DirFS(info.WAL.Dir))
		last = info.Known()
	}
	if err != nil {
		t.Fatal(err)
	}
	own := ownServer()
	if err := w.Replay(t.Context(), own.Path, own.Args, "m1", last, time.Minute, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return db
}

// journals lists the journals that are not ended.
func (l *lab) journals() (open []*recovery.Journal, unreadable []error, err error) {
	all, unreadable, err := recovery.StateDir{Path: l.state}.Journals()
	for _, j := range all {
		if _, ended := j.Ended(); !ended {
			open = append(open, j)
		}
	}
	return open, unreadable, err
}
