package recovery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// BeginMember makes a confirmed plan the operation of this machine: it takes the machine's lock, sees that nothing else is
// unfinished, looks at everything again, and refuses the plan when it would be another one now. The caller executes the
// journal and then releases what is held.
func (s StateDir) BeginMember(ctx context.Context, cluster *ops.Cluster, plan *Plan, requests []Request) (*Journal, *Held, error) {
	if err := plan.Verify(); err != nil {
		return nil, nil, &ops.HintError{Code: CodePlan, Class: ops.ClassUsage, Op: "read the plan", Err: err, Hint: "make it again with --dry-run -w json"}
	}
	held, err := s.Acquire(plan.ClusterID)
	if err != nil {
		return nil, nil, err
	}
	journal, err := s.begin(ctx, cluster, plan, requests)
	if err != nil {
		return nil, nil, errors.Join(err, held.Release())
	}
	return journal, held, nil
}

func (s StateDir) begin(ctx context.Context, cluster *ops.Cluster, plan *Plan, requests []Request) (*Journal, error) {
	if err := s.clear(plan.ClusterID); err != nil {
		return nil, err
	}
	if err := fresh(ctx, cluster, plan, requests); err != nil {
		return nil, err
	}
	return CreateJournal(s.Path, plan)
}

// Clear refuses while an operation on the cluster that changed something is unfinished. It changes nothing.
func (s StateDir) Clear(cluster ops.ClusterID) error {
	_, err := s.unchanged(cluster)
	return err
}

// unchanged lists the unfinished operations on the cluster that changed nothing, and refuses while one that did is unfinished.
func (s StateDir) unchanged(cluster ops.ClusterID) ([]*Journal, error) {
	var out []*Journal
	for _, kind := range []string{KindMember, KindRebuild} {
		open, err := s.Unfinished(kind, cluster)
		switch {
		case err != nil:
			return nil, err
		case open == nil:
			continue
		case open.Changed():
			x := Executor{Journal: open}
			return nil, refusef(CodeStopped, open.Plan.Operation, x.Resume()+"; to give it up: etcdops recover abandon", "an operation of %s on this cluster is not finished", open.Plan.MadeAt.Format(time.RFC3339))
		}
		out = append(out, open)
	}
	return out, nil
}

// clear ends unfinished operations that changed nothing, and refuses while one that did is unfinished.
func (s StateDir) clear(cluster ops.ClusterID) error {
	open, err := s.unchanged(cluster)
	if err != nil {
		return err
	}
	for _, old := range open {
		j, err := OpenJournal(old.Path())
		if err != nil {
			return err
		}
		if err := errors.Join(j.End("abandoned before anything was changed"), j.Close()); err != nil {
			return err
		}
	}
	return nil
}

// fresh refuses a plan that stands on facts which are not so any more.
func fresh(ctx context.Context, cluster *ops.Cluster, plan *Plan, requests []Request) error {
	facts, err := CollectMember(ctx, cluster, requests)
	if err != nil {
		return err
	}
	var via []string
	for _, t := range plan.Member.Targets {
		via = append(via, t.Via)
	}
	now, err := PlanMember(facts, Options{
		Now: time.Now(), Operation: plan.Operation, BackupTo: plan.Member.BackupTo, NoBackup: plan.Member.BackupTo == "", Via: via,
	})
	if err != nil {
		return err
	}
	if now.ClusterID != plan.ClusterID || now.Basis != plan.Basis {
		return refusef(CodeStale, "", "make it again and read it: --dry-run", "the cluster or a target's machine changed since the plan was made at %s", plan.MadeAt.Format(time.RFC3339))
	}
	return nil
}

// ResumeMember takes up an unfinished operation; name chooses one of several, empty the only one.
func (s StateDir) ResumeMember(cluster ops.ClusterID, name string) (*Journal, *Held, error) {
	held, err := s.Acquire(cluster)
	if err != nil {
		return nil, nil, err
	}
	j, err := s.resume(cluster, name)
	if err != nil {
		return nil, nil, errors.Join(err, held.Release())
	}
	return j, held, nil
}

func (s StateDir) resume(cluster ops.ClusterID, name string) (*Journal, error) {
	if name == "" {
		open, err := s.Unfinished(KindMember, cluster)
		if err != nil {
			return nil, err
		}
		if open == nil {
			return nil, &ops.HintError{
				Code: CodeNothing, Class: ops.ClassUsage, Op: "resume", Member: s.Path,
				Err: fmt.Errorf("no operation on cluster %s is unfinished here", cluster), Hint: "etcdops recover list",
			}
		}
		name = open.Operation()
	}
	j, err := OpenJournal(filepath.Join(s.Path, filepath.Base(name)+journalSuffix))
	if err != nil {
		return nil, err
	}
	if note, ended := j.Ended(); ended || j.Plan.Kind != KindMember || j.Plan.ClusterID != cluster {
		return nil, errors.Join(&ops.HintError{
			Code: CodeNothing, Class: ops.ClassUsage, Op: "resume", Member: name,
			Err: fmt.Errorf("it is %s of cluster %s, ended: %q", j.Plan.Kind, j.Plan.ClusterID, note), Hint: "etcdops recover list",
		}, j.Close())
	}
	return j, nil
}

// keyPeers begins the journal's key of peer URLs that replace those of the plan.
const keyPeers = "peers:"

// Readdress gives the operation's only target other peer URLs than those of the plan, as long as it is not in the cluster
// under those: before it was added, or after it was taken back.
func (j *Journal) Readdress(urls []string) error {
	if len(j.Plan.Member.Targets) != 1 {
		return &ops.HintError{
			Code: CodeNothing, Class: ops.ClassUsage, Op: "change peer URLs of", Member: j.Operation(), Hint: "go on without",
			Err: errors.New("the operation is about several members"),
		}
	}
	name := j.Plan.Member.Targets[0].Name
	if last := j.last(StepAdd + ":" + name); last != "" && last != RecordUndone {
		return &ops.HintError{
			Code: CodeNothing, Class: ops.ClassUsage, Op: "change peer URLs of", Member: name, Hint: "go on without; then: etcdops member update " + name,
			Err: errors.New("it is a member of the cluster under its peer URLs already"),
		}
	}
	return j.Put(keyPeers+name, urls)
}
