package recovery

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// The kinds of steps of a rebuild that a recovery of members has not.
const (
	StepFence   = "fence"   // stop a member, and keep it from starting
	StepCopy    = "copy"    // copy the seed, with checksums
	StepSeal    = "seal"    // commit the copy's log up to its last entry
	StepReplay  = "replay"  // apply the log in a server that is cut off, and take a snapshot
	StepRestore = "restore" // make a data directory of it, beside the one in use
	StepSwitch  = "switch"  // set the old directory aside and put the new one in its place
	StepSeed    = "seed"    // start the first member and verify it
	StepArrive  = "arrive"  // wait until the data have arrived at a member, before the next one joins beside it
)

// bumpBy is added to the revision where writes may be lost: more than any cluster writes in the time that matters.
const bumpBy = 1_000_000_000

// RebuildOptions are the choices of the person who rebuilds.
type RebuildOptions struct {
	Now       time.Time
	Operation string
	Seed      string      // the source to be used, when it is not to be the best one
	Members   []NewMember // of the new cluster; empty for the voters of the old one
	Token     string      // for tests; a random one when empty
	AtOnce    int         // how many members join at the same time, where the servers allow it: 1 (also for 0) or 2
	SSHConfig string      // ssh's configuration file, where one was named: a run that resumes needs the same
}

// PlanRebuild makes the plan that makes a cluster of what is left, or says why it must not be done: every refusal is made
// here, of facts alone, and is of ops.ClassRefused.
func PlanRebuild(facts RebuildFacts, opts RebuildOptions) (*Plan, error) {
	if facts.Quorum {
		return nil, rebuildRefusal(CodeQuorumWorks, "", "etcdops health; a single member is replaced with: etcdops recover member NAME; if another cluster answers there, name this one's members: --endpoints",
			"a majority works: %s answered", strings.Join(facts.Answers, ", "))
	}
	if len(facts.Secret) > 0 { // what is not seen is not dead
		return nil, rebuildRefusal(CodeQuorumWorks, "", "--user NAME --password-file FILE, --cacert, --cert and --key of one who may ask; or stop it first, and keep it from starting",
			"%s answered, and does not say without the right user or certificate whether a majority works", strings.Join(facts.Secret, ", "))
	}
	r := rank(facts.Candidates)
	if err := r.refusal(opts.Seed); err != nil {
		return nil, err
	}
	r.choose(opts.Seed)
	if r.seed < 0 {
		return nil, r.noSeed(opts.Seed)
	}
	plan := &RebuildPlan{Verdict: r.verdict(), Ranking: r.table(), Source: r.candidates[r.seed].Source, Token: opts.Token, SSHConfig: opts.SSHConfig}
	if plan.Token == "" {
		plan.Token = "etcdops-" + strings.ToLower(rand.Text())
	}
	if err := plan.fill(facts, r, opts); err != nil {
		return nil, err
	}
	serial := plan.joinAtOnce(facts, opts.AtOnce)
	p := &Plan{
		Schema: PlanSchema, Kind: KindRebuild, Operation: opts.Operation, MadeAt: opts.Now.UTC(), ClusterID: r.cluster(),
		Rebuild: plan, Member: plan.member(facts, r), Steps: plan.steps(), Notes: plan.notes(facts, r),
	}
	if serial != "" {
		p.Notes = append(p.Notes, "the members join one by one: "+serial)
	}
	p.Quorum = courseOf(tally(plan.Verdict.Voters, 0), p.Steps)
	var err error
	if p.Basis, err = facts.basis(); err != nil {
		return nil, err
	}
	return p, p.Seal()
}

