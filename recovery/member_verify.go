package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// verifyAction proves the end state. It is never found done: it is cheap, and what it says must have been seen now.
type verifyAction struct {
	base
	proven bool
}

// Done implements Action.
func (a *verifyAction) Done(context.Context) (bool, error) { return a.proven, nil }

// verifyLimit is how long members may take to come to one revision.
const verifyLimit = 60 * time.Second

// Do implements Action.
func (a *verifyAction) Do(ctx context.Context, tell Tell) error {
	if err := a.settled(ctx, tell); err != nil {
		return err
	}
	if err := a.r.locked(ctx, a.step); err != nil { // it was not taken yet where the run resumes here under an alarm
		return err
	}
	tell("a write must be acknowledged", nil)
	if err := a.r.lock.Touch(ctx, a.r.Me); err != nil {
		return a.r.Cluster.Explain(ctx, "write through", a.r.lead.url, err)
	}
	limited, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	var last error
	err := wait(limited, func(ctx context.Context) (bool, error) {
		tell("all members must have the same hash at one revision", nil)
		hashes, err := a.r.hashes(ctx)
		if err == nil {
			err = CompareHashes(hashes)
		}
		last = err
		return err == nil || errors.Is(err, ErrDiffer), nil
	})
	switch {
	case errors.Is(last, ErrDiffer):
		return &ops.HintError{Code: CodeDiffer, Class: ops.ClassCritical, Op: "verify", Err: last, Hint: "etcdops endpoint hashkv --cluster"}
	case err != nil:
		return &ops.HintError{Code: CodeUnproven, Op: "verify", Err: fmt.Errorf("%w (last: %w)", err, last), Hint: "etcdops health"}
	}
	a.proven = true
	return nil
}

// settled checks what the next start of each target will do, and that all are voters that take part. One look at busy members
// proves nothing against them: it is repeated for a while.
func (a *verifyAction) settled(ctx context.Context, tell Tell) error {
	limited, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	var last error
	err := wait(limited, func(ctx context.Context) (bool, error) {
		tell("all must be voters that work", nil)
		last = a.voting(ctx)
		return last == nil, nil
	})
	if err != nil {
		return cmp.Or(last, err)
	}
	return a.nextStarts(ctx)
}

// voting reports a target that is no voter that takes part.
func (a *verifyAction) voting(ctx context.Context) error {
	seen, err := a.r.Cluster.Observe(ctx)
	if err != nil {
		return err
	}
	for _, t := range a.r.Journal.Plan.Member.Targets {
		var id ops.MemberID
		if _, err := a.r.Journal.Get("id:"+t.Name, &id); err != nil {
			return err
		}
		m, ok := seen.ByID(id)
		if !ok || m.Learner || m.Condition != ops.Live {
			return &ops.HintError{Code: CodeUnproven, Op: "verify", Member: t.Name, Err: fmt.Errorf("it is no voter that works: %s", m.Cause), Hint: "etcdops health"}
		}
	}
	return nil
}

// nextStarts reports a target that would begin a cluster of its own when it is started without data.
func (a *verifyAction) nextStarts(ctx context.Context) error {
	for _, t := range a.r.Journal.Plan.Member.Targets {
		if t.Manual {
			continue
		}
		survey, err := a.r.Nodes[t.Name].Survey(ctx)
		if err != nil {
			return err
		}
		if state := survey.Setting("initial-cluster-state"); state != "existing" {
			return &ops.HintError{
				Code: CodeUnproven, Op: "verify", Member: t.Name, Hint: "set it to existing: " + strings.Join(survey.Files, " "),
				Err: fmt.Errorf("its next start would have initial-cluster-state %q", state),
			}
		}
	}
	return nil
}
