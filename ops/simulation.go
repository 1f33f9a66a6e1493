package ops

import (
	"fmt"
	"slices"
	"strings"
)

// simulation is a cluster that changes are thought through on.
type simulation struct {
	observed Observation
	opts     CheckOptions
	leader   MemberID
	members  []*simMember
}

// simMember is a member of the simulated cluster.
type simMember struct {
	id              MemberID // 0 for one that a change adds
	name            string
	urls            []string
	learner         bool
	started         bool
	condition       Condition
	version         string
	commit, applied uint64
}

func (m *simMember) label() string {
	switch {
	case m.name != "":
		return m.name
	case m.id != 0:
		return m.id.String()
	}
	return strings.Join(m.urls, ",")
}

func newSimulation(o Observation, opts CheckOptions) *simulation {
	s := &simulation{observed: o, opts: opts, leader: o.Leader}
	for _, m := range o.Members {
		s.members = append(s.members, &simMember{
			id: m.ID, name: m.Name, urls: m.PeerURLs, learner: m.Learner, started: m.Started(), condition: m.Condition,
			version: m.Version, commit: m.Commit, applied: m.Applied,
		})
	}
	return s
}

// tally counts the simulated cluster as it is.
func (s *simulation) tally() Tally {
	return s.count(func(m *simMember) bool { return m.condition == Live })
}

// healed counts it as if every member worked.
func (s *simulation) healed() Tally {
	t := s.count(func(*simMember) bool { return true })
	t.Unstarted = 0
	return t
}

func (s *simulation) count(live func(*simMember) bool) Tally {
	var t Tally
	for _, m := range s.members {
		if m.learner {
			t.Learners++
			continue
		}
		t.Voters++
		if !m.started {
			t.Unstarted++
		}
		switch {
		case live(m):
			t.Live++
			t.Answering++
		case m.condition == Leaderless:
			t.Answering++
		}
	}
	t.Quorum = Quorum(t.Voters)
	t.Tolerance = t.Live - t.Quorum
	return t
}

