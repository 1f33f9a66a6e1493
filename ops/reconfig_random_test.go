package ops_test

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// TestChecksKeepTheQuorum makes random sequences of changes of random clusters, and holds every proof without an error to
// a count of its own: at no moment fewer live voters than a majority, in the old list and in the new one.
func TestChecksKeepTheQuorum(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	passed := 0
	for range 20000 {
		o, changes := randomScenario(r)
		p, err := ops.CheckChange(o, o.TakenAt, ops.CheckOptions{}, changes...)
		if err != nil {
			continue
		}
		passed++
		held := newHeld(o)
		for i, step := range p.Steps {
			old := held.clone()
			held.apply(step.Change)
			for _, list := range []tallied{old, held} {
				if live, voters := list.count(); 2*live <= voters && step.Change.Kind != ops.ChangeStart { // a start only helps
					t.Fatalf("step %d (%s) leaves %d of %d voters, and passed: %+v %+v", i, step.Text, live, voters, o, changes)
				}
			}
			if live, voters := held.count(); live != step.After.Live || voters != step.After.Voters {
				t.Fatalf("step %d (%s): counted %d of %d, the proof says %s: %+v %+v", i, step.Text, live, voters, step.After, o, changes)
			}
		}
	}
	if passed < 1000 {
		t.Errorf("only %d sequences passed: the test has lost its subject", passed)
	}
}

func randomScenario(r *rand.Rand) (ops.Observation, []ops.Change) {
	o := ops.Observation{TakenAt: time.Unix(1, 0), Leader: 1, Commit: 100}
	for i := range 1 + r.IntN(9) {
		m := ops.MemberState{
			Member:    ops.Member{ID: ops.MemberID(i + 1), Name: string(rune('a' + i)), Learner: i > 0 && r.IntN(5) == 0},
			Condition: ops.Live, ProbedAt: o.TakenAt, Version: "3.7.3", Commit: 100, Applied: 100,
		}
		if i > 0 && r.IntN(3) == 0 {
			conditions := []ops.Condition{ops.Dead, ops.Unstarted, ops.Leaderless, ops.Unproven}
			m.Condition = conditions[r.IntN(len(conditions))]
			if m.Condition == ops.Unstarted {
				m.Name = ""
			}
		}
		if r.IntN(20) == 0 {
			m.ProbedAt = o.TakenAt.Add(-2 * ops.ProbeAge)
		}
		o.Members = append(o.Members, m)
	}
	kinds := []ops.ChangeKind{ops.ChangeRemove, ops.ChangePromote, ops.ChangeStop, ops.ChangeStart, ops.ChangeAddVoter, ops.ChangeAddLearner}
	var changes []ops.Change
	for i := range 1 + r.IntN(4) {
		c := ops.Change{Kind: kinds[r.IntN(len(kinds))], Member: ops.MemberID(1 + r.IntN(len(o.Members)))}
		if c.Kind == ops.ChangeAddVoter || c.Kind == ops.ChangeAddLearner {
			c.Member = ops.MemberID(100 + i)
			c.PeerURLs = []string{"http://" + string(rune('p'+i))}
		}
		changes = append(changes, c)
	}
	return o, changes
}

// tallied is the test's own idea of a cluster: for each voter whether it lives; learners are kept apart.
type tallied struct{ voters, learners map[ops.MemberID]bool }

func newHeld(o ops.Observation) tallied {
	h := tallied{map[ops.MemberID]bool{}, map[ops.MemberID]bool{}}
	for _, m := range o.Members {
		lives := m.Condition == ops.Live && o.TakenAt.Sub(m.ProbedAt) <= ops.ProbeAge
		if m.Learner {
			h.learners[m.ID] = lives
		} else {
			h.voters[m.ID] = lives
		}
	}
	return h
}

func (h tallied) clone() tallied {
	c := tallied{map[ops.MemberID]bool{}, map[ops.MemberID]bool{}}
	maps.Copy(c.voters, h.voters)
	maps.Copy(c.learners, h.learners)
	return c
}

func (h tallied) count() (live, voters int) {
	for _, lives := range h.voters {
		if lives {
			live++
		}
	}
	return live, len(h.voters)
}

func (h tallied) apply(c ops.Change) {
	list := h.voters
	if _, learner := h.learners[c.Member]; learner {
		list = h.learners
	}
	switch c.Kind {
	case ops.ChangeAddVoter:
		h.voters[c.Member] = false
	case ops.ChangeAddLearner:
		h.learners[c.Member] = false
	case ops.ChangeRemove:
		delete(list, c.Member)
	case ops.ChangePromote:
		h.voters[c.Member] = h.learners[c.Member]
		delete(h.learners, c.Member)
	case ops.ChangeStop:
		list[c.Member] = false
	case ops.ChangeStart:
		list[c.Member] = true
	case ops.ChangeUpdate, ops.ChangeMoveLeader:
	}
}
