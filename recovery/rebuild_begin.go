package recovery

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
)

// BeginRebuild makes a confirmed plan the operation of this machine, as BeginMember does: locked, with nothing else
// unfinished, and refused when it would be another one now. The caller executes the journal and then releases what is held.
func (s StateDir) BeginRebuild(ctx context.Context, inspector Inspector, plan *Plan, req RebuildRequest) (*Journal, *Held, error) {
	if err := plan.Verify(); err != nil || plan.Rebuild == nil {
		return nil, nil, &ops.HintError{Code: CodePlan, Class: ops.ClassUsage, Op: "read the plan", Err: errors.Join(err, errNoRebuild(plan)), Hint: "make it again: etcdops rebuild-cluster plan --out FILE"}
	}
	if err := plan.Rebuild.drivers(); err != nil {
		return nil, nil, err
	}
	held, err := s.Acquire(plan.ClusterID)
	if err != nil {
		return nil, nil, err
	}
	journal, err := s.beginRebuild(ctx, inspector, plan, req)
	if err != nil {
		return nil, nil, errors.Join(err, held.Release())
	}
	return journal, held, nil
}

func errNoRebuild(plan *Plan) error {
	if plan.Rebuild == nil {
		return errors.New("it is no plan of a rebuild")
	}
	return nil
}

func (s StateDir) beginRebuild(ctx context.Context, inspector Inspector, plan *Plan, req RebuildRequest) (*Journal, error) {
	if err := s.clear(plan.ClusterID); err != nil {
		return nil, err
	}
	facts, err := CollectRebuild(ctx, inspector, req)
	if err != nil {
		return nil, err
	}
	opts := RebuildOptions{Now: time.Now(), Operation: plan.Operation, Token: plan.Rebuild.Token, Seed: plan.Rebuild.Source.Name}
	for _, m := range plan.Rebuild.Members {
		opts.Members = append(opts.Members, NewMember{Name: m.Name, PeerURLs: m.PeerURLs})
	}
	now, err := PlanRebuild(facts, opts)
	if err != nil {
		return nil, err
	}
	if now.Basis != plan.Basis || now.Rebuild.Verdict.Text != plan.Rebuild.Verdict.Text {
		return nil, rebuildRefusal(CodeStale, "", "etcdops rebuild-cluster plan", "what the sources hold has changed since the plan was made at %s", plan.MadeAt.Format(time.RFC3339))
	}
	return CreateJournal(s.Path, plan)
}

// drivers refuses a plan that cannot be carried out: every machine must be known, and the first one must be one that this
// program can start a member on.
func (p *RebuildPlan) drivers() error {
	for i, m := range p.Members {
		hint := "name how it is worked on: --via " + m.Name + "=process:FILE"
		switch {
		case m.Via == "":
			return rebuildRefusal(CodeNoDriver, m.Name, hint, "its machine is not known")
		case i == 0 && m.DataDir == "":
			return rebuildRefusal(CodeNoDriver, m.Name, hint, "the new cluster begins on its machine, and its data directory is not known")
		case i == 0 && len(m.ClientURLs) == 0:
			return rebuildRefusal(CodeMembers, m.Name, "give it advertise-client-urls", "its client URL is not known, and what it serves could not be verified")
		}
	}
	return nil
}

// ResumeRebuild takes up the unfinished rebuild of this machine; name chooses one of several, empty the only one.
func (s StateDir) ResumeRebuild(name string) (*Journal, *Held, error) {
	journals, unreadable, err := s.Journals()
	if err = errors.Join(append([]error{err}, unreadable...)...); err != nil {
		return nil, nil, err
	}
	var open []*Journal
	for _, j := range journals {
		if _, ended := j.Ended(); !ended && j.Plan.Kind == KindRebuild && (name == "" || j.Operation() == filepath.Base(name)) {
			open = append(open, j)
		}
	}
	switch {
	case len(open) == 0:
		return nil, nil, &ops.HintError{Code: CodeNothing, Class: ops.ClassUsage, Op: "resume", Member: s.Path, Err: errors.New("no rebuild is unfinished here"), Hint: "etcdops rebuild-cluster plan"}
	case len(open) > 1:
		return nil, nil, &ops.HintError{Code: CodeSeveral, Class: ops.ClassUsage, Op: "resume", Member: s.Path, Err: errors.New("several rebuilds are not finished"), Hint: "name one: --operation NAME"}
	}
	return s.reopen(open[0])
}

// reopen takes hold of an operation's cluster and opens its journal to be written to.
func (s StateDir) reopen(found *Journal) (*Journal, *Held, error) {
	held, err := s.Acquire(found.Plan.ClusterID)
	if err != nil {
		return nil, nil, err
	}
	j, err := OpenJournal(found.Path())
	if err != nil {
		return nil, nil, errors.Join(err, held.Release())
	}
	return j, held, nil
}

// Made is what a rebuild made.
type Made struct {
	ClusterID ops.ClusterID
	Proof     HashProof
	Serves    datadir.Hash // what the first member served before anybody wrote
}

// Rebuilt tells what the rebuild of a journal made.
func Rebuilt(j *Journal) (Made, error) {
	r := RebuildRun{Journal: j}
	var made Made
	_, err := j.Get(keySeedID, &made.ClusterID)
	if err == nil {
		_, err = j.Get(keyServes, &made.Serves)
	}
	if err == nil {
		made.Proof, err = r.proof()
	}
	return made, err
}
