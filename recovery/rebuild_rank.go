package recovery

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// ranking judges the candidates of one cluster.
type ranking struct {
	candidates []Candidate
	order      []int // of candidates, best log first; directories only
	out        map[int]string
	seed       int // -1 for none
}

// rank orders the directories by their logs, as an election would: the term of the last entry, then its index. Terms of
// hard states (elections inflate them), revisions of databases and times of files decide nothing.
func rank(candidates []Candidate) *ranking {
	r := &ranking{candidates: candidates, out: map[int]string{}, seed: -1}
	for i := range candidates {
		if candidates[i].log() != nil {
			r.order = append(r.order, i)
		}
	}
	slices.SortStableFunc(r.order, func(a, b int) int { return compareLogs(&candidates[a], &candidates[b]) })
	for i := range candidates {
		if why := cmp.Or(r.unfit(i), r.foreign(i)); why != "" {
			r.out[i] = why
		}
	}
	for _, i := range r.order {
		if r.out[i] == "" {
			r.seed = i
			break
		}
	}
	return r
}

// foreign says that a backup is of another cluster than the directories.
func (r *ranking) foreign(i int) string {
	theirs := r.candidates[i].Cluster
	if ours := r.cluster(); theirs != 0 && ours != 0 && theirs != ours {
		return "it is a backup of another cluster, " + theirs.String()
	}
	return ""
}

// compareLogs puts the better log first; of equal ones the one that was not torn, then the one with less to replay.
func compareLogs(a, b *Candidate) int {
	x, y := a.log(), b.log()
	torn := func(c *Candidate) int {
		if c.Info.State == datadir.StateClean {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(y.LastTerm, x.LastTerm), cmp.Compare(y.LastIndex, x.LastIndex), cmp.Compare(torn(a), torn(b)),
		cmp.Compare(x.Unapplied, y.Unapplied), strings.Compare(a.Name, b.Name),
	)
}

// unfit says why a candidate cannot be what the new cluster is made of; "" when it can.
func (r *ranking) unfit(i int) string {
	c := &r.candidates[i]
	switch {
	case c.Info == nil:
		return c.Problem
	case c.Info.State == datadir.StateUnreadable || c.Info.State == datadir.StateDamaged:
		return "damaged: " + firstDamage(c.Info)
	case c.Info.DB == nil:
		return "it has no database"
	case c.Info.DB.Hash == nil:
		return "its keys were not read"
	}
	if why := r.corrupt(c); why != "" {
		return why
	}
	if c.Info.Kind != datadir.KindDirectory {
		return ""
	}
	return r.noVoter(c)
}

// noVoter says why a directory's member has no vote.
func (r *ranking) noVoter(c *Candidate) string {
	for i := range r.candidates {
		o := r.candidates[i].Info
		if o != nil && o.Kind == datadir.KindDirectory && o.ClusterID == c.Info.ClusterID && slices.Contains(o.Removed, c.Info.MemberID) {
			return "its member " + c.Info.MemberID.String() + " was removed from the cluster"
		}
	}
	own := c.Info.Own()
	switch {
	case own == nil:
		return "its member " + c.Info.MemberID.String() + " is not in its own member list"
	case own.Learner:
		return "its member is a learner: no cluster can be made of it"
	}
	return ""
}

// corrupt says that members found the candidate's data to differ from theirs.
func (r *ranking) corrupt(c *Candidate) string {
	for i := range r.candidates {
		o := r.candidates[i].Info
		if o == nil || o.DB == nil {
			continue
		}
		for _, a := range o.DB.Alarms {
			if a.Alarm == "CORRUPT" && a.Member == c.Info.MemberID && c.Info.MemberID != 0 {
				return "the alarm CORRUPT is raised for it: its data differed from the others'"
			}
		}
	}
	return ""
}

// corruptSomewhere reports the alarm that a leader raises when it sees that contents differ and cannot tell whose are wrong:
// it names member 0.
func (r *ranking) corruptSomewhere() bool {
	return slices.ContainsFunc(r.candidates, func(c Candidate) bool {
		return c.Info != nil && c.Info.DB != nil && slices.ContainsFunc(c.Info.DB.Alarms, func(a datadir.Alarm) bool { return a.Alarm == "CORRUPT" && a.Member == 0 })
	})
}

// majorityAgrees reports whether the keys of a majority of all voters are here and equal at one revision.
func (r *ranking) majorityAgrees() bool {
	agree := map[datadir.Hash]int{}
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.Common == nil || c.log() == nil || r.noVoter(c) != "" {
			continue
		}
		agree[*c.Common]++
		if agree[*c.Common] >= ops.Quorum(len(c.Info.Voters())) {
			return true
		}
	}
	return false
}

func firstDamage(i *datadir.Info) string {
	for _, p := range i.Problems {
		if p.Severity == datadir.SeverityDamage {
			return strings.TrimPrefix(p.Where+": "+p.Text, ": ")
		}
	}
	return "unreadable"
}

// rejectOdd rules databases out whose content differs from that of most others at the same revision. differ names two
// candidates when there is no majority to go by.
func (r *ranking) rejectOdd() (differ []string) {
	groups := map[datadir.Hash][]int{}
	compared := 0
	for i := range r.candidates {
		if h := r.candidates[i].Common; h != nil && r.candidates[i].Info.Kind == datadir.KindDirectory {
			groups[*h] = append(groups[*h], i)
			compared++
		}
	}
	for a, as := range groups {
		for b, bs := range groups {
			if a == b || a.Revision != b.Revision || a.CompactRevision != b.CompactRevision {
				continue
			}
			switch {
			case len(as)*2 > compared:
				for _, i := range bs {
					r.out[i] = fmt.Sprintf("its keys differ from those of %d others at revision %d", len(as), a.Revision)
				}
			case len(bs)*2 <= compared:
				differ = []string{r.candidates[as[0]].Name, r.candidates[bs[0]].Name}
				slices.Sort(differ)
			}
		}
	}
	return differ
}

