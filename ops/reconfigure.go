package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// changePoll is the time between two looks while something is waited for.
	changePoll = 100 * time.Millisecond
	// windowLimit is how long a server may refuse because of its window of connections: the window itself, and time for
	// connections to come back (a broken one is tried again every tenth of a second; a stream that is dead is noticed
	// after five seconds).
	windowLimit = 4 * StrictWindow
	// verifyLimit is how long the members may take to apply a change that was committed.
	verifyLimit = 10 * time.Second
	// catchUpStall is how long a learner may stand still until it is given up.
	catchUpStall = time.Minute
)

// ChangeEvent tells what a change is doing, for people who wait.
type ChangeEvent struct {
	At   time.Time     `json:"at"`
	Kind string        `json:"kind"` // waiting, sent, done, verified
	Text string        `json:"text"` // in plain words
	Been time.Duration `json:"-"`    // for how long that has been waited for
	Have uint64        `json:"have,omitempty"`
	Want uint64        `json:"want,omitempty"` // of a learner that catches up: log indexes
}

// ChangeOptions are the choices for one change.
type ChangeOptions struct {
	Accept []string          // names of risks
	Strict Strictness        // what is known of the leader's strict-reconfig-check
	Tell   func(ChangeEvent) // nil: nobody waits
	Stall  time.Duration     // how long a learner may stand still; default a minute

	// Expect is the membership that the plan was made for, nil for any. A cluster that has another one is not changed:
	// somebody else is changing it too.
	Expect *Membership
}

// ChangeResult is what a change came to.
type ChangeResult struct {
	Change     Change        `json:"change"` // with the ID of a member that was added
	Proof      Proof         `json:"proof"`  // on which it was made
	Membership Membership    `json:"membership"`
	Waited     time.Duration `json:"-"`           // for the server's window, or for the learner
	VerifiedOn []string      `json:"verified_on"` // members whose own state shows the change
	Missing    []string      `json:"missing"`     // members that could not be asked
}

// Change makes one change: it looks at the cluster, proves that the change keeps the quorum (CheckChange), sends it to
// the leader within the time that the proof is good for, and waits until every member that works shows it. It waits for
// what passes: the leader's window of connections, a learner that has not caught up; each try has a proof of its own.
//
// A refusal is CheckChange's error, and nothing was changed. A change whose answer was lost is looked for in the member
// list before anything is said of it. CodeNotVerified says that the change was made and some member does not show it.
func (c *Cluster) Change(ctx context.Context, change Change, opts ChangeOptions) (ChangeResult, error) {
	t := &changing{c: c, change: change, opts: opts, begun: time.Now()}
	if t.opts.Tell == nil {
		t.opts.Tell = func(ChangeEvent) {}
	}
	if t.opts.Stall <= 0 {
		t.opts.Stall = catchUpStall
	}
	if err := t.make(ctx); err != nil {
		return t.result, err
	}
	t.result.Waited = time.Since(t.begun)
	t.tell("done", change.text(t.label())+": committed", 0, 0)
	return t.result, t.verify(ctx)
}

// changing is one change under way.
type changing struct {
	c      *Cluster
	change Change
	opts   ChangeOptions
	begun  time.Time
	result ChangeResult

	commit  uint64    // index that a learner must have applied, recorded at the first look
	applied uint64    // how far it was at the latest
	moved   time.Time // when it last came further
}

func (t *changing) tell(kind, text string, have, want uint64) {
	t.opts.Tell(ChangeEvent{At: time.Now(), Kind: kind, Text: text, Been: time.Since(t.begun), Have: have, Want: want})
}

func (t *changing) label() string {
	if len(t.result.Proof.Steps) > 0 {
		for _, m := range t.result.Proof.Members {
			if m.ID == t.change.Member && m.ID != 0 {
				return m.Label()
			}
		}
	}
	return t.change.label()
}