// find resolves the member that a change names.
func (s *simulation) find(c Change) (*simMember, error) {
	var found []*simMember
	for _, m := range s.members {
		named := c.Name != "" && (m.name == c.Name || slices.Contains(m.urls, c.Name))
		if c.Member != 0 && m.id == c.Member || c.Member == 0 && named {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("there is no member %s", c.label())
	}
	return nil, fmt.Errorf("%d members are called %s: name one by its ID", len(found), c.label())
}

// step thinks one change through and leaves the cluster as it is after it. A change that is refused is carried out
// nevertheless, as far as it makes sense, so that the proof shows what it would have done.
func (s *simulation) step(c Change) ProofStep {
	before := s.tally()
	step := ProofStep{Change: c, Text: c.String(), Before: before, During: before, After: before, Risks: []Risk{}}
	var target *simMember
	if !c.adds() {
		var err error
		if target, err = s.find(c); err != nil {
			step.Refused = &Refusal{CodeCannotChange, err.Error(), "etcdops member list"}
			return step
		}
		step.Text = c.text(target.label())
		step.Change.Member = target.id
	}
	step.Refused = s.senseless(c, target)
	if step.Refused != nil {
		return step
	}
	step.Server = s.predict(c, target)
	risks := s.dangers(c, target, before) // of the state before the change
	s.apply(c, target)
	step.After = s.tally()
	if c.reconfigures() {
		step.During = joint(before, step.After)
	} else {
		step.During = step.After
	}
	if c.Kind == ChangeAddVoter && before.Voters > 1 && step.After.Tolerance < before.Tolerance {
		risks = append(risks, RiskLessTolerance)
	}
	step.Refused = s.refusal(c, step)
	for _, name := range risks {
		step.Risks = append(step.Risks, Risk{Name: name, Why: s.why(name, target, before, step.After), Accepted: s.opts.accepted(name)})
	}
	return step
}

// senseless finds changes that mean nothing for this cluster; servers refuse most of them too.
func (s *simulation) senseless(c Change, target *simMember) *Refusal {
	cannot := func(why, hint string) *Refusal { return &Refusal{CodeCannotChange, why, hint} }
	switch c.Kind {
	case ChangeAddVoter, ChangeAddLearner, ChangeUpdate:
		if c.adds() && c.Name != "" && slices.ContainsFunc(s.members, func(m *simMember) bool { return m.name == c.Name }) {
			return cannot("there is a member called "+c.Name+" already", "choose another name, or remove the old member first")
		}
		return s.senselessURLs(c, target)
	case ChangePromote:
		if !target.learner {
			return cannot(target.label()+" is a voter already", "etcdops member list")
		}
	case ChangeMoveLeader:
		switch {
		case target.learner:
			return cannot(target.label()+" is a learner, which cannot lead", "etcdops member list names the voters")
		case target.condition != Live:
			return cannot(target.label()+" is "+string(target.condition)+" and cannot lead", "name a voter that is live: etcdops quorum")
		}
	case ChangeRemove:
		if !target.learner && s.tally().Voters == 1 {
			return cannot(target.label()+" is the only voter: without it there is no cluster", "to end the cluster, stop the member")
		}
	case ChangeStop, ChangeStart:
	}
	return nil
}

func (s *simulation) senselessURLs(c Change, target *simMember) *Refusal {
	if len(c.PeerURLs) == 0 {
		return &Refusal{CodeCannotChange, "no peer URL is given", "--peer-urls=https://HOST:2380"}
	}
	for _, url := range c.PeerURLs {
		for _, m := range s.members {
			if m != target && slices.Contains(m.urls, url) {
				return &Refusal{CodeCannotChange, m.label() + " has the peer URL " + url + " already", "every member needs a peer URL of its own"}
			}
		}
		if found := s.observed.address(url); found.State == AddressOther || found.State == AddressForeign {
			return &Refusal{CodeWrongAddress, "behind " + url + " is " + found.Cause, "name the address at which the member itself listens for peers"}
		}
	}
	return nil
}

// apply carries the change out.
func (s *simulation) apply(c Change, target *simMember) {
	switch c.Kind {
	case ChangeAddVoter, ChangeAddLearner:
		s.members = append(s.members, &simMember{
			id: c.Member, name: c.Name, urls: c.PeerURLs, learner: c.Kind == ChangeAddLearner, condition: Unstarted,
		})
	case ChangeRemove:
		s.members = slices.DeleteFunc(s.members, func(m *simMember) bool { return m == target })
	case ChangePromote:
		target.learner = false
	case ChangeUpdate:
		target.urls = c.PeerURLs
		if target.condition == Live && !s.reached(c) {
			target.condition = Dead
		}
	case ChangeStop:
		if target.condition != Unstarted {
			target.condition = Dead
		}
	case ChangeStart:
		target.started, target.condition = true, Live
		target.applied, target.commit = max(target.applied, s.observed.Commit), max(target.commit, s.observed.Commit)
	case ChangeMoveLeader:
		s.leader = target.id
	}
	if c.Kind == ChangeRemove || c.Kind == ChangeStop {
		s.succeed(target)
	}
}

// succeed lets another live voter lead when the leader has gone.
func (s *simulation) succeed(gone *simMember) {
	if gone.id != s.leader {
		return
	}
	s.leader = 0
	for _, m := range s.members {
		if !m.learner && m.condition == Live {
			s.leader = m.id
			return
		}
	}
}

// reached reports whether the member itself was found at every one of its new addresses.
func (s *simulation) reached(c Change) bool {
	return !slices.ContainsFunc(c.PeerURLs, func(url string) bool { return s.observed.address(url).State != AddressMember })
}

// refusal finds what no acceptance overrides.
func (s *simulation) refusal(c Change, step ProofStep) *Refusal {
	switch {
	case c.Kind == ChangeStart:
	case step.Before.Tolerance < 0:
		return &Refusal{CodeNoQuorum, "there is no quorum: " + step.Before.String(), "etcdops health; start a voter that is down"}
	case step.After.Tolerance < 0 && (c.Kind != ChangeAddVoter || step.Before.Voters != 1):
		return &Refusal{CodeQuorumLoss, "the quorum would be lost: " + step.After.String(), s.insteadOf(c)}
	case c.reconfigures() && len(s.observed.Disagree) > 0:
		return &Refusal{
			CodeListsDiffer, "the members do not agree who is a member: " + strings.Join(s.observed.Disagree, ", ") + " has another list",
			"etcdops health",
		}
	case c.reconfigures() && s.observed.Leader == 0:
		return &Refusal{CodeNoQuorum, "the members do not agree on a leader", "etcdops health"}
	case step.Server.Verdict == ServerRefuses:
		return &Refusal{CodeServerRefuses, "the server would refuse it: " + step.Server.Reason, s.insteadOf(c)}
	}
	return nil
}

// insteadOf says what to do in place of a change that must not be made.
func (s *simulation) insteadOf(c Change) string {
	for _, m := range s.members {
		broken := m.condition != Live && !m.learner && m.id != 0 && m.id != c.Member
		switch {
		case broken && m.condition == Unstarted:
			return "start " + m.label() + ", or remove it first: etcdops member remove " + m.label()
		case broken:
			return "bring " + m.label() + " back, or remove it first: etcdops member remove " + m.label()
		}
	}
	switch c.Kind {
	case ChangeAddVoter:
		return "add it as a learner (the default), start it, promote it"
	case ChangePromote:
		return "start the learner, and wait until it has caught up"
	default:
		return "etcdops quorum"
	}
}

// dangers names the risks of a change, by what is known before it.
func (s *simulation) dangers(c Change, target *simMember, before Tally) []string {
	var names []string
	add := func(name string, is bool) {
		if is {
			names = append(names, name)
		}
	}
	switch c.Kind {
	case ChangeAddVoter:
		add(RiskUnstartedVoter, before.Voters == 1)
		add(RiskCorruptMember, s.corrupt())
	case ChangeAddLearner:
		add(RiskCorruptMember, s.corrupt())
	case ChangePromote:
		add(RiskDeadLearner, target.condition != Live)
		add(RiskLaggingLearner, target.condition == Live && target.applied < s.observed.Commit)
		add(RiskCorruptMember, s.corrupt())
	case ChangeRemove:
		add(RiskLiveMember, !target.learner && target.condition == Live && before.Live < before.Voters)
	case ChangeUpdate:
		state := s.worstAddress(c)
		add(RiskDeadAddress, state == AddressSilent && target.condition == Live && !target.learner)
		add(RiskUnprovenAddress, state == AddressUnknown && target.condition == Live && !target.learner)
	case ChangeStop, ChangeStart, ChangeMoveLeader:
	}
	return names
}

// worstAddress is the state of the least certain of a change's addresses.
func (s *simulation) worstAddress(c Change) AddressState {
	state := AddressMember
	for _, url := range c.PeerURLs {
		switch found := s.observed.address(url).State; {
		case found == AddressSilent:
			return found
		case found != AddressMember:
			state = AddressUnknown
		}
	}
	return state
}

// corrupt reports whether an alarm says that data of a member differ which is still there, or of nobody knows which.
func (s *simulation) corrupt() bool {
	return slices.ContainsFunc(s.observed.Alarms, func(a Alarm) bool {
		return a.Type == "CORRUPT" && (a.Member == 0 || slices.ContainsFunc(s.members, func(m *simMember) bool { return m.id == a.Member }))
	})
}

// why tells a risk with the figures of this cluster.
func (s *simulation) why(name string, target *simMember, before, after Tally) string {
	switch name {
	case RiskUnstartedVoter:
		return "both voters must agree from then on, and the new one has not started: no reads and no writes until it has"
	case RiskLessTolerance:
		return fmt.Sprintf("until the new voter has started, the cluster can lose %d instead of %d", after.Tolerance, before.Tolerance)
	case RiskLiveMember:
		return fmt.Sprintf("%s works, and %d of %d voters do not", target.label(), before.Voters-before.Live, before.Voters)
	case RiskDeadLearner:
		return target.label() + " is " + string(target.condition) + ", and would count towards the majority"
	case RiskLaggingLearner:
		return fmt.Sprintf("%s has applied index %d, the leader had committed %d", target.label(), target.applied, s.observed.Commit)
	case RiskDeadAddress:
		return "nothing answers at the new address, and " + target.label() + " works where it is"
	case RiskUnprovenAddress:
		return "it cannot be seen whether " + target.label() + " is what answers at the new address"
	case RiskCorruptMember:
		return "a CORRUPT alarm is raised: the data of a member differ from the others'"
	}
	return name
}

// notes tell what stops nothing and should be known.
func (s *simulation) notes(p Proof) []string {
	var notes []string
	if len(p.Steps) > 0 && p.Healed.Tolerance < p.Now.Voters-p.Now.Quorum {
		notes = append(notes, fmt.Sprintf("%d voters can lose %d, %d could lose %d", p.Healed.Voters, p.Healed.Tolerance,
			p.Now.Voters, p.Now.Voters-p.Now.Quorum))
	}
	if len(p.Steps) > 0 && p.Healed.Voters > 1 && p.Healed.Voters%2 == 0 {
		notes = append(notes, fmt.Sprintf("%d voters survive no more failures than %d", p.Healed.Voters, p.Healed.Voters-1))
	}
	for _, a := range p.Alarms {
		notes = append(notes, "alarm "+a.Type+" of "+s.nameOf(a.Member)+": "+a.Meaning())
	}
	return notes
}

func (s *simulation) nameOf(id MemberID) string {
	if id == 0 {
		return "no member in particular"
	}
	if m, ok := s.observed.ByID(id); ok {
		return m.Label()
	}
	return id.String()
}
