package recovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// The kinds of steps of a plan for members.
const (
	StepBackup   = "backup"
	StepStop     = "stop"
	StepRemove   = "remove"
	StepSetAside = "set-aside"
	StepAdd      = "add"
	StepStart    = "start"
	StepSync     = "sync"
	StepPromote  = "promote"
	StepVerify   = "verify"
)

// Options are the choices of the person who wants members recovered.
type Options struct {
	Now       time.Time
	Operation string   // NewOperation's; the plan's name
	BackupTo  string   // where the backup goes, for the plan's text
	NoBackup  bool     // by --accept-risk=no-backup
	Via       []string // how each target's machine is reached, as it is typed, in the order of the targets
	SSHConfig string   // ssh's configuration file, where one was named: a run that resumes needs the same
}

// MemberPlan is what a plan for members needs beside its steps.
type MemberPlan struct {
	Membership ops.Membership `json:"membership"` // before the first step
	BackupTo   string         `json:"backup_to"`  // empty for none
	DBSize     int64          `json:"db_size"`
	Targets    []Target       `json:"targets"` // in the order in which they are recovered
}

// Target is one member to be recovered.
type Target struct {
	Old      ops.Member `json:"old"` // as it is in the list before the first step
	PeerURLs []string   `json:"peer_urls"`
	Name     string     `json:"name"` // of the new member: the old one's
	Via      string     `json:"via"`  // how its machine is reached, for a run that resumes
	// SSHConfig is the configuration file of ssh for Via, empty for ssh's own.
	SSHConfig string   `json:"ssh_config,omitempty"`
	Driver    string   `json:"driver"`
	Why       string   `json:"why"`
	Fenced    bool     `json:"fenced"`
	Manual    bool     `json:"manual"`
	Dirs      []string `json:"dirs"`
	Files     []string `json:"files"`
}

// target finds the target that a step is about.
func (p *MemberPlan) target(name string) (Target, bool) {
	i := slices.IndexFunc(p.Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return Target{}, false
	}
	return p.Targets[i], true
}

// PlanMember makes the plan that recovers the targets of the facts, or says why it must not be done: every refusal is made
// here, of facts alone, and is of ops.ClassRefused.
func PlanMember(facts MemberFacts, opts Options) (*Plan, error) {
	if err := facts.refusal(opts.Now); err != nil {
		return nil, err
	}
	m := &MemberPlan{Membership: facts.Observed.Membership(), BackupTo: opts.BackupTo, DBSize: facts.DBSize}
	if opts.NoBackup {
		m.BackupTo = ""
	}
	for i, t := range facts.Targets {
		target := t.plan(opts.Via[i])
		target.SSHConfig = opts.SSHConfig
		m.Targets = append(m.Targets, target)
	}
	steps, changes := m.steps()
	proof, err := ops.CheckChange(facts.Observed, opts.Now, ops.CheckOptions{}, changes...)
	if err != nil {
		return nil, facts.quorumRefusal(proof, err)
	}
	p := &Plan{
		Schema: PlanSchema, Kind: KindMember, Operation: opts.Operation, MadeAt: opts.Now.UTC(), ClusterID: facts.Observed.ClusterID,
		Steps: tallied(steps, proof), Member: m, Notes: facts.notes(m),
		Quorum: Course{Now: proof.Now, Worst: proof.Worst, After: proof.After},
	}
	if p.Basis, err = facts.basis(); err != nil {
		return nil, err
	}
	return p, p.Seal()
}

func (t TargetFacts) plan(via string) Target {
	out := Target{
		Old: t.Member, PeerURLs: t.PeerURLs, Name: t.Member.Label(), Via: via, Driver: t.Survey.Driver, Why: t.Survey.Why,
		Fenced: t.Fenced, Manual: t.Survey.Manual, Files: t.Survey.Files, Dirs: []string{},
	}
	if !t.Member.Started() && t.Survey.Name != "" {
		out.Name = t.Survey.Name
	}
	for _, d := range t.Survey.Dirs {
		out.Dirs = append(out.Dirs, d.Path)
	}
	return out
}

// planned is a step with the change of the membership that it makes; zero when it makes none.
type planned struct {
	Step
	changes int // how many of the sequence's changes are made once the step is done
}