// make tries until the change is made or refused for good.
func (t *changing) make(ctx context.Context) error {
	for {
		o, err := t.c.ObserveFor(ctx, t.change)
		if err != nil {
			return err
		}
		o.Strict = t.opts.Strict
		if t.opts.Expect != nil && !sameMembers(*t.opts.Expect, o.Membership()) {
			return t.stale()
		}
		if t.commit == 0 {
			t.commit = o.Commit
		}
		o.Commit = min(o.Commit, t.commit)
		t.result.Proof, err = CheckChange(o, time.Now(), CheckOptions{Accept: t.opts.Accept}, t.change)
		switch {
		case err == nil:
			err = t.send(ctx, o)
			if err == nil || !t.passes(err) {
				return err
			}
			t.tell("waiting", t.wait(err), 0, 0)
		case t.catchesUp(o, err):
			t.tell("waiting", t.label()+" is catching up", t.applied, t.commit)
		default:
			return err
		}
		if err := hold(ctx, changePoll); err != nil {
			return err
		}
	}
}

// stale refuses a plan that was made for another membership.
func (t *changing) stale() error {
	return &HintError{
		Code: CodeStalePlan, Class: ClassRefused, Op: t.change.text(t.label()), Hint: "etcdops member list; then make the plan again",
		Err: &refusedError{why: "the membership has changed since the plan was made: somebody else changes it too"},
	}
}

// passes reports whether the server's refusal is one that waiting cures.
func (t *changing) passes(err error) bool {
	return (errors.Is(err, rpctypes.ErrUnhealthy) || errors.Is(err, rpctypes.ErrNotLeader) || t.idTaken(err)) && time.Since(t.begun) < windowLimit
}

// idTaken reports whether the server made an ID for a new member that another one has or had. It is made of the peer URLs
// and the second; of one that was removed before the server says "member not found".
func (t *changing) idTaken(err error) bool {
	return t.change.adds() && (errors.Is(err, rpctypes.ErrMemberExist) || errors.Is(err, rpctypes.ErrMemberNotFound))
}

// wait says what passes.
func (t *changing) wait(err error) string {
	if t.idTaken(err) {
		return "the server makes a member's ID of its address and the second, and this one was used before: in the next second it is another"
	}
	return "the leader counts members only once it has been connected to them for " + StrictWindow.String() + "; it answered: unhealthy cluster"
}

// catchesUp reports whether the only thing in the way is a learner that is on its way.
func (t *changing) catchesUp(o Observation, err error) bool {
	risks := RisksOf(err)
	if len(risks) != 1 || risks[0].Name != RiskLaggingLearner {
		return false
	}
	m, _ := o.ByID(t.change.Member)
	if m.Applied > t.applied || t.moved.IsZero() {
		t.applied, t.moved = m.Applied, time.Now()
	}
	return time.Since(t.moved) < t.opts.Stall
}

// send brings the change to the leader, and finds out what became of it when the answer is lost.
func (t *changing) send(ctx context.Context, o Observation) error {
	leader, err := o.leaderOf()
	if err != nil {
		return err
	}
	client, err := t.c.At(ctx, leader.URL)
	if err != nil {
		return err
	}
	asked, cancel := context.WithTimeout(ctx, t.c.cfg.CommandTimeout)
	defer cancel()
	t.tell("sent", t.change.text(t.label()), 0, 0)
	if m, listed := o.ByID(t.change.Member); listed && t.change.Kind == ChangeRemove {
		t.c.leave(m)
	}
	err = t.request(asked, client)
	t.result.Change = t.change
	if err != nil && clean(err) {
		t.c.rejoin(t.change.Member)
	}
	switch {
	case err == nil:
		return nil
	case clean(err):
		return t.refused(ctx, leader.URL, err)
	}
	if done, looked := t.done(context.WithoutCancel(ctx)); looked && done {
		return nil
	}
	return t.c.Explain(asked, t.change.text(t.label())+" through", leader.URL, err)
}

