package ops_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// opened connects to all members of a cluster, without waiting for any.
func opened(t *testing.T, c *clustertest.Cluster) *ops.Cluster {
	t.Helper()
	cluster, err := ops.Open(clientOf(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	return cluster
}

func observe(t *testing.T, c *ops.Cluster) ops.Observation {
	t.Helper()
	o, err := c.Observe(clustertest.Context(t, 3*limit))
	if err != nil {
		t.Fatalf("observe: %v", err)
	}
	return o
}

// settled observes until so many voters are live and a leader leads.
func settled(t *testing.T, c *ops.Cluster, live int) ops.Observation {
	t.Helper()
	var o ops.Observation
	clusterUntil(t, "enough live voters", func(ctx context.Context) (bool, error) {
		var err error
		o, err = c.Observe(ctx)
		n := 0
		for _, m := range o.Members {
			if m.Condition == ops.Live && !m.Learner {
				n++
			}
		}
		return err == nil && n == live && o.Leader != 0, err
	})
	return o
}

func idOf(t *testing.T, o ops.Observation, m *clustertest.Member) ops.MemberID {
	t.Helper()
	found, err := o.Membership().Find(m.Name)
	if err != nil {
		t.Fatal(err)
	}
	return found.ID
}

// followersOf returns the members that do not lead.
func followersOf(c *clustertest.Cluster, o ops.Observation) []*clustertest.Member {
	lead, _ := o.ByID(o.Leader)
	return slices.DeleteFunc(slices.Clone(c.Members), func(m *clustertest.Member) bool { return m.Name == lead.Name })
}

// mustRefuse wants a change refused with the given code, and the member list as it was.
func mustRefuse(t *testing.T, c *ops.Cluster, code ops.Code, change ops.Change, accept ...string) error {
	t.Helper()
	before := observe(t, c).Membership()
	_, err := c.Change(clustertest.Context(t, 3*limit), change, ops.ChangeOptions{Accept: accept})
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassRefused || ops.CodeOf(err) != code {
		t.Errorf("%s: %v, want a refusal with %s", change, err, code)
	}
	if diff := cmp.Diff(before, observe(t, c).Membership()); diff != "" {
		t.Errorf("%s was refused, and the members changed:\n%s", change, diff)
	}
	return err
}

// makes wants a change made, and verified on so many members.
func makes(t *testing.T, c *ops.Cluster, verified int, change ops.Change, opts ops.ChangeOptions) ops.ChangeResult {
	t.Helper()
	result, err := c.Change(clustertest.Context(t, 4*limit), change, opts)
	if err != nil {
		t.Fatalf("%s: %v", change, err)
	}
	if len(result.VerifiedOn) != verified {
		t.Errorf("%s: verified on %v, want %d members", change, result.VerifiedOn, verified)
	}
	return result
}

// TestReplaceAMember removes a dead member of three, adds it again as a learner, starts it as it is told, promotes it; on
// the way everything is refused that must be.
func TestReplaceAMember(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, TLS: true})
	cluster := opened(t, c)
	o := settled(t, cluster, 3)
	followers := followersOf(c, o)
	lost, other := followers[0], followers[1]
	lostID, otherID := idOf(t, o, lost), idOf(t, o, other)

	// Addresses are tried, through TLS with client certificates.
	_ = mustRefuse(t, cluster, ops.CodeRisk, ops.Change{Kind: ops.ChangeUpdate, Member: lostID, PeerURLs: []string{"https://127.0.0.1:1"}})
	for _, tc := range []struct {
		wanted ops.MemberID
		at     *clustertest.Member
		state  ops.AddressState
	}{{lostID, lost, ops.AddressMember}, {lostID, other, ops.AddressOther}, {otherID, other, ops.AddressMember}} {
		if got := cluster.FindPeers(t.Context(), o, tc.wanted, tc.at.PeerURL)[0]; got.State != tc.state {
			t.Errorf("%s looked for at the URL of %s: %+v, want %s", tc.wanted, tc.at.Name, got, tc.state)
		}
	}

	lost.Kill(t)
	settled(t, cluster, 2)
	_ = mustRefuse(t, cluster, ops.CodeQuorumLoss, ops.Change{Kind: ops.ChangeRemove, Member: otherID})
	_ = mustRefuse(t, cluster, ops.CodeQuorumLoss, ops.Change{Kind: ops.ChangeUpdate, Member: otherID, PeerURLs: []string{"https://127.0.0.1:1"}}, ops.RiskDeadAddress)
	_ = mustRefuse(t, cluster, ops.CodeServerRefuses, ops.Change{Kind: ops.ChangeAddLearner, Name: "m4", PeerURLs: []string{"https://127.0.0.1:1"}})
	_ = mustRefuse(t, cluster, ops.CodeQuorumLoss, ops.Change{Kind: ops.ChangeAddVoter, Name: "m4", PeerURLs: []string{"https://127.0.0.1:1"}}, ops.RiskNames()...)

	stale := ops.Membership{ClusterID: o.ClusterID, Members: o.Membership().Members[1:]}
	remove := ops.Change{Kind: ops.ChangeRemove, Member: lostID}
	if _, err := cluster.Change(clustertest.Context(t, limit), remove, ops.ChangeOptions{Expect: &stale}); ops.CodeOf(err) != ops.CodeStalePlan {
		t.Errorf("a plan for another membership: %v", err)
	}
	makes(t, cluster, 2, remove, ops.ChangeOptions{})
	lost.Wipe(t)
	added := makes(t, cluster, 2, ops.Change{Kind: ops.ChangeAddLearner, Name: lost.Name, PeerURLs: []string{lost.PeerURL}}, ops.ChangeOptions{})
	id := added.Change.Member
	if id == 0 || id == lostID {
		t.Fatalf("the new member has ID %s, the old one had %s", id, lostID)
	}
	_ = mustRefuse(t, cluster, ops.CodeServerRefuses, ops.Change{Kind: ops.ChangePromote, Member: id})
	err := mustRefuse(t, cluster, ops.CodeServerRefuses, ops.Change{Kind: ops.ChangeAddLearner, Name: "m5", PeerURLs: []string{"https://127.0.0.1:2"}})
	if !strings.Contains(err.Error(), "as many learners") {
		t.Errorf("the limit of learners is told as %v", err)
	}

	start, err := ops.StartConfigFor(added.Membership, id, ops.StartOptions{Name: lost.Name})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range start.Settings {
		switch s.Name {
		case "initial-cluster":
			lost.InitialCluster = s.Value
		case "initial-cluster-state":
			lost.InitialState = s.Value
		}
	}
	lost.Launch(t)
	if err := cluster.WaitLive(clustertest.Context(t, 3*limit), id, nil); err != nil {
		t.Fatal(err)
	}
	// It is behind, by a link that is slow: the promotion waits for it, and says so.
	lead, _ := o.ByID(o.Leader)
	c.Delay(t, lead.Name, lost.Name, 700*time.Millisecond)
	client := c.Client(t)
	for range 20 {
		if _, err := client.Put(clustertest.Context(t, limit), "k", "v"); err != nil {
			t.Fatal(err)
		}
	}
	caughtUp := 0
	promoted := makes(t, cluster, 3, ops.Change{Kind: ops.ChangePromote, Member: id}, ops.ChangeOptions{Tell: func(e ops.ChangeEvent) {
		if e.Kind == "waiting" && e.Have < e.Want {
			caughtUp++
		}
	}})
	if caughtUp == 0 {
		t.Error("a learner that was behind was not waited for")
	}
	c.Heal()
	if m, _ := promoted.Membership.ByID(id); m.Learner {
		t.Error("it is a learner still")
	}
	settled(t, cluster, 3)
}

