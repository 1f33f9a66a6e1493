package recovery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

// AbandonmentSchema names the JSON form of Abandonment.
const AbandonmentSchema = "etcdops.abandonment/v1"

// What becomes of a member when the operation on it is abandoned.
const (
	FateBack = "back" // it has its old ID still: nothing keeps it from starting any more
	FateOut  = "out"  // its old ID is removed for good: it stays out of the cluster, and its data aside
	FateIn   = "in"   // it votes under its new ID: there is nothing to take back
)

// Abandonment says what an operation that was stopped half-way has done, and what taking it back means. It is made of what
// the journal, the cluster and the machines tell, and changes nothing.
type Abandonment struct {
	Schema    string            `json:"schema"`
	Operation string            `json:"operation"`
	Kind      string            `json:"kind"`
	ClusterID ops.ClusterID     `json:"cluster_id"`
	Confirmed bool              `json:"confirmed"` // a majority confirmed the member list; false also where nobody was asked
	Voters    int               `json:"voters"`    // of the cluster afterwards; 0 when that is not known
	Steps     []AbandonedStep   `json:"steps"`
	Members   []AbandonedMember `json:"members"`
	Notes     []string          `json:"notes"`
}

// AbandonedStep is a step of the plan that is given up.
type AbandonedStep struct {
	ID    string `json:"id"`
	Text  string `json:"text"`
	State string `json:"state"` // "done", "begun" (it may have acted) or "" (it never began)
	Undo  string `json:"undo"`  // what becomes of its effect; empty where it has none
}

// AbandonedMember is what becomes of one member.
type AbandonedMember struct {
	Name string `json:"name"`
	Fate string `json:"fate"`
	Text string `json:"text"`
	Next string `json:"next"` // for a person afterwards; empty for nothing
}

// machine is a target's machine as it was seen, or why it could not be.
type machine struct {
	status NodeStatus
	err    error
}

// before is what the operation found when it was about to stop a member.
type before struct {
	Known   bool `json:"known"`
	Running bool `json:"running"`
	Masked  bool `json:"masked"`
}

// abandonFacts are what an abandonment is judged from.
type abandonFacts struct {
	journal  *Journal
	list     *ops.Membership // as a majority confirms it; nil without one
	machines map[string]machine
	targets  []Target
}

// abandonment judges. Its refusals are of ops.ClassRefused.
func (f abandonFacts) abandonment() (*Abandonment, error) {
	p := f.journal.Plan
	a := &Abandonment{
		Schema: AbandonmentSchema, Operation: p.Operation, Kind: p.Kind, ClusterID: p.ClusterID, Confirmed: f.list != nil,
		Steps: []AbandonedStep{}, Members: []AbandonedMember{}, Notes: []string{},
	}
	for _, t := range f.targets {
		m, err := f.member(t)
		if err != nil {
			return nil, err
		}
		a.Members = append(a.Members, m)
		if bad := f.machines[t.Name].err; bad != nil && m.Fate == FateOut {
			a.Notes = append(a.Notes, fmt.Sprintf("%s: its machine cannot be worked on (%v); whatever starts there, the cluster refuses the removed ID", t.Name, bad))
		}
	}
	if !slices.ContainsFunc(a.Members, func(m AbandonedMember) bool { return m.Fate != FateIn }) {
		return nil, onlyResume(p.Operation, "every member votes under its new ID: there is nothing to take back, and the end state is not verified yet")
	}
	for _, s := range p.Steps {
		a.Steps = append(a.Steps, AbandonedStep{ID: s.ID, Text: s.Text, State: f.state(s), Undo: f.undo(s, a.Members)})
	}
	a.Voters = f.voters()
	if f.list == nil && f.journal.Changed() {
		a.Notes = append(a.Notes, "no majority confirms the member list; no step that removes a member had begun, so that the old IDs are there")
	}
	return a, nil
}

// onlyResume refuses to take an operation back.
func onlyResume(operation, why string) error {
	return &ops.HintError{
		Code: CodeNoWayBack, Class: ops.ClassRefused, Op: "abandon", Member: operation, Err: fmt.Errorf("%s", why),
		Hint: "etcdops recover member --resume",
	}
}

// member judges one target.
func (f abandonFacts) member(t Target) (AbandonedMember, error) {
	if f.list == nil {
		if f.journal.Began(StepRemove + ":" + t.Name) {
			return AbandonedMember{}, onlyResume(f.journal.Plan.Operation,
				fmt.Sprintf("no majority confirms the member list, and %s may be removed already: its old data must not be started then", t.Name))
		}
		return f.back(t)
	}
	if _, there := f.list.ByID(t.Old.ID); there {
		return f.back(t)
	}
	joined, there := joinedIn(f.journal.Plan, t, *f.list)
	if there && !joined.Learner {
		return AbandonedMember{Name: t.Name, Fate: FateIn, Text: fmt.Sprintf("it votes as %s; it stays", joined.ID)}, nil
	}
	m := AbandonedMember{
		Name: t.Name, Fate: FateOut, Text: fmt.Sprintf("its ID %s was removed, which cannot be undone; it stays stopped and out of the cluster, its old data aside", t.Old.ID),
		Next: fmt.Sprintf("to have it again: etcdops member add %s --peer-urls=%s prints how to start it; then %s", t.Name, strings.Join(t.PeerURLs, ","), unmaskText(t)),
	}
	if there {
		m.Text += fmt.Sprintf("; the learner %s, which never voted, is removed", joined.ID)
	}
	return m, nil
}

