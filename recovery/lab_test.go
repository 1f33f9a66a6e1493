package recovery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/clustertest/ledger"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// envOperator makes the test binary an operator: a process of its own, which can be killed.
const envOperator = "RECOVERY_OPERATOR"

func TestMain(m *testing.M) {
	if os.Getenv(envOperator) != "" {
		operate()
		return
	}
	clustertest.Main(m)
}

// lab is a cluster whose members are driven by specifications, and an operator's state.
type lab struct {
	*clustertest.Cluster
	state recovery.StateDir
	specs map[string]string
}

// newLab starts a cluster with separate WAL directories.
func newLab(t *testing.T, opts clustertest.Options) *lab {
	t.Helper()
	return newLabOn(t, opts, func(*lab) {})
}

// newLabOn is newLab with something prepared before the members start.
func newLabOn(t *testing.T, opts clustertest.Options, prepare func(*lab)) *lab {
	t.Helper()
	l := &lab{Cluster: clustertest.NewUnstarted(t, opts), state: recovery.StateDir{Path: t.TempDir()}, specs: map[string]string{}}
	for _, m := range l.Members {
		m.Args = append(m.Args, "--wal-dir="+filepath.Join(filepath.Dir(m.DataDir), "wal"))
	}
	prepare(l)
	l.Start(t)
	dir := t.TempDir()
	for _, m := range l.Members {
		l.specs[m.Name] = filepath.Join(dir, m.Name+".yaml")
		fixture.WriteSpec(t, l.specs[m.Name], m)
	}
	l.WaitLeader(t, l.Members...)
	return l
}

func (l *lab) config() ops.Config { return fixture.Config(l.Cluster) }

func (l *lab) node(name string) *process.Node { return process.New(l.specs[name]) }

// kill ends a member with SIGKILL, whoever started it, and waits until it is gone.
func (l *lab) kill(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		st, err := l.node(name).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st.PID == 0 {
			continue
		}
		if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := l.node(name).Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := len(l.Members) - len(names); 2*left > len(l.Members) {
		l.settle(t, left)
	}
}

// settle waits until that many members work: the one that was killed may have led, and busy machines elect slowly.
func (l *lab) settle(t *testing.T, members int) {
	t.Helper()
	l.waitSeen(t, func(seen ops.Observation) bool {
		live := 0
		for _, m := range seen.Members {
			if m.Condition == ops.Live {
				live++
			}
		}
		return live >= members
	})
}

// waitSeen waits until the cluster has a leader and looks as it shall.
func (l *lab) waitSeen(t *testing.T, ok func(ops.Observation) bool) {
	t.Helper()
	cluster, err := ops.Open(l.config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	waitFor(t, func() bool {
		seen, err := cluster.Observe(t.Context())
		return err == nil && seen.Leader != 0 && ok(seen)
	})
}

// order is what an operator is told to do. It round-trips through JSON.
type order struct {
	Config   ops.Config
	State    string
	Specs    map[string]string // of all members
	Targets  []string          // none: resume
	PeerURLs []string
	KillAt   string // end the process there
	Abandon  bool   // take the unfinished operation back
	Stall    time.Duration
}

func (l *lab) order(targets ...string) order {
	return order{Config: l.config(), State: l.state.Path, Specs: l.specs, Targets: targets}
}

// requests are those of the order's targets.
func (o order) requests() []recovery.Request {
	var out []recovery.Request
	for _, name := range o.Targets {
		out = append(out, recovery.Request{Ref: name, Node: process.New(o.Specs[name]), PeerURLs: o.PeerURLs})
	}
	return out
}

// plan collects and plans.
func (o order) plan(ctx context.Context, cluster *ops.Cluster) (*recovery.Plan, error) {
	facts, err := recovery.CollectMember(ctx, cluster, o.requests())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	opts := recovery.Options{Now: now, Operation: recovery.NewOperation(now), BackupTo: filepath.Join(o.State, recovery.NewOperation(now)+".db")}
	for range o.Targets {
		opts.Via = append(opts.Via, "process")
	}
	return recovery.PlanMember(facts, opts)
}

// begin plans and begins, or resumes.
func (o order) begin(ctx context.Context, cluster *ops.Cluster) (*recovery.Journal, io.Closer, error) {
	state := recovery.StateDir{Path: o.State}
	if o.Abandon {
		return state.ResumeAny("")
	}
	if len(o.Targets) == 0 {
		seen, err := cluster.Observe(ctx)
		if err != nil {
			return nil, nil, err
		}
		journal, held, err := state.ResumeMember(seen.ClusterID, "")
		if err == nil && len(o.PeerURLs) > 0 {
			err = journal.Readdress(o.PeerURLs)
		}
		return journal, held, err
	}
	plan, err := o.plan(ctx, cluster)
	if err != nil {
		return nil, nil, err
	}
	return state.BeginMember(ctx, cluster, plan, o.requests())
}

// run recovers as the command does.
func (o order) run(ctx context.Context, change func(*recovery.MemberRun)) (err error) {
	cluster, err := ops.Dial(ctx, o.Config)
	if err != nil {
		return err
	}
	defer func() { _ = cluster.Close() }()
	journal, held, err := o.begin(ctx, cluster)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close(), held.Close()) }()
	nodes := map[string]recovery.Node{}
	for _, t := range journal.Plan.Member.Targets {
		nodes[t.Name] = process.New(o.Specs[t.Name])
	}
	run := &recovery.MemberRun{
		Cluster: cluster, Journal: journal, Nodes: nodes, StallAfter: o.Stall,
		Me:     recovery.Holder{Operation: journal.Operation(), Host: "lab", PID: os.Getpid()},
		Backup: recovery.Spool{Path: journal.Plan.Member.BackupTo},
	}
	if change != nil {
		change(run)
	}
	if o.Abandon {
		plan, err := run.PlanAbandon(ctx)
		if err != nil {
			return err
		}
		return run.Abandon(ctx, plan)
	}
	return run.Execute(ctx)
}

