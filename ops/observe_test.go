package ops

import (
	"testing"
	"time"
)

// TestPasses wants patience only where something speaks for it: what refuses, or is lost for sure, is told at once.
func TestPasses(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	voter := func(c Condition) MemberState {
		return MemberState{Member: Member{Name: "m", ClientURLs: []string{"http://m"}}, Condition: c, ProbedAt: now}
	}
	late, old := voter(Dead), voter(Live)
	late.Late = true
	old.ProbedAt = now.Add(-900 * time.Millisecond)
	for _, c := range []struct {
		name     string
		leader   MemberID
		strained bool
		voters   []MemberState
		want     time.Duration
	}{
		{"all well", 1, false, []MemberState{voter(Live), voter(Live), voter(Live)}, 0},
		{"one is dead", 1, true, []MemberState{voter(Live), voter(Live), voter(Dead)}, 0},
		{"one hangs, the others are quick", 1, false, []MemberState{voter(Live), voter(Live), late}, 0},
		{"one is late, as the others", 1, true, []MemberState{voter(Live), voter(Live), late}, observePatience},
		{"one is late, and can be spared", 1, true, []MemberState{voter(Live), voter(Live), voter(Live), voter(Live), late}, 0},
		{"the leader died", 0, false, []MemberState{voter(Leaderless), voter(Leaderless), voter(Dead)}, observeElection},
		{"no quorum", 0, false, []MemberState{voter(Leaderless), voter(Dead), voter(Dead)}, observeSettle},
		{"one follows an older term", 1, false, []MemberState{voter(Live), voter(Live), voter(Leaderless)}, observeSettle},
		{"we were slow ourselves", 1, false, []MemberState{old, voter(Live), voter(Live)}, observePatience},
	} {
		o := Observation{Leader: c.leader, Strained: c.strained, Members: c.voters}
		if got := o.passes(now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