func (t *changing) request(ctx context.Context, client *clientv3.Client) error {
	id := uint64(t.change.Member)
	switch t.change.Kind {
	case ChangeAddVoter, ChangeAddLearner:
		add := client.MemberAdd
		if t.change.Kind == ChangeAddLearner {
			add = client.MemberAddAsLearner
		}
		resp, err := add(ctx, t.change.PeerURLs)
		if err == nil {
			t.change.Member = MemberID(resp.Member.GetID())
		}
		return err
	case ChangeRemove:
		_, err := client.MemberRemove(ctx, id)
		return err
	case ChangePromote:
		_, err := client.MemberPromote(ctx, id)
		return err
	case ChangeUpdate:
		_, err := client.MemberUpdate(ctx, id, t.change.PeerURLs)
		return err
	case ChangeMoveLeader:
		_, err := client.MoveLeader(ctx, id)
		return err
	case ChangeStop, ChangeStart:
	}
	return fmt.Errorf("a member cannot be told to %s from here", t.change.Kind)
}

// clean reports whether an error says for sure that nothing was changed.
func clean(err error) bool {
	known, ok := errors.AsType[rpctypes.EtcdError](err)
	return ok && !slices.Contains([]error{
		rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail, rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrStopped,
		rpctypes.ErrLeaderChanged, rpctypes.ErrNoLeader, rpctypes.ErrTimeoutWaitAppliedIndex,
	}, error(known))
}

// refused tells a server's refusal as one of ours.
func (t *changing) refused(ctx context.Context, leader string, err error) error {
	op := t.change.text(t.label())
	refusal := func(code Code, why, hint string) error {
		return &HintError{Code: code, Class: ClassRefused, Op: op, Member: "", Err: &serverError{why, err}, Hint: hint}
	}
	switch {
	case errors.Is(err, rpctypes.ErrUnhealthy):
		return refusal(CodeServerRefuses, "the leader is not connected to enough members for long enough ("+err.Error()+"); nothing was changed",
			"etcdops health; mend the connections between the members, then try again")
	case errors.Is(err, rpctypes.ErrMemberNotEnoughStarted), errors.Is(err, rpctypes.ErrMemberLearnerNotReady):
		return refusal(CodeServerRefuses, "the server refuses: "+err.Error()+"; nothing was changed", "etcdops health")
	case errors.Is(err, rpctypes.ErrTooManyLearners):
		return refusal(CodeServerRefuses, "the cluster has as many learners as its servers allow; nothing was changed",
			"promote or remove the learner that is there: etcdops member list; servers allow more with --max-learners")
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return noRight(op, leader, err)
	case errors.Is(err, rpctypes.ErrPeerURLExist), errors.Is(err, rpctypes.ErrMemberExist), errors.Is(err, rpctypes.ErrMemberNotFound),
		errors.Is(err, rpctypes.ErrMemberNotLearner), errors.Is(err, rpctypes.ErrMemberBadURLs), errors.Is(err, rpctypes.ErrBadLeaderTransferee):
		return refusal(CodeCannotChange, err.Error()+"; nothing was changed", "etcdops member list")
	}
	return t.c.Explain(ctx, op+" through", leader, err)
}

// serverError is a refusal in our words with the server's own error behind it.
type serverError struct {
	why   string
	cause error
}

// Error implements error.
func (e *serverError) Error() string { return e.why }

// Unwrap returns what the server said.
func (e *serverError) Unwrap() error { return e.cause }

// ObserveFor is Observe together with a look at the peer URLs that the change brings in. A URL at which a new member is to
// start may be silent; one at which another member lives may not be given away again.
func (c *Cluster) ObserveFor(ctx context.Context, changes ...Change) (Observation, error) {
	o, err := c.Observe(ctx)
	if err != nil {
		return o, err
	}
	for _, change := range changes {
		if change.adds() || change.Kind == ChangeUpdate {
			o.Addresses = append(o.Addresses, c.FindPeers(ctx, o, change.Member, change.PeerURLs...)...)
		}
	}
	if len(o.Addresses) > 0 && o.Age(time.Now()) > ProbeAge/2 { // a silent address takes a second to be called that
		found := o.Addresses
		if o, err = c.Observe(ctx); err != nil {
			return o, err
		}
		o.Addresses = found
	}
	return o, nil
}