// operate is the operator's process.
func operate() {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		log.Fatal(err)
	}
	err := o.run(context.Background(), func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point == o.KillAt {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			fmt.Println(point)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
}

// errKilled says that an operator was killed where it was told.
var errKilled = errors.New("killed")

// operate carries an order out in a process of its own and returns the boundaries that it passed.
func (l *lab) operate(t *testing.T, o order) ([]string, error) {
	t.Helper()
	input, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envOperator+"=1")
	cmd.Stdin = strings.NewReader(string(input))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch {
	case fixture.Killed(err):
		return strings.Fields(string(out)), errKilled
	case err != nil:
		return nil, fmt.Errorf("%w: %s", err, said.String())
	}
	return strings.Fields(string(out)), nil
}

// recover recovers in this process, within a limit.
func (l *lab) recover(t *testing.T, o order, change func(*recovery.MemberRun)) error {
	t.Helper()
	return o.run(clustertest.Context(t, 2*time.Minute), change)
}

// write runs a writer with a ledger through the given members until the returned function is called, which judges.
func (l *lab) write(t *testing.T, members ...*clustertest.Member) (judge func()) {
	t.Helper()
	stop := fixture.Record(t, ledger.Options{Workers: 2, Seed: 1}, members...)
	return func() {
		t.Helper()
		fixture.Prove(t, l.Cluster, stop())
	}
}

// observe looks at the cluster once.
func (l *lab) observe(t *testing.T) ops.Observation {
	t.Helper()
	cluster, err := ops.Open(l.config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	seen, err := cluster.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// whole fails the test unless that many voters are members and work. A member that a busy machine holds up is looked at again.
func (l *lab) whole(t *testing.T, voters int) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	for {
		lacks := lacksOf(l.observe(t), voters)
		if len(lacks) == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Error(strings.Join(lacks, "; "))
			return
		}
	}
}

// lacksOf is what keeps a cluster from being whole.
func lacksOf(seen ops.Observation, voters int) []string {
	var lacks []string
	if len(seen.Members) != voters {
		lacks = append(lacks, fmt.Sprintf("%d members, want %d", len(seen.Members), voters))
	}
	for _, m := range seen.Members {
		if m.Condition != ops.Live || m.Learner {
			lacks = append(lacks, fmt.Sprintf("%s: %s %s, learner %v", m.Label(), m.Condition, m.Cause, m.Learner))
		}
	}
	return lacks
}

// watchInvariant looks all the time whether an empty directory stands under a registered ID while old data are set
// aside, and returns what it found when it is stopped.
func (l *lab) watchInvariant(t *testing.T, name string) (violated func() string) {
	t.Helper()
	m := l.Member(t, name)
	var old uint64
	client := l.Client(t)
	list, err := client.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range list.Members {
		if member.Name == name {
			old = member.ID
		}
	}
	before, err := filepath.Glob(m.DataDir + ".etcdops-*")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var found string
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for found == "" && ctx.Err() == nil {
			asides, err := filepath.Glob(m.DataDir + ".etcdops-*")
			if err == nil && len(asides) > len(before) {
				list, err := client.MemberList(ctx)
				for i := 0; err == nil && i < len(list.Members); i++ {
					if list.Members[i].ID == old {
						found = fmt.Sprintf("%s is set aside while %x is registered", m.DataDir, old)
					}
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() { stop(); watching.Wait() })
	return func() string {
		stop()
		watching.Wait()
		return found
	}
}