// back judges a target that has its old ID. It may only start with the data that belong to it: an empty directory under a
// registered ID forgets what it voted for.
func (f abandonFacts) back(t Target) (AbandonedMember, error) {
	m := AbandonedMember{Name: t.Name, Fate: FateBack}
	was, ours, err := f.found(t.Name)
	if err != nil {
		return m, err
	}
	if !ours {
		m.Text = "it is a member as before; this operation did not stop it"
		return m, nil
	}
	on := f.machines[t.Name]
	if err := startable(t, on.status); on.err != nil || err != nil {
		if on.err != nil {
			err = refuse(CodeNoWayBack, t.Name, fmt.Errorf("it is kept from starting, and its machine cannot be worked on: %w", on.err), "reach its machine; then again")
		}
		return m, err
	}
	switch {
	case t.Manual && t.Fenced:
		m.Text = "it is a member as before; its machine is off, as --fenced said"
	case t.Manual:
		m.Text = "it is a member as before; a person is told to let it start again"
	case was.Masked:
		m.Text = "it is a member as before, and kept from starting, as it was found"
	case was.Running:
		m.Text = "it is a member as before; it is started again, as it ran when this operation began"
	default:
		m.Text, m.Next = "it is a member as before; it may start again, and is not started: it did not run when this operation began", "start "+t.Name+" if its data is good; else recover it later"
	}
	return m, nil
}

// startable refuses directories that must not be started under the target's old ID.
func startable(t Target, s NodeStatus) error {
	switch {
	case !s.Known:
		return nil
	case s.Empty, s.Detached:
		return refuse(CodeWiped, t.Name, fmt.Errorf("its directory is empty or was replaced, and its ID %s is registered: started like that it could lose acknowledged writes", t.Old.ID),
			"etcdops recover member --resume")
	case s.MemberID != 0 && s.MemberID != t.Old.ID:
		return refuse(CodeForeign, t.Name, fmt.Errorf("its directory holds data of member %s, not of %s", s.MemberID, t.Old.ID), "etcdops recover member --resume")
	}
	return nil
}

// keyBefore begins the journal's key of what was found when a member was about to be stopped.
const keyBefore = "before:"

// found tells how the operation found a member, and whether it may have stopped or masked it at all.
func (f abandonFacts) found(name string) (was before, ours bool, err error) {
	ours = f.journal.intended(StepStop + ":" + name)
	if _, err := f.journal.Get(keyBefore+name, &was); err != nil {
		return was, ours, err
	}
	return was, ours, nil
}

// intended reports whether an act of the step was ever begun, and not merely its effect found.
func (j *Journal) intended(step string) bool {
	return slices.ContainsFunc(j.records, func(r Record) bool { return r.Step == step && r.Type == RecordIntent })
}

// joinedIn finds the target in a list under an ID that it did not have when the plan was made.
func joinedIn(p *Plan, t Target, list ops.Membership) (ops.Member, bool) {
	for _, m := range list.Members {
		_, before := p.Member.Membership.ByID(m.ID)
		if !before && slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(t.PeerURLs, u) }) {
			return m, true
		}
	}
	return ops.Member{}, false
}

func (f abandonFacts) state(s Step) string {
	switch last := f.journal.last(s.ID); last {
	case RecordDone:
		return "done"
	case RecordIntent:
		return "begun"
	}
	return ""
}

// undo says what becomes of a step's effect.
func (f abandonFacts) undo(s Step, members []AbandonedMember) string {
	i := slices.IndexFunc(members, func(m AbandonedMember) bool { return m.Name == s.Member })
	began := f.state(s) != ""
	switch {
	case s.Kind == StepBackup && began:
		return "nothing: the backup is kept"
	case i < 0:
		return ""
	case members[i].Fate == FateIn && began:
		return "nothing: it votes"
	case members[i].Fate == FateBack && s.Kind == StepStop && began:
		return "it may start again"
	case members[i].Fate != FateOut:
		return ""
	}
	switch s.Kind {
	case StepStop:
		return "nothing: it stays stopped"
	case StepRemove:
		return "nothing: a removed ID never comes back"
	case StepSetAside:
		if began {
			return "nothing: the old data stay aside"
		}
		return "its directory is set aside, so that no old data starts"
	case StepAdd:
		if began {
			return "the learner is removed"
		}
	case StepStart:
		if began {
			return "it is stopped; what it received is set aside"
		}
	}
	return ""
}

// voters counts those that the cluster has afterwards.
func (f abandonFacts) voters() int {
	if f.list == nil {
		return 0
	}
	n := 0
	for _, m := range f.list.Members {
		if !m.Learner {
			n++
		}
	}
	return n
}

// unmaskText says how a person lets the member start on a machine where it is kept from starting.
func unmaskText(t Target) string {
	driver, arg, _ := strings.Cut(t.Via, ":")
	if driver == "ssh" {
		_, there, _ := strings.Cut(arg, "/")
		driver, arg, _ = strings.Cut(there, ":")
	}
	switch driver {
	case "systemd":
		return "on its machine remove the drop-in 95-etcdops-masked.conf of its unit, then systemctl daemon-reload"
	case "static-pod":
		return "on its machine move the manifest out of manifests.etcdops back to where it was"
	case "process":
		return "on its machine remove " + arg + ".masked"
	}
	return "on its machine allow its start again"
}
