package backup

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/ops"
)

var t0 = time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)

// every makes n backups, one each step, the last one at t0.
func every(n int, step time.Duration) []Snapshot {
	out := make([]Snapshot, n)
	for i := range out {
		out[i] = Snapshot{
			ID: ID(fmt.Sprintf("%016x", i)), ClusterID: 1, Level: LevelData, Revision: int64(i),
			TakenAt: t0.Add(-time.Duration(n-1-i) * step),
		}
	}
	return out
}

// kept lists the numbers of the backups that stay, newest first, with their reasons.
func kept(verdicts []Verdict) string {
	var out []string
	for _, v := range verdicts {
		if v.Keep {
			out = append(out, fmt.Sprintf("%d:%s", v.Revision, strings.Join(v.Reasons, "+")))
		}
	}
	return strings.Join(out, " ")
}

func TestPolicy(t *testing.T) {
	set := func(change func([]Snapshot)) []Snapshot {
		list := every(4, time.Hour)
		change(list)
		return list
	}
	for _, tc := range []struct {
		name   string
		policy Policy
		list   []Snapshot
		want   string
		err    error
	}{
		{"last", Policy{Last: 2}, every(4, time.Hour), "3:last+newest verified 2:last", nil},
		{"no rule", Policy{}, every(2, time.Hour), "1:no rule is set 0:no rule is set", nil},
		{"daily takes the newest of a day", Policy{Daily: 2, Force: true}, every(48, time.Hour), "47:daily+newest verified 46:daily", nil},
		{"monthly", Policy{Monthly: 3, Force: true}, every(60, 24*time.Hour), "59:monthly+newest verified 58:monthly 30:monthly", nil},
		{"yearly", Policy{Yearly: 2, Last: 1, Force: true}, every(400, 24*time.Hour), "399:last+newest verified+yearly 339:yearly", nil},
		{"window with the one before it", Policy{Window: 90 * time.Minute}, every(4, time.Hour), "3:newest verified+window 2:window 1:window begins in it", nil},
		{"more than half", Policy{Last: 1}, every(4, time.Hour), "3:last+newest verified", errHalf},
		{"forced", Policy{Last: 1, Force: true}, every(4, time.Hour), "3:last+newest verified", nil},
		{"held and leased", Policy{Last: 1}, set(func(l []Snapshot) { l[0].Held, l[1].Leased = true, true }), "3:last+newest verified 1:a restore reads it 0:held", nil},
		{
			"the newest is bad: all stay",
			Policy{Last: 1, Force: true},
			set(func(l []Snapshot) { l[3].Level = LevelNone }),
			strings.Join([]string{"3:x", "2:x", "1:x", "0:x"}, " "), nil,
		},
		{"a bad one fills no place", Policy{Last: 2}, set(func(l []Snapshot) { l[2].Level = LevelNone }), "3:last+newest verified 1:last", nil},
		{"the future", Policy{Last: 2}, set(func(l []Snapshot) { l[3].TakenAt = t0.Add(time.Hour) }), "3:last+newest verified 2:last", errFuture},
	} {
		got, err := tc.policy.Apply(t0, tc.list)
		want := strings.ReplaceAll(tc.want, ":x", ":the newest backup of this cluster is not verified")
		if kept(got) != want || !errors.Is(err, tc.err) {
			t.Errorf("%s:\n got  %s, %v\n want %s, %v", tc.name, kept(got), err, want, tc.err)
		}
	}
}

// TestArchiveFrom looks at which backups archived changes are kept from.
func TestArchiveFrom(t *testing.T) {
	list := every(6, time.Hour)
	var entries []Entry
	for _, s := range slices.Backward(list) {
		m := &Manifest{ID: s.ID, ClusterID: s.ClusterID, TakenAt: s.TakenAt, Revision: s.Revision, Level: s.Level}
		entries = append(entries, Entry{ID: s.ID, Manifest: m, Dir: m.Dir(), Leased: s.Revision == 0})
	}
	for name, tc := range map[string]struct {
		policy Policy
		want   []int64
	}{
		"without a window: all that are left":                                           {Policy{Last: 6}, []int64{5, 4, 3, 2, 1, 0}},
		"of the window, where it begins, one in case that is damaged, and what is read": {Policy{Last: 6, Window: 90 * time.Minute}, []int64{5, 4, 3, 2, 0}},
		"what goes is none in case: until it has gone its changes stay":                 {Policy{Window: 90 * time.Minute, Force: true}, []int64{5, 4, 3, 2, 1, 0}},
	} {
		plan, err := tc.policy.Plan(entries, t0)
		if got := tc.policy.ArchiveFrom(plan)[1]; err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, tc.want)
		}
	}
}