// TestChangeWaitsForTheWindow cuts a member off, heals that and adds another at once: the server refuses for five seconds,
// and the change waits for that and says so.
func TestChangeWaitsForTheWindow(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	cluster := opened(t, c)
	o := settled(t, cluster, 3)
	c.Isolate(t, followersOf(c, o)[0].Name)
	settled(t, cluster, 2)
	_ = mustRefuse(t, cluster, ops.CodeServerRefuses, ops.Change{Kind: ops.ChangeAddLearner, Name: "m4", PeerURLs: []string{"http://127.0.0.1:1"}})
	c.Heal()
	settled(t, cluster, 3)
	var waited []string
	result := makes(t, cluster, 3, ops.Change{Kind: ops.ChangeAddLearner, Name: "m4", PeerURLs: []string{"http://127.0.0.1:1"}}, ops.ChangeOptions{
		Tell: func(e ops.ChangeEvent) {
			if e.Kind == "waiting" {
				waited = append(waited, e.Text)
			}
		},
	})
	if result.Waited > time.Second && len(waited) == 0 {
		t.Errorf("it took %s, and nobody was told why", result.Waited)
	}
	t.Logf("waited %s: %v", result.Waited, slices.Compact(waited))
}

// TestFourVotersOneDead removes the dead one, and not a living one.
func TestFourVotersOneDead(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 4})
	cluster := opened(t, c)
	o := settled(t, cluster, 4)
	followers := followersOf(c, o)
	followers[0].Kill(t)
	settled(t, cluster, 3)
	err := mustRefuse(t, cluster, ops.CodeRisk, ops.Change{Kind: ops.ChangeRemove, Member: idOf(t, o, followers[1])})
	if risks := ops.RisksOf(err); len(risks) != 1 || risks[0].Name != ops.RiskLiveMember {
		t.Errorf("risks %v", risks)
	}
	result := makes(t, cluster, 3, ops.Change{Kind: ops.ChangeRemove, Member: idOf(t, o, followers[0])}, ops.ChangeOptions{})
	if result.Proof.Worst.Tolerance < result.Proof.Now.Tolerance || result.Proof.After.Tolerance != 1 {
		t.Errorf("proof %+v", result.Proof)
	}
	makes(t, cluster, 3, ops.Change{Kind: ops.ChangeMoveLeader, Member: idOf(t, o, followers[1])}, ops.ChangeOptions{})
}

