package recovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// steps lays the rebuild out. Until the switch nothing that was there is touched.
func (p *RebuildPlan) steps() []Step {
	var steps []Step
	votes := tally(p.Verdict.Voters, 0)
	add := func(kind, member string, changes bool, format string, args ...any) {
		id := kind
		if member != "" {
			id += ":" + member
		}
		steps = append(steps, Step{ID: id, Kind: kind, Member: member, Text: fmt.Sprintf(format, args...), Changes: changes, After: votes})
	}
	for _, m := range p.Members {
		if m.Known {
			add(StepFence, m.Name, true, "see that %s is stopped, and keep it from starting", m.Name)
		}
	}
	host := p.Members[0]
	if p.carries() {
		add(StepCarry, "", true, "bring %s from %s to %s, with checksums; the original is only read", p.Source.Path, machineName(p.Source.Via), machineName(host.Via))
		add(StepCopy, "", true, "copy what was brought, with checksums")
	} else if p.Replay {
		add(StepCopy, "", true, "copy %s, with checksums; the original is only read", p.Source.Path)
	}
	if p.Replay {
		add(StepSeal, "", true, "commit the copy's log up to its last entry, %d", p.Seal)
		add(StepReplay, "", true, "apply it with etcd %s, cut off from all others, and take a snapshot", p.Server.Version)
	}
	text := "make the data directory of a cluster that nobody else knows (token " + p.Token + ")"
	if !p.Replay && !p.carries() {
		text += fmt.Sprintf(" of %s, which is only read", p.Source.Path)
	}
	if p.Bump > 0 {
		text += fmt.Sprintf(", with %d added to the revision and all before it compacted", p.Bump)
	}
	add(StepRestore, "", true, "%s", text)
	old := strings.TrimSpace(host.DataDir + " " + host.WALDir)
	add(StepSwitch, host.Name, true, "set %s aside and put the new one in its place", cmp.Or(old, "the old directory of "+host.Name))
	votes = tally(1, 1)
	add(StepSeed, host.Name, true, "start %s as the only member and verify revision, keys, hash and users", host.Name)
	p.joinSteps(add, &votes)
	add(StepVerify, "", false, "verify: equal hashes on all members, one write, the next start of each")
	return steps
}

// joinSteps has the others join: one after the other, or two at the same time.
func (p *RebuildPlan) joinSteps(add func(kind, member string, changes bool, format string, args ...any), votes *ops.Tally) {
	for group := range slices.Chunk(p.Members[1:], max(1, p.AtOnce)) {
		for _, m := range group {
			add(StepSetAside, m.Name, true, "set aside the old directory of %s", m.Name)
			add(StepAdd, m.Name, true, "add %s as a learner at %s", m.Name, strings.Join(m.PeerURLs, ","))
		}
		// All are added before one starts: a member learns the list of members from whoever answers it first, which may be one
		// that has no data yet and knows only the list that it was started with.
		for i, m := range group {
			if i > 0 {
				add(StepArrive, group[i-1].Name, false, "wait until the data have arrived at %s: two that begin together wait for each other", group[i-1].Name)
			}
			add(StepStart, m.Name, true, "start %s with initial-cluster-state existing", m.Name)
		}
		for _, m := range group {
			add(StepSync, m.Name, false, "wait until %s has applied all that the leader had committed", m.Name)
			*votes = tally(votes.Voters+1, votes.Live+1)
			add(StepPromote, m.Name, true, "promote %s to a voter", m.Name)
		}
	}
}

// notes tell what a person should know before confirming.
func (p *RebuildPlan) notes(facts RebuildFacts, r *ranking) []string {
	seed := &r.candidates[r.seed]
	notes := []string{}
	if p.Bump > 0 {
		notes = append(notes, "watchers get ErrCompacted and list again: the revision goes up by 1000000000, so that it never seems to run backwards")
	} else {
		notes = append(notes, "watchers go on from their revision")
	}
	if len(p.Members) >= 2 {
		notes = append(notes, "while there are two voters the cluster can lose none: that moment is kept short")
	}
	if p.AtOnce > 1 {
		notes = append(notes, "two members join at the same time: sooner done, and writes may wait for up to a second meanwhile")
	}
	for _, id := range facts.Answers {
		notes = append(notes, id+" answers, and there is no majority: it must be stopped before anything is done")
	}
	for i := range facts.Candidates {
		c := &facts.Candidates[i]
		if c.Info == nil || i == r.seed {
			continue
		}
		if own := c.Info.Own(); own != nil && own.Learner && c.log() != nil && seed.log() != nil && compareLogs(c, seed) < 0 && !p.Verdict.Complete {
			notes = append(notes, c.Name+" is a learner with a longer log: what it has beyond the seed is given up")
		}
		if c.Info.Kind != datadir.KindDirectory && r.out[i] == "" && c.Info.DB.Revision > seed.revisionsAtMost() {
			notes = append(notes, fmt.Sprintf("%s has revision %d, beyond what the chosen source can have: if it is of the same cluster, it is newer (--seed %s takes it)", c.Name, c.Info.DB.Revision, c.Name))
		}
	}
	for _, a := range seed.Info.DB.Alarms {
		if a.Member == 0 {
			notes = append(notes, "the alarm "+a.Alarm+", of no member in particular, is disarmed")
			continue
		}
		notes = append(notes, "the alarm "+a.Alarm+" of member "+a.Member.String()+" is disarmed: that member ends with the old cluster")
	}
	for _, m := range seed.Info.Members {
		if m.Learner {
			notes = append(notes, "the learner "+m.Name+" is not taken over: add it again afterwards")
		}
	}
	return notes
}
