package ops

import (
	"fmt"
	"slices"
	"time"
)

// ProofSchema names the JSON form of Proof.
const ProofSchema = "etcdops.quorum/v1"

// Tally counts the members of a cluster at one moment.
type Tally struct {
	Voters    int `json:"voters"`    // members that count towards the majority
	Live      int `json:"live"`      // voters that were proven to take part
	Answering int `json:"answering"` // voters that answer, also without a leader: what is left to elect one
	Quorum    int `json:"quorum"`    // voters that must agree
	Tolerance int `json:"tolerance"` // live voters that may fail before the majority is lost; negative: that many live ones are missing
	Unstarted int `json:"unstarted"` // voters that never started
	Learners  int `json:"learners"`
}

// String is "3 of 4 voters live, quorum 3, can lose 0 more", or "0 of 3 voters live, 1 answers, quorum 2, no quorum: 1 more
// needed": a voter that answers without a leader does not live, and is counted where it matters who is still there.
func (t Tally) String() string {
	text := fmt.Sprintf("%d of %d voters live, ", t.Live, t.Voters)
	if t.Tolerance >= 0 {
		return text + fmt.Sprintf("quorum %d, can lose %d more", t.Quorum, t.Tolerance)
	}
	switch t.Answering {
	case t.Live:
	case 1:
		text += "1 answers, "
	default:
		text += fmt.Sprintf("%d answer, ", t.Answering)
	}
	return text + fmt.Sprintf("quorum %d, %s", t.Quorum, t.lost())
}

// lost says what a cluster without a quorum lacks.
func (t Tally) lost() string {
	if missing := t.Quorum - t.Answering; missing > 0 {
		return fmt.Sprintf("no quorum: %d more needed", missing)
	}
	return "no quorum: enough answer, and follow no common leader"
}

// ProofStep is what one change of a sequence does.
type ProofStep struct {
	Change  Change     `json:"change"`
	Text    string     `json:"text"`   // the change in a few words, with the member's name
	Before  Tally      `json:"before"` // old membership
	During  Tally      `json:"during"` // the joint moment: some members still decide by the old one, some by the new one
	After   Tally      `json:"after"`  // new membership
	Server  Prediction `json:"server"` // what the server's own check will say
	Risks   []Risk     `json:"risks"`
	Refused *Refusal   `json:"refused,omitempty"` // why the step must not be taken, whatever risk is accepted
}

// Risk is a named danger of one step. It stops the step unless it was accepted by its name.
type Risk struct {
	Name     string `json:"name"`
	Why      string `json:"why"`
	Accepted bool   `json:"accepted"`
}

// Refusal is a reason that no acceptance of risks overrides.
type Refusal struct {
	Code Code   `json:"code"`
	Why  string `json:"why"`
	Hint string `json:"hint,omitempty"`
}

// Proof is what a sequence of changes does to a cluster's ability to lose members, step by step. It is made of an
// Observation and of the changes alone.
type Proof struct {
	Schema    string        `json:"schema"`
	TakenAt   time.Time     `json:"taken_at"`
	ClusterID ClusterID     `json:"cluster_id"`
	Leader    MemberID      `json:"leader"`
	Safe      bool          `json:"safe"`   // no refusal, and no risk but accepted ones
	Now       Tally         `json:"now"`    // before the first change
	Worst     Tally         `json:"worst"`  // the moment of the least tolerance, joint moments included
	After     Tally         `json:"after"`  // after the last change, members that were added but not started being down
	Healed    Tally         `json:"healed"` // after the last change, once every member of the list has started and works
	Members   []MemberState `json:"members"`
	Alarms    []Alarm       `json:"alarms"`
	Strict    Strictness    `json:"strict"` // whether the leader's server checks by itself: on, off, or empty for unknown
	Steps     []ProofStep   `json:"steps"`
	Notes     []string      `json:"notes"` // what should be known and stops nothing
}

// String sums the proof up in one line: the tolerance now, at worst on the way, and after.
func (p Proof) String() string {
	if len(p.Steps) == 0 {
		return p.Now.String()
	}
	return fmt.Sprintf("quorum now %s, at worst %s, after %s", short(p.Now), short(p.Worst), short(p.After))
}

func short(t Tally) string {
	if t.Tolerance < 0 {
		return fmt.Sprintf("%d of %d (LOST)", t.Live, t.Voters)
	}
	return fmt.Sprintf("%d of %d (can lose %d)", t.Live, t.Voters, t.Tolerance)
}

// CheckOptions are the choices of the person who wants a change.
type CheckOptions struct {
	Accept []string // names of risks
	// WhatIf allows to think on where no change could be made: without a quorum, or through a refusal.
	WhatIf bool
}

// CheckChange proves that a sequence of changes keeps the quorum at every moment, or refuses it. Only members that were
// seen to live within ProbeAge before now count as able to vote. The proof is complete in both cases: the error says
// why the first step that must not be taken must not, as a *HintError of ClassRefused (codes ETO-4003 to ETO-4009);
// RisksOf names the risks that may be accepted.
func CheckChange(o Observation, now time.Time, opts CheckOptions, changes ...Change) (Proof, error) {
	o = o.fresh(now)
	s := newSimulation(o, opts)
	p := Proof{
		Schema: ProofSchema, TakenAt: o.TakenAt, ClusterID: o.ClusterID, Leader: o.Leader, Safe: true,
		Now: s.tally(), Members: o.Members, Alarms: o.Alarms, Strict: o.Strict, Steps: []ProofStep{}, Notes: []string{},
	}
	p.Worst = p.Now
	for _, c := range changes {
		step := s.step(c)
		p.Steps = append(p.Steps, step)
		for _, t := range []Tally{step.During, step.After} {
			if t.Tolerance < p.Worst.Tolerance {
				p.Worst = t
			}
		}
		p.Safe = p.Safe && step.err() == nil
	}
	p.After, p.Healed = s.tally(), s.healed()
	p.Notes = append(p.Notes, s.notes(p)...)
	if opts.WhatIf {
		return p, nil
	}
	for _, step := range p.Steps {
		if err := step.err(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// err is why the step must not be taken, nil when it may be.
func (s ProofStep) err() error {
	if s.Refused != nil {
		return &HintError{
			Code: s.Refused.Code, Class: ClassRefused, Op: s.Text, Hint: s.Refused.Hint,
			Err: &refusedError{why: s.Refused.Why},
		}
	}
	var open []Risk
	for _, r := range s.Risks {
		if !r.Accepted {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return nil
	}
	why, flags := "", ""
	for _, r := range open {
		if why != "" {
			why += "; "
		}
		why += r.Why + " (risk " + r.Name + ")"
		flags += " --accept-risk=" + r.Name
	}
	return &HintError{
		Code: CodeRisk, Class: ClassRefused, Op: s.Text, Err: &refusedError{why: why, risks: open},
		Hint: riskHint(open[0].Name) + "; to do it all the same:" + flags,
	}
}

// refusedError is the cause of a refusal.
type refusedError struct {
	why   string
	risks []Risk
}

// Error implements error.
func (e *refusedError) Error() string { return e.why + "; nothing was changed" }

// joint is the moment in which both memberships decide: what may fail is what neither can spare.
func joint(before, after Tally) Tally {
	if after.Tolerance < before.Tolerance {
		return after
	}
	return before
}

// accepted reports whether a risk was accepted by name.
func (o CheckOptions) accepted(name string) bool { return slices.Contains(o.Accept, name) }
