package ops_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// TestStrictCheckPredictsServers asks real leaders for changes in many situations, and holds their answers against
// StrictCheck: of this version's servers, and of Debian's 3.4.23.
func TestStrictCheckPredictsServers(t *testing.T) {
	t.Parallel()
	for _, kind := range []clustertest.Kind{clustertest.KindEtcd, clustertest.KindEtcd34} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			t.Run("voters", func(t *testing.T) {
				t.Parallel()
				strictVoters(newStrictTest(t, kind, 3))
			})
			t.Run("learners", func(t *testing.T) {
				t.Parallel()
				strictLearners(newStrictTest(t, kind, 3))
			})
		})
	}
}

// strictTest asks the leader of a cluster for changes, and knows what the leader sees.
type strictTest struct {
	*testing.T
	c       *clustertest.Cluster
	leader  *clustertest.Member
	client  *clientv3.Client // of the leader alone
	version string
	voters  []strictVoter
	next    int // number of the next address
	lost    int // how often the leader had lost a peer, as of the last look
}

type strictVoter struct {
	id      uint64
	member  *clustertest.Member // nil for one that never started
	started bool
	down    bool
	since   time.Time // when its connection to the leader was seen
}

func newStrictTest(t *testing.T, kind clustertest.Kind, size int) *strictTest {
	t.Helper()
	c := clustertest.New(t, clustertest.Options{Size: size, Kind: kind})
	s := &strictTest{T: t, c: c, leader: c.WaitLeader(t, c.Members...)}
	s.client = s.leader.Client(t)
	status, err := s.client.Status(clustertest.Context(t, limit), s.leader.ClientURL)
	if err != nil {
		t.Fatal(err)
	}
	s.version = status.Version
	for _, m := range c.Members {
		s.voters = append(s.voters, strictVoter{id: memberIDOf(s, m), member: m, started: true})
	}
	slices.SortStableFunc(s.voters, func(a, b strictVoter) int { // the leader first
		if a.member == s.leader {
			return -1
		}
		if b.member == s.leader {
			return 1
		}
		return 0
	})
	s.waitActive(size - 1)
	return s
}

func memberIDOf(s *strictTest, m *clustertest.Member) uint64 {
	s.Helper()
	list, err := s.client.MemberList(clustertest.Context(s.T, limit))
	if err != nil {
		s.Fatal(err)
	}
	for _, x := range list.Members {
		if x.Name == m.Name {
			return x.ID
		}
	}
	s.Fatalf("%s is not listed", m.Name)
	return 0
}

// waitActive waits until the leader says that it has so many peers connected, and notes the time for those that are new.
func (s *strictTest) waitActive(n int) {
	s.Helper()
	clusterUntil(s.T, fmt.Sprintf("%d active peers", n), func(ctx context.Context) (bool, error) { return s.active(ctx) == n, nil })
	s.lost = s.losses(s.Context())
	for i := range s.voters {
		if !s.voters[i].down && s.voters[i].started && s.voters[i].since.IsZero() {
			s.voters[i].since = time.Now()
		}
	}
}

// active is how many peers the leader is connected with.
func (s *strictTest) active(ctx context.Context) int {
	return s.series(ctx, "etcd_network_active_peers{")
}

// losses is how often the leader has lost a peer.
func (s *strictTest) losses(ctx context.Context) int {
	return s.series(ctx, "etcd_network_disconnected_peers_total{")
}

// series is the sum of the leader's metrics whose lines begin so.
func (s *strictTest) series(ctx context.Context, prefix string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.leader.ClientURL+"/metrics", http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	sum := 0.0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), prefix) {
			continue
		}
		value, err := strconv.ParseFloat(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], 64)
		if err != nil {
			s.Fatal(err)
		}
		sum += value
	}
	return int(sum)
}