// refusal finds what forbids any plan: directories of several clusters or histories, contents that nobody can choose
// between.
func (r *ranking) refusal(want string) error {
	for _, i := range r.order {
		if c := &r.candidates[i]; c.Info.Running {
			return rebuildRefusal(CodeRunning, c.Name, "stop it and keep it from starting (systemctl stop etcd; mv the static pod's manifest away), then plan again",
				"a process is using %s: its log may still change", c.Path)
		}
	}
	clusters := map[ops.ClusterID][]string{}
	for _, i := range r.order {
		id := r.candidates[i].Info.ClusterID
		clusters[id] = append(clusters[id], r.candidates[i].Name)
	}
	if len(clusters) > 1 {
		var parts []string
		for id, names := range clusters {
			parts = append(parts, strings.Join(names, ", ")+" of "+id.String())
		}
		slices.Sort(parts)
		return rebuildRefusal(CodeClusters, "", "leave out what does not belong to it: etcdops inspect shows each directory's cluster",
			"the directories are of %d clusters: %s", len(clusters), strings.Join(parts, "; "))
	}
	if err := r.fork(); err != nil {
		return rebuildRefusal(CodeFork, "", "find out which of them the clients used, and leave the others out; nothing was changed", "%w", err)
	}
	if differ := r.rejectOdd(); differ != nil && want == "" {
		return rebuildRefusal(CodeContents, "", "choose one with --seed NAME, if you know that it is right",
			"the keys in %s differ at the same revision, and no majority says which are right", strings.Join(differ, " and "))
	}
	if r.corruptSomewhere() && !r.majorityAgrees() && want == "" {
		return rebuildRefusal(CodeContents, "", "choose one with --seed NAME, if you know that it is right",
			"the alarm CORRUPT is raised for no member in particular: the members' keys differed, and what is left here does not show by a majority which are right")
	}
	return nil
}

// noSeed says why nothing can be the seed.
func (r *ranking) noSeed(want string) error {
	var parts []string
	for i := range r.candidates {
		if c := &r.candidates[i]; want == "" || c.Name == want {
			parts = append(parts, c.Name+": "+cmp.Or(r.out[i], "is not what was asked for"))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "there is no source "+want)
	}
	return rebuildRefusal(CodeNoSeed, "", "name further sources, also backups: --from NAME=DIR, --snapshot FILE",
		"nothing can be made a cluster of: %s", strings.Join(parts, "; "))
}

// cluster is the ID of the old cluster: that of the directories or, where none is left, what the backup says that it was
// taken of; 0 when nothing says.
func (r *ranking) cluster() ops.ClusterID {
	for _, i := range r.order {
		return r.candidates[i].Info.ClusterID
	}
	if r.seed >= 0 {
		return r.candidates[r.seed].Cluster
	}
	return 0
}

// fill completes the plan with what the seed needs.
func (p *RebuildPlan) fill(facts RebuildFacts, r *ranking, opts RebuildOptions) error {
	seed := &r.candidates[r.seed]
	p.Backup = seed.Info.Kind != datadir.KindDirectory
	if p.Backup || !p.Verdict.Complete {
		p.Bump = bumpBy
	}
	p.Checksum = seed.Info.DB.Checksum != nil
	p.Shrink = slices.ContainsFunc(seed.Info.DB.Alarms, func(a datadir.Alarm) bool { return a.Alarm == "NOSPACE" })
	p.OldClients = facts.clients()
	for _, c := range facts.Candidates {
		p.Sources = append(p.Sources, c.Source)
	}
	var err error
	if p.Members, err = newMembers(facts, seed, opts.Members); err != nil {
		return err
	}
	if err := p.onMachines(facts, r.cluster()); err != nil {
		return err
	}
	p.Replay = seed.log() != nil && seed.log().Unapplied > 0
	if err := p.roomToCarry(facts, seed); err != nil {
		return err
	}
	if w := seed.log(); p.Replay {
		p.Seal = w.LastIndex
		p.Server, err = facts.serverFor(seed.Info, machineOf(cmp.Or(p.Members[0].Via, seed.Via)))
		return err
	}
	proof := proofOf(seed.Info.DB)
	p.Hash = &proof
	return nil
}

// serverFor finds a program of the minor version that wrote the log: others may not understand its entries, or apply them
// in another way.
func (f RebuildFacts) serverFor(seed *datadir.Info, machine string) (Server, error) {
	var have []string
	for _, s := range f.Servers {
		if s.Machine != machine {
			continue
		}
		if seed.Version != "" && strings.HasPrefix(s.Version, seed.Version+".") {
			return s, nil
		}
		if !slices.Contains(have, s.Version) {
			have = append(have, s.Version)
		}
	}
	return Server{}, rebuildRefusal(CodeNoServer, "", fmt.Sprintf("name an etcd %s: --etcd-binary /path/to/etcd (the one that the member was started with serves)", seed.Version),
		"the log was written by etcd %s and has entries that its database does not contain; only a server of that minor version may apply them, and there is only %s",
		cmp.Or(seed.Version, "of unknown version"), strings.Join(have, ", "))
}