// choose picks the seed again, after more was ruled out.
func (r *ranking) choose(want string) {
	r.seed = -1
	for _, i := range r.order {
		if r.out[i] == "" && (want == "" || r.candidates[i].Name == want) {
			r.seed = i
			break
		}
	}
	if r.seed >= 0 {
		return
	}
	for i := range r.candidates { // no directory is left: the newest backup
		c := &r.candidates[i]
		if c.Info == nil || c.Info.Kind == datadir.KindDirectory || r.out[i] != "" || want != "" && c.Name != want {
			continue
		}
		if r.seed < 0 || c.Info.DB.Revision > r.candidates[r.seed].Info.DB.Revision {
			r.seed = i
		}
	}
}

// fork finds two logs that cannot be of one cluster's history: an entry that one knows to be committed is another one in
// the other, which is the better of the two or knows it to be committed as well.
func (r *ranking) fork() error {
	for n, better := range r.order {
		for _, worse := range r.order[n+1:] {
			a, b := &r.candidates[better], &r.candidates[worse]
			if a.Info.ClusterID != b.Info.ClusterID {
				continue
			}
			at, differs, _ := a.Info.Log.Divergence(b.Info.Log)
			if !differs || at > b.Info.Known() {
				continue
			}
			return fmt.Errorf("%s and %s have different entries %d, although %s knows entries up to %d to be committed: they are not of one history",
				a.Name, b.Name, at, b.Name, b.Info.Known())
		}
	}
	return nil
}

// lacks says what the seed has and candidate i has not.
func (r *ranking) lacks(i int) string {
	c := &r.candidates[i]
	if why := r.out[i]; why != "" {
		return why
	}
	if i == r.seed || r.seed < 0 {
		return ""
	}
	seed := &r.candidates[r.seed]
	if c.log() == nil || seed.log() == nil {
		if missing := seed.revisionsAtMost() - c.Info.DB.Revision; missing > 0 {
			return fmt.Sprintf("up to %d revisions", missing)
		}
		return ""
	}
	mine, theirs := c.log(), seed.log()
	if at, differs, _ := seed.Info.Log.Divergence(c.Info.Log); differs {
		return fmt.Sprintf("its log differs from entry %d on (%s): that was never committed, a later leader replaced it", at, counted(mine.LastIndex-at+1, "entry", "entries"))
	}
	if theirs.LastIndex > mine.LastIndex {
		return counted(theirs.LastIndex-mine.LastIndex, "entry", "entries")
	}
	return ""
}

// revisionsAtMost is the highest revision that the candidate can have once its log is replayed.
func (c *Candidate) revisionsAtMost() int64 {
	if w := c.log(); w != nil {
		return c.Info.DB.Revision + int64(w.Writes) //nolint:gosec // a count of entries
	}
	return c.Info.DB.Revision
}

// reason says why candidate i has its place.
func (r *ranking) reason(i int) string {
	c := &r.candidates[i]
	w := c.log()
	switch {
	case r.out[i] != "":
		return "cannot be used"
	case w == nil && i == r.seed:
		return "the newest backup: no directory can be used"
	case w == nil:
		return "a backup: a directory with its log comes first"
	case i == r.seed && w.Tail.Len() > 0:
		return "the last entry is of the highest term and index; " + counted(w.Tail.Len(), "entry", "entries") + " beyond commit will be kept"
	case i == r.seed:
		return "the last entry is of the highest term and index"
	case c.Info.State == datadir.StateTorn:
		return "torn tail"
	}
	return ""
}

// table is the ranking as the plan shows it.
func (r *ranking) table() []Ranked {
	var rows []Ranked
	place := 0
	row := func(i int) {
		c := &r.candidates[i]
		out := Ranked{Name: c.Name, Path: c.Path, Seed: i == r.seed, Reason: r.reason(i), Lacks: r.lacks(i)}
		if r.out[i] == "" {
			place++
			out.Rank = place
		}
		if c.Info != nil {
			out.Kind, out.Member, out.State = c.Info.Kind, c.Info.MemberID, c.Info.State
			out.Voter = r.counts(i)
			if c.Info.DB != nil {
				out.Revision = c.Info.DB.Revision
			}
			if w := c.log(); w != nil {
				out.LastTerm, out.LastIndex, out.Commit, out.Writes = w.LastTerm, w.LastIndex, w.Commit, w.Writes
			}
		}
		rows = append(rows, out)
	}
	for _, usable := range []bool{true, false} {
		for _, i := range r.order {
			if (r.out[i] == "") == usable {
				row(i)
			}
		}
		for i := range r.candidates {
			if r.candidates[i].log() == nil && (r.out[i] == "") == usable {
				row(i)
			}
		}
	}
	return rows
}

// counts tells whether a candidate's log proves something: that of a voter, with everything that it ever synced, which
// the seed is at least as good as.
func (r *ranking) counts(i int) bool {
	c := &r.candidates[i]
	if c.log() == nil || !c.log().Whole || r.seed < 0 || r.candidates[r.seed].log() == nil {
		return false
	}
	return r.noVoter(c) == "" && compareLogs(&r.candidates[r.seed], c) <= 0
}

// intact lists the distinct voters whose logs count.
func (r *ranking) intact() []ops.MemberID {
	var ids []ops.MemberID
	for i := range r.candidates {
		if r.counts(i) && !slices.Contains(ids, r.candidates[i].Info.MemberID) {
			ids = append(ids, r.candidates[i].Info.MemberID)
		}
	}
	return ids
}

// counted is a number with its noun.
func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + many
}
