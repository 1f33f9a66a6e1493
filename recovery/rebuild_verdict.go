package recovery

import (
	"fmt"
	"slices"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// What a verdict stands on: the theorem of docs/theory-of-recovery.md that holds, or does not.
const (
	TheoremComplete = "T2"         // enough intact logs: none of the acknowledged writes can be missing
	TheoremFloor    = "T2 not met" // too few: all is kept that a source here knows to be committed, as was compared
)

// verdict says what the seed keeps.
func (r *ranking) verdict() Verdict {
	seed := r.candidates[r.seed].Info
	if seed.Kind != datadir.KindDirectory {
		v := Verdict{Floor: seed.DB.ConsistentIndex, FloorRevision: seed.DB.Revision, Voters: len(seed.Voters())}
		if v.Voters > 0 {
			v.Needed = v.Voters - ops.Quorum(v.Voters) + 1
		}
		when := ""
		if t := r.candidates[r.seed].Taken; !t.IsZero() {
			when = " at " + t.UTC().Format("2006-01-02 15:04:05") + " UTC"
		}
		v.Text = fmt.Sprintf("possibly lossy above revision %d: everything that was written after this %s was taken%s is gone", seed.DB.Revision, seed.Kind, when)
		return v
	}
	v := r.completeness(seed)
	last := seed.WAL.LastIndex
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.log() == nil || c.Info.DB == nil {
			continue
		}
		known := c.Info.Known()
		v.Floor = max(v.Floor, min(known, last))
		if c.Info.DB.ConsistentIndex <= last {
			v.FloorRevision = max(v.FloorRevision, c.Info.DB.Revision)
		}
		if known > last && known > v.Missing {
			v.Missing, v.MissingFrom = known, c.Name
		}
	}
	v.RemovedOther, v.OtherFrom = r.removedOther()
	if v.Missing > 0 || v.RemovedOther != "" {
		v.Complete, v.Theorem = false, TheoremFloor
	}
	v.Text = v.words()
	return v
}

// removedOther names a removed member whose log is not a part of the seed's, and the first entry that differs. Somebody who
// starts a member with --force-new-cluster removes the others in its log alone, whatever they had acknowledged: T2 counts
// voters, and these are none any more.
func (r *ranking) removedOther() (name string, from uint64) {
	seed := &r.candidates[r.seed]
	for i := range r.candidates {
		c := &r.candidates[i]
		if c.log() == nil || c.Info.ClusterID != seed.Info.ClusterID || !slices.Contains(seed.Info.Removed, c.Info.MemberID) {
			continue
		}
		if at, differs, _ := seed.Info.Log.Divergence(c.Info.Log); differs {
			return c.Name, at
		}
	}
	return "", 0
}

// completeness counts intact logs of voters against what T2 needs, in every configuration that may be in force: the last
// one known to be committed, and each that a change in the seed's tail makes.
func (r *ranking) completeness(seed *datadir.Info) Verdict {
	intact := r.intact()
	v := Verdict{Complete: true, Theorem: TheoremComplete}
	for _, voters := range configurations(seed) {
		n, here := len(voters), 0
		for _, id := range voters {
			if slices.Contains(intact, id) {
				here++
			}
		}
		needed := n - ops.Quorum(n) + 1
		if here < needed && v.Complete || v.Voters == 0 {
			v.Voters, v.Needed, v.Intact = n, needed, here
			v.Complete = here >= needed
		}
	}
	if !v.Complete {
		v.Theorem = TheoremFloor
	}
	return v
}

func (v Verdict) words() string {
	if v.Complete {
		return fmt.Sprintf("complete: the intact logs of %d of %d voters are here, %d are enough; no acknowledged write can be lost", v.Intact, v.Voters, v.Needed)
	}
	if v.Missing > 0 {
		return fmt.Sprintf("lossy above entry %d (revision %d): %s knows entries up to %d to be committed, and the source does not have them", v.Floor, v.FloorRevision, v.MissingFrom, v.Missing)
	}
	if v.RemovedOther != "" {
		return fmt.Sprintf("possibly lossy from entry %d on: %s was removed, and its log goes on with other entries, as after --force-new-cluster; what it had acknowledged there is not in the source",
			v.OtherFrom, v.RemovedOther)
	}
	return fmt.Sprintf("possibly lossy above entry %d (revision %d): the intact logs of %d of %d voters are here, and it takes %d to prove that nothing is missing; what only the others acknowledged may be gone",
		v.Floor, v.FloorRevision, v.Intact, v.Voters, v.Needed)
}

// configurations lists the voters of each configuration that may be in force, the committed one first.
func configurations(seed *datadir.Info) [][]ops.MemberID {
	var voters []ops.MemberID
	for _, m := range seed.Voters() {
		voters = append(voters, m.ID)
	}
	all := [][]ops.MemberID{voters}
	for _, c := range seed.Changes {
		next := slices.Clone(all[len(all)-1])
		switch c.Action {
		case "add", "promote":
			if !slices.Contains(next, c.Member) {
				next = append(next, c.Member)
			}
		case "remove":
			next = slices.DeleteFunc(next, func(id ops.MemberID) bool { return id == c.Member })
		default:
			continue
		}
		all = append(all, next)
	}
	return all
}