// history is a random life of a repository.
func history(r *rand.Rand) []Snapshot {
	list := every(1+r.IntN(60), time.Duration(1+r.IntN(50))*time.Hour)
	for i := range list {
		s := &list[i]
		s.TakenAt = s.TakenAt.Add(-time.Duration(r.IntN(3600)) * time.Second)
		s.ClusterID = ops.ClusterID(1 + r.IntN(2))
		s.Held, s.Leased = r.IntN(12) == 0, r.IntN(12) == 0
		if r.IntN(6) == 0 {
			s.Level = Level(r.IntN(4) - 1)
		}
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// TestPolicyKeepsWhatItPromises applies random policies to 10,000 random histories, several times in a row with a clock
// that may be wrong by years.
func TestPolicyKeepsWhatItPromises(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 10_000 {
		list := history(r)
		p := Policy{
			Last: r.IntN(4), Hourly: r.IntN(4), Daily: r.IntN(4), Weekly: r.IntN(3), Monthly: r.IntN(3), Yearly: r.IntN(2),
			Window: time.Duration(r.IntN(200)) * time.Hour, Force: r.IntN(2) == 0,
		}
		left := slices.Clone(list)
		for range 3 {
			now := t0.Add(time.Duration(r.IntN(3)-1) * 10 * 365 * 24 * time.Hour)
			verdicts, err := p.Apply(now, slices.Clone(left))
			if len(verdicts) != len(left) {
				t.Fatalf("seed %d: %d verdicts on %d backups", seed, len(verdicts), len(left))
			}
			if err != nil {
				continue // nothing is removed
			}
			left = left[:0]
			for _, v := range verdicts {
				if v.Keep {
					left = append(left, v.Snapshot)
				}
			}
		}
		for _, lost := range broken(p, list, left) {
			t.Fatalf("seed %d: policy %+v: %s\nbefore %+v\nafter  %+v", seed, p, lost, list, left)
		}
	}
}

// broken says which promises do not hold of what is left.
func broken(p Policy, before, after []Snapshot) (out []string) {
	has := map[ID]bool{}
	for _, s := range after {
		has[s.ID] = true
	}
	newest := map[ops.ClusterID]Snapshot{}
	for _, s := range before {
		if (s.Held || s.Leased) && !has[s.ID] {
			out = append(out, "a backup that is held or read was removed: "+string(s.ID))
		}
		if n, ok := newest[s.ClusterID]; s.Level >= LevelData && (!ok || s.TakenAt.After(n.TakenAt)) {
			newest[s.ClusterID] = s
		}
	}
	for cluster, n := range newest {
		out = append(out, brokenRules(p, before, has, cluster)...)
		if !has[n.ID] {
			out = append(out, "the newest verified backup was removed")
		}
		for age := time.Duration(0); age <= p.Window; age += 30 * time.Minute {
			if a, b := serving(before, cluster, n.TakenAt.Add(-age)), serving(after, cluster, n.TakenAt.Add(-age)); a != "" && b == "" {
				out = append(out, fmt.Sprintf("the state %v before the newest can no longer be restored: %s is gone", age, a))
			}
		}
	}
	return out
}

// brokenRules says of which periods that a rule counts the newest verified backup is gone. It knows nothing of how the policy finds them.
func brokenRules(p Policy, before []Snapshot, has map[ID]bool, cluster ops.ClusterID) (out []string) {
	for name, rule := range map[string]struct {
		count  int
		period func(Snapshot) string
	}{
		"last":    {p.Last, func(s Snapshot) string { return s.TakenAt.UTC().Format(time.RFC3339Nano) + string(s.ID) }},
		"hourly":  {p.Hourly, func(s Snapshot) string { return s.TakenAt.UTC().Format("2006-01-02 15") }},
		"daily":   {p.Daily, func(s Snapshot) string { return s.TakenAt.UTC().Format("2006-01-02") }},
		"monthly": {p.Monthly, func(s Snapshot) string { return s.TakenAt.UTC().Format("2006-01") }},
		"yearly":  {p.Yearly, func(s Snapshot) string { return s.TakenAt.UTC().Format("2006") }},
	} {
		newest := map[string]Snapshot{}
		for _, s := range before {
			if n, ok := newest[rule.period(s)]; s.ClusterID == cluster && s.Level >= LevelData && (!ok || s.TakenAt.After(n.TakenAt)) {
				newest[rule.period(s)] = s
			}
		}
		periods := slices.Sorted(maps.Keys(newest))
		for _, period := range periods[max(0, len(periods)-rule.count):] {
			if !has[newest[period].ID] {
				out = append(out, fmt.Sprintf("the newest backup of %s, which %s keeps, was removed", period, name))
			}
		}
	}
	return out
}

// serving is the newest verified backup at a time.
func serving(list []Snapshot, cluster ops.ClusterID, at time.Time) ID {
	var best Snapshot
	for _, s := range list {
		if s.ClusterID == cluster && s.Level >= LevelData && !s.TakenAt.After(at) && s.TakenAt.After(best.TakenAt) {
			best = s
		}
	}
	return best.ID
}