// TestDeadLearnerDeadVoter: the server would promote the learner, and the quorum would be gone.
func TestDeadLearnerDeadVoter(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	learner := c.AddMember(t, clustertest.KindEtcd, true)
	cluster := opened(t, c)
	o := settled(t, cluster, 3)
	if err := cluster.WaitLive(clustertest.Context(t, 3*limit), idOf(t, o, learner), nil); err != nil {
		t.Fatal(err)
	}
	promote := ops.Change{Kind: ops.ChangePromote, Member: idOf(t, o, learner)}
	learner.Kill(t)
	if risks := ops.RisksOf(mustRefuse(t, cluster, ops.CodeRisk, promote)); len(risks) != 1 || risks[0].Name != ops.RiskDeadLearner {
		t.Errorf("risks %v", risks)
	}
	voters := slices.DeleteFunc(followersOf(c, o), func(m *clustertest.Member) bool { return m == learner })
	voters[0].Kill(t)
	settled(t, cluster, 2)
	_ = mustRefuse(t, cluster, ops.CodeQuorumLoss, promote, ops.RiskNames()...)
	voters[1].Kill(t)
	clusterUntil(t, "no quorum", func(ctx context.Context) (bool, error) {
		o, err := cluster.Observe(ctx)
		return err == nil && o.Leader == 0, err
	})
	_ = mustRefuse(t, cluster, ops.CodeNoQuorum, promote, ops.RiskNames()...)
	_ = mustRefuse(t, cluster, ops.CodeNoQuorum, ops.Change{Kind: ops.ChangeRemove, Member: idOf(t, o, voters[0])})
}

// TestObserveAwaitsElection: the leader has just died. The look waits for the next one, because enough voters answer to elect it.
func TestObserveAwaitsElection(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	cluster, err := ops.Open(ops.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	c.WaitLeader(t, c.Members...).Kill(t)
	seen, err := cluster.Observe(clustertest.Context(t, time.Minute))
	if err != nil || seen.Leader == 0 {
		t.Errorf("leader %s, %v, members %+v", seen.Leader, err, seen.Members)
	}
}