// newMembers says who will be in the new cluster: the member that the data are of comes first.
func newMembers(facts RebuildFacts, seed *Candidate, wanted []NewMember) ([]NewMember, error) {
	old := seed.Info.Voters()
	find := func(name string) *datadir.Member {
		for i := range old {
			if old[i].Name == name {
				return &old[i]
			}
		}
		return nil
	}
	if len(wanted) == 0 {
		for _, m := range old {
			if m.Name == "" {
				continue // it never started: nobody misses it
			}
			wanted = append(wanted, NewMember{Name: m.Name})
		}
	}
	for i := range wanted {
		m := &wanted[i]
		if before := find(m.Name); before != nil {
			m.Known = true
			m.ClientURLs = before.ClientURLs
			if len(m.PeerURLs) == 0 {
				m.PeerURLs = before.PeerURLs
			}
		}
		for _, c := range facts.Candidates {
			if c.Name == m.Name && c.log() != nil {
				m.DataDir, m.WALDir = cmp.Or(m.DataDir, c.Path), cmp.Or(m.WALDir, c.WALDir)
			}
		}
		if len(m.PeerURLs) == 0 {
			return nil, rebuildRefusal(CodeMembers, m.Name, "--members "+m.Name+"=https://HOST:2380", "it was no member before, and its peer URL is not known")
		}
	}
	if len(wanted) == 0 || len(wanted) > 7 {
		return nil, rebuildRefusal(CodeMembers, "", "--members NAME=PEER-URL,...", "a cluster has 1 to 7 members, not %d", len(wanted))
	}
	host := slices.IndexFunc(wanted, func(m NewMember) bool { return m.Name == seed.Info.Name || m.Name == seed.Name })
	if host > 0 {
		m := wanted[host]
		wanted = slices.Insert(slices.Delete(wanted, host, host+1), 0, m)
	}
	return wanted, duplicateMembers(wanted)
}

func duplicateMembers(members []NewMember) error {
	names, urls := map[string]bool{}, map[string]bool{}
	for _, m := range members {
		if names[m.Name] {
			return rebuildRefusal(CodeMembers, m.Name, "name every member once", "it is named twice")
		}
		names[m.Name] = true
		for _, u := range m.PeerURLs {
			if urls[u] {
				return rebuildRefusal(CodeMembers, m.Name, "every member has a peer URL of its own", "its peer URL %s is another member's too", u)
			}
			urls[u] = true
		}
	}
	return nil
}

// basis digests what the plan stands on: what each source holds. Sizes and times decide nothing.
func (f RebuildFacts) basis() (string, error) {
	type source struct {
		Source    Source
		Member    ops.MemberID
		Cluster   ops.ClusterID
		State     datadir.State
		LastTerm  uint64
		LastIndex uint64
		Known     uint64
		Revision  int64
		Problem   bool
	}
	var basis []source
	for i := range f.Candidates {
		c := &f.Candidates[i]
		s := source{Source: c.Source, Problem: c.Problem != ""}
		if c.Info != nil {
			s.Member, s.Cluster, s.State, s.Known = c.Info.MemberID, c.Info.ClusterID, c.Info.State, c.Info.Known()
			if c.Info.DB != nil {
				s.Revision = c.Info.DB.Revision
			}
			if w := c.log(); w != nil {
				s.LastTerm, s.LastIndex = w.LastTerm, w.LastIndex
			}
		}
		basis = append(basis, s)
	}
	return Digest(basis)
}

// tally is a number of voters of which some live.
func tally(voters, live int) ops.Tally {
	q := ops.Quorum(voters)
	return ops.Tally{Voters: voters, Live: live, Answering: live, Quorum: q, Tolerance: live - q}
}

// courseOf is how the majority fares: none until the new cluster serves, of which the worst moment is taken.
func courseOf(now ops.Tally, steps []Step) Course {
	c := Course{Now: now}
	for _, s := range steps {
		serves := s.After.Live > 0
		if serves && (c.Worst.Live == 0 || s.After.Tolerance < c.Worst.Tolerance || s.After.Tolerance == c.Worst.Tolerance && s.After.Voters > c.Worst.Voters) {
			c.Worst = s.After
		}
		c.After = s.After
	}
	return c
}

// rebuildRefusal is a guard that said no before anything was changed.
func rebuildRefusal(code ops.Code, member, hint, format string, args ...any) error {
	err := refusef(code, member, hint, format, args...)
	err.Op = "plan a rebuild"
	return err
}
