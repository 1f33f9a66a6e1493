package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/ops"
)

// leader finds the cluster's leader. Changes of the membership go to it: followers of 3.5 and 3.6 pass some on wrongly.
type leader struct {
	cluster *ops.Cluster
	url     string
	seen    time.Time
	proved  time.Time // when the votes were proven last
}

// leaderAge is how long a leader is believed to lead: a change sent to a former one is passed on by it.
const leaderAge = time.Second

// client connects to the member that leads now.
func (l *leader) client(ctx context.Context) (*clientv3.Client, error) {
	if l.url == "" || time.Since(l.seen) > leaderAge {
		seen, err := l.cluster.Observe(ctx)
		if err != nil {
			return nil, err
		}
		m, ok := seen.ByID(seen.Leader)
		if !ok || m.URL == "" {
			return nil, &ops.HintError{
				Code: CodeNoQuorum, Class: ops.ClassUnreachable, Op: "find the leader",
				Err: errors.New("the members agree on none"), Hint: "etcdops health",
			}
		}
		l.url, l.seen = m.URL, time.Now()
	}
	return l.cluster.At(ctx, l.url)
}

// membership is the member list as a majority confirms it.
func (l *leader) membership(ctx context.Context) (ops.Membership, error) {
	client, err := l.client(ctx)
	if err != nil {
		return ops.Membership{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cluster.Config().CommandTimeout)
	defer cancel()
	resp, err := client.MemberList(ctx)
	if err != nil {
		return ops.Membership{}, l.cluster.Explain(ctx, "list members at", l.url, err)
	}
	return ops.MembershipOf(resp), nil
}

// errIDTaken says that the server made an ID for a new member that another member has, or had.
var errIDTaken = errors.New("the ID is taken")

// adding tells the server's answers to an added member apart: of an ID that was removed before it says "member not found".
func adding(err error) error {
	if known := rpctypes.Error(err); errors.Is(known, rpctypes.ErrMemberExist) || errors.Is(known, rpctypes.ErrMemberNotFound) {
		return fmt.Errorf("%w: %w", errIDTaken, err)
	}
	return err
}

// strictLimit is how long the server's refusal of a change is waited out: it wants its members connected for 5 s, and
// an election may lie in between.
const strictLimit = 30 * time.Second

// change makes a change of the membership through the leader. It waits while the server's own check wants its members
// connected for longer; errors that mean that it is made already are the caller's to see, by their identity. The proof that
// was given for the first try is too old for another one: prove is asked before each of those, and again while it says no.
func (l *leader) change(ctx context.Context, op string, tell Tell, prove func(context.Context) error, do func(context.Context, *clientv3.Client) error) error {
	limit := time.Now().Add(strictLimit)
	for first := true; ; first = false {
		if !first || time.Since(l.proved) > ops.ProbeAge/2 { // the intent had to reach the disk in between
			if err := proven(ctx, limit, prove); err != nil {
				return err
			}
		}
		err := l.try(ctx, do)
		switch known := rpctypes.Error(err); {
		case err == nil:
			return nil
		case errors.Is(known, rpctypes.ErrUnhealthy):
			tell("the server wants its members connected for "+ops.StrictWindow.String()+" before it changes the membership", nil)
		case errors.Is(known, rpctypes.ErrMemberLearnerNotReady):
			tell("the leader has not sent all of its log to the learner", nil)
		case errors.Is(known, rpctypes.ErrTooManyLearners):
			return err
		case errors.Is(err, errIDTaken):
			tell("the ID of the new member is made of its address and the second, and was used before: waiting for the next second", nil)
		case errors.Is(known, rpctypes.ErrNotLeader), errors.Is(known, rpctypes.ErrLeaderChanged), errors.Is(known, rpctypes.ErrNoLeader):
			l.url = ""
			tell("the leader changed", nil)
		default:
			return err
		}
		if time.Now().After(limit) {
			return l.cluster.Explain(ctx, op+" at", l.url, err)
		}
		if err := pause(ctx, 4*poll); err != nil {
			return err
		}
	}
}

// proven asks for a proof until it is given, or time is over: an election, or a member that is slow to answer, passes.
func proven(ctx context.Context, limit time.Time, prove func(context.Context) error) error {
	for {
		err := prove(ctx)
		if err == nil || time.Now().After(limit) {
			return err
		}
		if waited := pause(ctx, 4*poll); waited != nil {
			return waited
		}
	}
}

// noVotes is the proof of a change that no votes depend on.
func noVotes(context.Context) error { return nil }

func (l *leader) try(ctx context.Context, do func(context.Context, *clientv3.Client) error) error {
	client, err := l.client(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cluster.Config().CommandTimeout)
	defer cancel()
	return do(ctx, client)
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