// waitWindow waits until all connections are older than what the servers look at, by what the test knows of them.
func (s *strictTest) waitWindow() {
	s.Helper()
	var newest time.Time
	for _, v := range s.voters {
		if v.since.After(newest) {
			newest = v.since
		}
	}
	timer := time.NewTimer(time.Until(newest.Add(ops.StrictWindow + 300*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.Context().Done():
	}
}

// input is what the leader sees.
func (s *strictTest) input(target uint64) ops.StrictInput {
	in := ops.StrictInput{Version: s.version, Target: -1, Match: 100, Leader: 100}
	for i, v := range s.voters {
		if v.id == target {
			in.Target = i
		}
		in.Voters = append(in.Voters, ops.StrictVoter{
			Self: v.member == s.leader, Started: v.started, Active: v.started && !v.down, Connected: time.Since(v.since),
		})
	}
	return in
}

// ask asks for a change and compares the answer with the prediction made just before. What was accepted becomes part of
// what the test knows; the ID of what was added is returned.
func (s *strictTest) ask(kind ops.ChangeKind, target uint64, match ...uint64) uint64 {
	s.Helper()
	id, err, same := s.compare(kind, target, match...)
	for !same && err != nil && s.lostAgain() {
		id, err, same = s.compare(kind, target, match...)
	}
	if !same {
		s.Fail()
	}
	if err == nil && kind == ops.ChangeRemove {
		s.voters = slices.DeleteFunc(s.voters, func(v strictVoter) bool { return v.id == target })
	}
	if err == nil && kind == ops.ChangeAddVoter {
		s.voters = append(s.voters, strictVoter{id: id})
	}
	return id
}

// compare asks once, and tells whether the answer is the one that was predicted.
func (s *strictTest) compare(kind ops.ChangeKind, target uint64, match ...uint64) (id uint64, err error, same bool) { //nolint:revive // the error is an answer
	s.Helper()
	in := s.input(target)
	if len(match) == 1 {
		in.Match = match[0]
	}
	want := ops.StrictCheck(kind, in)
	id, err = s.request(kind, target)
	got := ""
	if err != nil {
		got = strings.TrimPrefix(rpctypes.ErrorDesc(err), "etcdserver: ")
		if known, ok := errors.AsType[rpctypes.EtcdError](err); ok {
			got = strings.TrimPrefix(known.Error(), "etcdserver: ")
		}
	}
	s.Logf("%s %s: the server of %s answers %q, predicted %q", kind, s.picture(target), s.version, got, want)
	return id, err, got == want
}

// lostAgain tells whether the leader has lost a peer once more than the test knew. A member that was killed while its last
// connections were being made is taken for connected again, until the leader sees that nobody is there.
func (s *strictTest) lostAgain() bool {
	s.Helper()
	ctx := clustertest.Context(s.T, limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if now := s.losses(ctx); now != s.lost {
			s.lost = now
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// request is answered soon, or the test ends: a change without a quorum would hang.
func (s *strictTest) request(kind ops.ChangeKind, target uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	s.next++
	url := []string{fmt.Sprintf("http://127.0.0.1:%d", s.next)} // nobody listens there
	switch kind {
	case ops.ChangeAddVoter:
		resp, err := s.client.MemberAdd(ctx, url)
		if err != nil {
			return 0, err
		}
		return resp.Member.ID, nil
	case ops.ChangeAddLearner:
		resp, err := s.client.MemberAddAsLearner(ctx, url)
		if err != nil {
			return 0, err
		}
		return resp.Member.ID, nil
	case ops.ChangeRemove:
		_, err := s.client.MemberRemove(ctx, target)
		return 0, err
	default:
		_, err := s.client.MemberPromote(ctx, target)
		return 0, err
	}
}

// clusterUntil asks again and again for something that takes the cluster a moment.
func clusterUntil(t *testing.T, what string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx := clustertest.Context(t, 3*limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, 3*limit, err)
		}
	}
}

// picture draws the voters as the golden scenarios do.
func (s *strictTest) picture(target uint64) string {
	var out []string
	for _, v := range s.voters {
		word := "s"
		switch {
		case !v.started:
			word = "u"
		case v.down:
			word = "d"
		case time.Since(v.since) < ops.StrictWindow && v.member != s.leader:
			word = "j"
		}
		if v.id == target {
			word += "*"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func (s *strictTest) kill(i int) {
	s.Helper()
	active := s.active(s.Context())
	s.voters[i].member.Kill(s.T)
	s.voters[i].down, s.voters[i].since = true, time.Time{}
	s.waitActive(active - 1)
}

func (s *strictTest) restart(i int) {
	s.Helper()
	active := s.active(s.Context())
	s.voters[i].member.Launch(s.T)
	s.waitActive(active + 1)
	s.voters[i].down, s.voters[i].since = false, time.Now()
}

// strictVoters goes through situations of voters alone.
func strictVoters(s *strictTest) {
	s.Helper()
	s.waitWindow()
	first := s.ask(ops.ChangeAddVoter, 0) // s s s
	second := s.ask(ops.ChangeAddVoter, 0)
	if second != 0 { // s s s u u: since 3.5.30
		s.ask(ops.ChangeAddVoter, 0)
		s.ask(ops.ChangeAddLearner, 0)
		s.ask(ops.ChangeRemove, s.voters[1].id) // the rest has too few that started
		s.ask(ops.ChangeRemove, second)
	}
	s.ask(ops.ChangeRemove, first)
	s.kill(2) // s s d
	s.ask(ops.ChangeAddVoter, 0)
	s.ask(ops.ChangeAddLearner, 0)
	s.ask(ops.ChangeRemove, s.voters[1].id)
	s.ask(ops.ChangeRemove, s.voters[0].id)
	s.restart(2) // s s j
	s.ask(ops.ChangeAddVoter, 0)
	s.ask(ops.ChangeAddLearner, 0)
	s.ask(ops.ChangeRemove, s.voters[1].id)
	s.ask(ops.ChangeRemove, s.voters[2].id)
	s.kill(2)
	s.ask(ops.ChangeRemove, s.voters[2].id) // s s
	third := s.ask(ops.ChangeAddVoter, 0)   // s s u
	s.ask(ops.ChangeAddVoter, 0)
	s.ask(ops.ChangeRemove, s.voters[1].id)
	s.ask(ops.ChangeRemove, third)
	s.ask(ops.ChangeRemove, s.voters[1].id) // s
	s.ask(ops.ChangeRemove, s.voters[0].id)
	s.ask(ops.ChangeAddVoter, 0) // one may always become two; then nothing works any more
}

// strictLearners goes through promotions, up to the one that the server should not accept.
func strictLearners(s *strictTest) {
	s.Helper()
	s.waitWindow()
	never := s.ask(ops.ChangeAddLearner, 0)
	s.ask(ops.ChangePromote, never, 0)
	s.ask(ops.ChangeRemove, never)
	learner := s.c.AddMember(s.T, s.leader.Kind, true)
	id := memberIDOf(s, learner)
	s.caughtUp(learner)
	active := s.active(s.Context())
	learner.Kill(s.T)
	s.waitActive(active - 1)
	s.kill(2)
	s.ask(ops.ChangePromote, id) // s s d, and the learner is dead: accepted, and the quorum is gone
	ctx, cancel := context.WithTimeout(s.Context(), time.Second)
	defer cancel()
	if _, err := s.client.Put(ctx, "k", "v"); err == nil {
		s.Error("a write went through with two of four voters")
	}
}

// caughtUp waits until the learner has applied what the leader has.
func (s *strictTest) caughtUp(learner *clustertest.Member) {
	s.Helper()
	client := learner.Client(s.T)
	clusterUntil(s.T, "the learner has caught up", func(ctx context.Context) (bool, error) {
		leading, err := s.client.Status(ctx, s.leader.ClientURL)
		if err != nil {
			return false, err
		}
		following, err := client.Status(ctx, learner.ClientURL)
		return err == nil && following.RaftAppliedIndex >= leading.RaftIndex, err
	})
}
