package recovery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

// Operation is what a journal tells in short.
type Operation struct {
	Name      string        `json:"name"`
	Kind      string        `json:"kind"`
	ClusterID ops.ClusterID `json:"cluster_id"` // that it acted on; of a rebuild that is done the one that it made
	State     string        `json:"state"`      // how it ended, or "stopped half-way"
	Steps     int           `json:"steps"`
	Done      int           `json:"done"`
	Asides    []Kept        `json:"asides"` // set aside and not removed since
}

// Kept is a directory that was set aside of a member's machine.
type Kept struct {
	Member string `json:"member"`
	Aside
}

// How operations end, or do not.
const (
	stateStopped = "stopped half-way"
	stateDone    = "done"
)

// keyCleaned marks a journal whose set-aside directories were removed.
const keyCleaned = "cleaned"

// Operations tells all operations of this directory, the oldest first.
func (s StateDir) Operations() (found []Operation, unreadable []error, err error) {
	journals, unreadable, err := s.Journals()
	found = []Operation{}
	for _, j := range journals {
		op, err := j.operation()
		if err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		found = append(found, op)
	}
	return found, unreadable, err
}

func (j *Journal) operation() (Operation, error) {
	op := Operation{Name: j.Operation(), Kind: j.Plan.Kind, ClusterID: j.Plan.ClusterID, State: stateStopped, Steps: len(j.Plan.Steps), Asides: []Kept{}}
	if note, ended := j.Ended(); ended {
		op.State = note
	}
	if op.Kind == KindRebuild && op.State == stateDone { // what it left is another cluster
		if _, err := j.Get(keySeedID, &op.ClusterID); err != nil {
			return op, err
		}
	}
	for _, s := range j.Plan.Steps {
		if j.IsDone(s.ID) {
			op.Done++
		}
	}
	var cleaned bool
	if _, err := j.Get(keyCleaned, &cleaned); err != nil || cleaned || j.Plan.Member == nil {
		return op, err
	}
	for _, t := range j.Plan.Member.Targets {
		asides, err := Asides(j, t.Name)
		if err != nil {
			return op, err
		}
		for _, as := range asides {
			op.Asides = append(op.Asides, Kept{t.Name, as})
		}
	}
	return op, nil
}

// Asides lists what an operation set aside on the machine of one of its targets, that of taken-back attempts too.
func Asides(j *Journal, target string) ([]Aside, error) {
	out := []Aside{}
	for _, key := range []string{"kept:", "asides:"} {
		var some []Aside
		if _, err := j.Get(key+target, &some); err != nil {
			return nil, err
		}
		for _, as := range some {
			if !contains(out, as) {
				out = append(out, as)
			}
		}
	}
	return out, nil
}

func contains(list []Aside, as Aside) bool {
	for _, other := range list {
		if other.Path == as.Path {
			return true
		}
	}
	return false
}

// Cleanable opens the journal of a finished operation whose set-aside directories may be removed: every voter works now,
// and all hold the same data.
func (s StateDir) Cleanable(ctx context.Context, cluster *ops.Cluster, name string) (Operation, *Journal, error) {
	j, err := OpenJournal(filepath.Join(s.Path, filepath.Base(name)+journalSuffix))
	if err != nil {
		return Operation{}, nil, err
	}
	op, err := j.operation()
	if err == nil {
		err = cleanable(ctx, cluster, op)
	}
	if err != nil {
		return op, nil, errors.Join(err, j.Close())
	}
	return op, j, nil
}

func cleanable(ctx context.Context, cluster *ops.Cluster, op Operation) error {
	if op.State == stateStopped {
		return refusef(CodeNotHealthy, op.Name, "finish it first: "+resumeCommand(op.Kind), "it was stopped half-way")
	}
	seen, err := cluster.Observe(ctx)
	if err != nil {
		return err
	}
	if seen.ClusterID != op.ClusterID {
		return refusef(CodeNotHealthy, op.Name, "name the endpoints of that cluster", "it was of cluster %s, this is %s", op.ClusterID, seen.ClusterID)
	}
	var down []string
	for _, m := range seen.Members {
		if m.Condition != ops.Live || m.Learner {
			down = append(down, m.Label())
		}
	}
	if len(down) > 0 {
		return refusef(CodeNotHealthy, op.Name, "etcdops health", "not a voter that works: %s", strings.Join(down, ", "))
	}
	hashes, err := Hashes(ctx, cluster)
	if err == nil {
		err = CompareHashes(hashes)
	}
	if err != nil {
		return refuse(CodeNotHealthy, op.Name, fmt.Errorf("the members' data were not proven equal: %w", err), "etcdops health; then again")
	}
	return nil
}

// Clean removes what a finished operation set aside. The caller has shown it and asked, after Cleanable.
func Clean(ctx context.Context, j *Journal, open func(Target) (Node, error)) error {
	for _, t := range j.Plan.Member.Targets {
		n, err := open(t)
		if err != nil {
			return err
		}
		asides, err := Asides(j, t.Name)
		if err != nil {
			return err
		}
		for _, label := range labels(j.Plan.Operation, asides) {
			if err := n.Discard(ctx, label); err != nil {
				return fmt.Errorf("on the machine of %s: %w", t.Name, err)
			}
		}
	}
	return j.Put(keyCleaned, true)
}

// labels are those that directories were set aside under.
func labels(operation string, asides []Aside) []string {
	var out []string
	seen := map[string]bool{}
	for _, as := range asides {
		_, rest, ok := strings.Cut(as.Path, operation)
		if label := operation + rest; ok && !seen[label] {
			seen[label] = true
			out = append(out, label)
		}
	}
	return out
}