// steps lays the steps out: all targets are stopped and removed before any is added again, because each dead voter that is
// gone makes the majority smaller, and each that comes back makes it larger.
func (p *MemberPlan) steps() ([]planned, []ops.Change) {
	var steps []planned
	var changes []ops.Change
	add := func(kind, member, text string, change ...ops.Change) {
		id := kind
		if member != "" {
			id += ":" + member
		}
		changes = append(changes, change...)
		mutates := kind != StepBackup && kind != StepSync && kind != StepVerify
		steps = append(steps, planned{Step{ID: id, Kind: kind, Member: member, Text: text, Changes: mutates}, len(changes)})
	}
	if p.BackupTo != "" {
		add(StepBackup, "", "take a verified backup to "+p.BackupTo)
	}
	for _, t := range p.Targets {
		add(StepStop, t.Name, t.stopText(), ops.Change{Kind: ops.ChangeStop, Member: t.Old.ID})
		add(StepRemove, t.Name, fmt.Sprintf("remove %s (%s) from the cluster", t.Name, t.Old.ID), ops.Change{Kind: ops.ChangeRemove, Member: t.Old.ID})
	}
	for _, t := range p.Targets {
		add(StepSetAside, t.Name, "set aside "+cmp.Or(strings.Join(t.Dirs, " and "), "the data directory of "+t.Name))
		add(StepAdd, t.Name, fmt.Sprintf("add %s as a learner at %s", t.Name, strings.Join(t.PeerURLs, ",")),
			ops.Change{Kind: ops.ChangeAddLearner, Name: t.Name, PeerURLs: t.PeerURLs})
		add(StepStart, t.Name, "start "+t.Name+" with initial-cluster-state existing")
		add(StepSync, t.Name, "wait until "+t.Name+" has applied all that the leader had committed",
			ops.Change{Kind: ops.ChangeStart, Name: t.Name})
		add(StepPromote, t.Name, "promote "+t.Name+" to a voter", ops.Change{Kind: ops.ChangePromote, Name: t.Name})
	}
	add(StepVerify, "", "verify: equal hashes on all members, one write, the next start of each")
	return steps, changes
}

func (t Target) stopText() string {
	switch {
	case t.Fenced && t.Manual:
		return t.Name + " is off and stays off, as --fenced says"
	case t.Manual:
		return "wait until " + t.Name + " is stopped by hand"
	}
	return "stop " + t.Name + " and keep it from starting (" + t.Driver + ")"
}

// tallied gives each step the votes once it is done.
func tallied(steps []planned, proof ops.Proof) []Step {
	out := make([]Step, len(steps))
	for i, s := range steps {
		out[i] = s.Step
		out[i].After = proof.Now
		if s.changes > 0 {
			out[i].After = proof.Steps[s.changes-1].After
		}
	}
	return out
}

// basis digests what the plan stands on: who is a member, who works, and what each target's machine is like. Sizes, raft
// indices and the leader change all the time and decide nothing.
func (f MemberFacts) basis() (string, error) {
	type member struct {
		Member    ops.Member
		Condition ops.Condition
	}
	type target struct {
		ID     ops.MemberID
		URLs   []string
		Fenced bool
		Driver string
		Name   string
		Dirs   []string
		Data   ops.MemberID
	}
	var basis struct {
		Cluster ops.ClusterID
		Members []member
		Alarms  []ops.Alarm
		Targets []target
	}
	basis.Cluster, basis.Alarms = f.Observed.ClusterID, f.Observed.Alarms
	for _, m := range f.Observed.Members {
		basis.Members = append(basis.Members, member{m.Member, m.Condition})
	}
	for _, t := range f.Targets {
		b := target{ID: t.Member.ID, URLs: t.PeerURLs, Fenced: t.Fenced, Driver: t.Survey.Driver, Name: t.Survey.Name}
		for _, d := range t.Survey.Dirs {
			b.Dirs = append(b.Dirs, d.Path)
		}
		if t.Status != nil {
			b.Data = t.Status.MemberID
		}
		basis.Targets = append(basis.Targets, b)
	}
	return Digest(basis)
}

// notes tell what a person should know before confirming.
func (f MemberFacts) notes(p *MemberPlan) []string {
	notes := []string{}
	if p.BackupTo == "" {
		notes = append(notes, "no backup is taken: the risk was accepted")
	}
	for i, t := range p.Targets {
		facts := f.Targets[i]
		notes = append(notes, t.Name+": "+t.Driver+", "+t.Why)
		if facts.Status != nil && facts.Status.Known && facts.Status.Empty {
			notes = append(notes, t.Name+": its data directory is empty while it is a member; started like that it could lose acknowledged writes, so it is removed first")
		}
		if state, ok := f.Observed.ByID(t.Old.ID); ok && state.Condition == ops.Live {
			notes = append(notes, t.Name+" works now: while it is replaced the cluster can lose one voter less")
		}
		if facts.Survey.Version == "" && !t.Manual {
			notes = append(notes, t.Name+": the version of its program could not be told")
		}
		if slices.ContainsFunc(f.Observed.Alarms, func(a ops.Alarm) bool { return a.Type == corrupt && a.Member == t.Old.ID }) {
			notes = append(notes, t.Name+": it has the alarm CORRUPT, by which the cluster takes no writes; the alarm is cleared once it is removed")
		}
		if t.Fenced {
			notes = append(notes, t.Name+": nobody here can see that it is off; --fenced is your word for it")
		}
	}
	return notes
}
