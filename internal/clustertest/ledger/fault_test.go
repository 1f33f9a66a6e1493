package ledger_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/ledger"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// prefix is where the ledger's keys are.
const prefix = "ledger/"

// TestFaults puts clusters under load, kills, stops, pauses and cuts off members, and proves that nothing was lost and
// that all answers were linearizable. ETCDOPS_LONG=1 makes it long, and judges upstream's own server too.
func TestFaults(t *testing.T) {
	t.Parallel()
	kinds, faults := []clustertest.Kind{clustertest.KindServe}, 3
	if os.Getenv("ETCDOPS_LONG") != "" {
		kinds, faults = append(kinds, clustertest.KindEtcd), 40
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			surviveFaults(t, kind, faults)
		})
	}
}

func surviveFaults(t *testing.T, kind clustertest.Kind, faults int) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := clustertest.New(t, clustertest.Options{Size: 3, Kind: kind})
	targets := targetsOf(t, c.Members...)
	record := newRecord(t)

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var history []ledger.Operation
	running.Go(func() {
		if err := ledger.Write(ctx, record.ledger, targets, ledger.Options{Seed: seed, Prefix: prefix, Workers: 6}); err != nil {
			t.Errorf("write: %v", err)
		}
	})
	running.Go(func() {
		history = ledger.Exercise(ctx, targets, ledger.Options{Seed: seed, Prefix: "register/", Workers: 5, Timeout: time.Second})
	})
	defer running.Wait() // also when a fault could not be made
	defer stop()
	makeFaults(t, c, rand.New(rand.NewPCG(seed, 0)), faults)
	stop()
	running.Wait()

	report := check(t, c, record.load(t))
	t.Logf("%s; %d operations on registers", report, len(history))
	if report.Acknowledged < 100 || len(history) < 100 {
		t.Error("the load was too small to prove anything")
	}
	for _, err := range []error{
		report.Err(),
		ledger.EqualHashes(clustertest.Context(t, 30*time.Second), targets),
		ledger.Linearizable(history),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

// makeFaults does one thing after another to the leader or another member, and lets the cluster recover in between.
func makeFaults(t *testing.T, c *clustertest.Cluster, random *rand.Rand, count int) {
	t.Helper()
	kinds := []string{"kill", "pause", "isolate", "stop", "deafen"}
	random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for i := range count {
		leader := c.WaitLeader(t, c.Members...)
		endure(t, time.Second) // of peace, in which there is something to lose
		victim, kind := leader, kinds[i%len(kinds)]
		if random.IntN(3) == 0 {
			victim = c.Members[random.IntN(len(c.Members))]
		}
		t.Logf("%s %s, the leader is %s", kind, victim.Name, leader.Name)
		switch kind {
		case "kill":
			victim.Kill(t)
		case "pause":
			victim.Pause(t)
		case "stop":
			victim.Stop(t)
		case "isolate":
			c.Isolate(t, victim.Name)
		case "deafen":
			for _, m := range c.Members {
				if m != victim {
					c.Cut(t, m.Name, victim.Name)
				}
			}
		}
		endure(t, time.Second+time.Duration(random.IntN(1000))*time.Millisecond)
		c.Heal()
		if kind == "pause" {
			victim.Resume(t)
		}
		if !victim.Running() {
			victim.Start(t)
		}
	}
	c.WaitLeader(t, c.Members...)
	endure(t, time.Second)
}

// endure lets a fault, or peace, last.
func endure(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// TestStaleReadsAreFound is the control experiment for linearizability: reads without the quorum from a member that is
// cut off.
func TestStaleReadsAreFound(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	leader := c.WaitLeader(t, c.Members...)
	targets := targetsOf(t, c.Members...)
	for _, m := range c.Members {
		if m != leader {
			c.Isolate(t, m.Name)
			break
		}
	}
	history := ledger.Exercise(clustertest.Context(t, 3*time.Second), targets,
		ledger.Options{Seed: 1, Prefix: "register/", Timeout: 500 * time.Millisecond, Serializable: true})
	if err := ledger.Linearizable(history); err == nil || !strings.Contains(err.Error(), "not linearizable") {
		t.Fatalf("%d operations with stale reads were judged: %v", len(history), err)
	}
}

// TestWipedMemberLosesWrites is the control experiment: an operator wipes a member without removing it and starts it
// again under its old ID. Acknowledged writes vanish, and the ledger must say so.
func TestWipedMemberLosesWrites(t *testing.T) {
	t.Parallel()
	const before, after = 20, 30
	c := clustertest.New(t, clustertest.Options{Size: 3})
	leader := c.WaitLeader(t, c.Members...)
	var a, wiped, behind *clustertest.Member // the leader, and two followers
	for _, m := range c.Members {
		switch {
		case m == leader:
			a = m
		case wiped == nil:
			wiped = m
		default:
			behind = m
		}
	}
	record := newRecord(t)
	write(t, record, targetsOf(t, c.Members...), "ledger/before/", before)
	if err := ledger.EqualHashes(clustertest.Context(t, 20*time.Second), targetsOf(t, c.Members...)); err != nil {
		t.Fatal(err) // the member that stays behind must have these
	}

	behind.Stop(t)
	write(t, record, targetsOf(t, a, wiped), "ledger/after/", after)
	if err := check(t, c, record.load(t)).Err(); err != nil {
		t.Fatalf("before the mistake: %v", err)
	}
	a.Stop(t)
	wiped.Stop(t)
	wiped.Wipe(t)
	wiped.InitialState = "existing"
	behind.Launch(t) // has no quorum yet
	behind.WaitServesPeers(t)
	wiped.Start(t)
	behind.WaitReady(t)

	report := check(t, c, record.load(t), behind, wiped)
	if report.Err() == nil || len(report.Lost) != after || report.Acknowledged != before+after {
		t.Fatalf("the ledger did not find the loss of %d writes: %s", after, report)
	}
}

// record is a ledger and its file.
type record struct {
	ledger *ledger.Ledger
	file   string
}

func newRecord(t *testing.T) *record {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ledger")
	l, err := ledger.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &record{l, file}
}

func (r *record) load(t *testing.T) []ledger.Entry {
	t.Helper()
	entries, err := ledger.Load(r.file)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// write makes that many writes, all of which must be acknowledged.
func write(t *testing.T, r *record, targets []ledger.Target, prefix string, count int) {
	t.Helper()
	opts := ledger.Options{Seed: 1, Prefix: prefix, Writes: count, Timeout: 10 * time.Second}
	if err := ledger.Write(clustertest.Context(t, 30*time.Second), r.ledger, targets, opts); err != nil {
		t.Fatal(err)
	}
	for _, e := range r.load(t) {
		if e.Outcome != ledger.Acknowledged {
			t.Fatalf("a write without any fault was not acknowledged: %+v", e)
		}
	}
}

// check judges the cluster by the ledger, as the given members see it, or all.
func check(t *testing.T, c *clustertest.Cluster, entries []ledger.Entry, members ...*clustertest.Member) ledger.Report {
	t.Helper()
	if len(members) == 0 {
		members = c.Members
	}
	var urls []string
	for _, m := range members {
		urls = append(urls, m.ClientURL)
	}
	report, err := ledger.Check(clustertest.Context(t, 30*time.Second), c.ClientAs(t, "", "", urls...), prefix, entries)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func targetsOf(t *testing.T, members ...*clustertest.Member) []ledger.Target {
	t.Helper()
	var targets []ledger.Target
	for _, m := range members {
		targets = append(targets, ledger.Target{Name: m.Name, Client: m.Client(t)})
	}
	return targets
}
