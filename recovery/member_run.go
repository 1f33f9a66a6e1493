package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/etcdops/etcdops/ops"
)

// MemberRun carries out, or continues, the plan of a journal.
type MemberRun struct {
	Cluster *ops.Cluster
	Journal *Journal
	Nodes   map[string]Node // by the target's name
	Me      Holder          // who holds the cluster's lock
	Events  func(Event)     // nil is allowed

	Backup     Backup        // how the backup is taken; nil for none
	StallAfter time.Duration // without progress of a new member; default one minute
	Fault      func(string)  // see Executor; nil but in tests
	Unsafe     Unsafe        // zero but in tests

	lock    *ClusterLock // nil while the cluster takes no writes
	keeper  *ops.Cluster // for the lock: of those that stay
	lead    *leader
	logins  []*ops.Cluster // connections of later logins
	renewed time.Time
	early   *early // hashes that are made while the last member joins
}

// Unsafe takes protections away. It exists for the tests that must fail without them; nothing in the product sets it.
type Unsafe struct {
	SkipRemove bool // the old member is not removed
	SkipProof  bool // the votes are not proven before a step
}

// Backup takes a verified copy of the cluster's data.
type Backup interface {
	// Done reports whether the copy of this operation is there and whole.
	Done(ctx context.Context) (bool, error)
	// Take reads it from one member. The result says in a sentence what was taken.
	Take(ctx context.Context, cluster *ops.Cluster, endpoint string, size int64, tell Tell) (string, error)
}

// defaultStall is how long a new member may make no progress: longer than a snapshot of 8 GiB takes to be opened.
const defaultStall = time.Minute

// poll is the time between two looks at what is waited for: recovery must not be slower than a script's.
const poll = 50 * time.Millisecond

// Execute takes the cluster's lock, carries out what is left of the plan and ends the journal. The caller holds the lock
// of this machine (StateDir.Acquire).
func (r *MemberRun) Execute(ctx context.Context) (err error) {
	if r.StallAfter <= 0 {
		r.StallAfter = defaultStall
	}
	r.lead = &leader{cluster: r.Cluster}
	defer func() {
		if err != nil && !r.Journal.Changed() { // nothing is left to be resumed
			err = errors.Join(err, r.Journal.End("stopped before anything was changed"))
		}
	}()
	leave, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := r.mendJoining(ctx); err != nil {
		return err
	}
	x := Executor{Journal: r.Journal, Actions: r, Guard: r.guard, Events: r.Events, Fault: r.Fault}
	if err := x.Run(ctx); err != nil {
		return err
	}
	return r.Journal.End(stateDone)
}

// enter takes the cluster's lock; the caller leaves when all is done.
func (r *MemberRun) enter(ctx context.Context) (leave func(), err error) {
	keepers, err := r.keepers(ctx)
	if err != nil {
		return nil, err
	}
	r.keeper = keepers
	if err := r.takeLock(ctx); err != nil {
		return nil, errors.Join(err, keepers.Close())
	}
	return func() {
		r.endHashes()
		if r.lock != nil {
			r.lock.Release(ctx)
		}
		_ = keepers.Close() // the lock is gone
		for _, c := range r.logins {
			_ = c.Close() // what was done through it stands
		}
	}, nil
}

// takeLock takes the cluster's lock. While a target has the alarm CORRUPT the cluster takes no write, and so no lock, until
// that target is removed: up to then the lock of this machine is all there is, and two machines can do no more than stop
// and remove the same member.
func (r *MemberRun) takeLock(ctx context.Context) (err error) {
	r.lock, err = AcquireLock(ctx, r.keeper.Client(), r.Me)
	if !errors.Is(err, rpctypes.ErrCorrupt) {
		return r.keeper.Explain(ctx, "take the lock at", "", err)
	}
	r.lock = nil
	seen, observed := r.Cluster.Observe(ctx)
	if observed != nil {
		return observed
	}
	for _, a := range seen.Alarms {
		if a.Type != corrupt || a.Member == 0 || !r.isTarget(a.Member) {
			return refusef(CodeAlarm, a.Member.String(), "etcdops alarm list", "it has the alarm %s, and the cluster takes no writes", a.Type)
		}
	}
	if len(seen.Alarms) == 0 { // whose alarm it is must be seen: the lock is done without for that of a target alone
		return refusef(CodeAlarm, "", "etcdops alarm list", "the cluster takes no writes for an alarm CORRUPT, and nobody tells of which member")
	}
	return nil
}

// keepers connects to all live voters that stay: the lock must outlive the target, which may lead, and any one of them.
func (r *MemberRun) keepers(ctx context.Context) (*ops.Cluster, error) {
	seen, err := r.Cluster.Observe(ctx)
	if err != nil {
		return nil, err
	}
	cfg := r.Cluster.Config()
	cfg.Endpoints = nil
	for _, m := range seen.Members {
		if m.Condition == ops.Live && !m.Learner && !r.isTarget(m.ID) && m.URL != "" {
			cfg.Endpoints = append(cfg.Endpoints, m.URL)
		}
	}
	if len(cfg.Endpoints) == 0 {
		return nil, &ops.HintError{
			Code: CodeNoQuorum, Class: ops.ClassUnreachable, Op: "take the lock", Err: errors.New("no voter that stays answers"), Hint: "etcdops health",
		}
	}
	return ops.Dial(ctx, cfg)
}

// renewLogin logs in again, at most once a second, when a member that answers does not let us in. Simple tokens live in the
// memory of the members that were there when they were made: a new member does not know ours, and a learner makes none.
// A login through the others reaches it by the log. A failure leaves the login as it is: the next look tries again.
func (r *MemberRun) renewLogin(ctx context.Context, err error) {
	hint, ok := errors.AsType[*ops.HintError](err)
	if r.Cluster.Config().Auth.User == "" || !ok || hint.Class == ops.ClassUnreachable || time.Since(r.renewed) < time.Second {
		return
	}
	r.renewed = time.Now()
	if fresh, err := ops.Dial(ctx, r.Cluster.Config()); err == nil {
		r.logins = append(r.logins, fresh)
		r.Cluster, r.lead.cluster = fresh, fresh
	}
}

// Action implements Actions.
func (r *MemberRun) Action(step Step) (Action, error) {
	b := base{r: r, step: step}
	switch step.Kind {
	case StepBackup:
		return &backupAction{base: b}, nil
	case StepVerify:
		return &verifyAction{base: b}, nil
	}
	target, ok, err := r.target(step.Member)
	if err != nil {
		return nil, err
	}
	node := r.Nodes[step.Member]
	if !ok || node == nil {
		return nil, fmt.Errorf("step %s: member %q is no target, or its machine is not known", step.ID, step.Member)
	}
	on := onTarget{base: b, target: target, node: node}
	switch step.Kind {
	case StepStop:
		return &stopAction{on}, nil
	case StepRemove:
		return &removeAction{on}, nil
	case StepSetAside:
		return &asideAction{on}, nil
	case StepAdd:
		return &addAction{on}, nil
	case StepStart:
		return &startAction{on}, nil
	case StepSync:
		return &syncAction{onTarget: on}, nil
	case StepPromote:
		return &promoteAction{on}, nil
	case StepArrive:
		return &arriveAction{on}, nil
	}
	return nil, fmt.Errorf("step %s: this program does not know how to %q", step.ID, step.Kind)
}

// target finds the target that a step is about, with the peer URLs that were chosen since the plan was made.
func (r *MemberRun) target(name string) (t Target, ok bool, err error) {
	if t, ok = r.Journal.Plan.Member.target(name); ok {
		_, err = r.Journal.Get(keyPeers+name, &t.PeerURLs)
	}
	return t, ok, err
}

// base is what every action has.
type base struct {
	r    *MemberRun
	step Step
}

// onTarget is what actions about one member have.
type onTarget struct {
	base
	target Target
	node   Node
}

// newID is the ID under which the target joins again, 0 while it has none.
func (o onTarget) newID() (id ops.MemberID, err error) {
	_, err = o.r.Journal.Get("id:"+o.target.Name, &id)
	return id, err
}

// guard is asked before each step: the lock is still ours, and the votes after the step are a majority of those that
// were seen to live a moment ago.
func (r *MemberRun) guard(ctx context.Context, step Step) error {
	if !step.Changes {
		return nil
	}
	if err := r.locked(ctx, step); err != nil {
		return err
	}
	return r.prove(ctx, step)
}

// locked checks the cluster's lock, or takes it when it could not be taken before.
func (r *MemberRun) locked(ctx context.Context, step Step) error {
	if r.lock != nil {
		return r.Cluster.Explain(ctx, "check the lock at", "", r.lock.Check(ctx))
	}
	if err := r.takeLock(ctx); err != nil || r.lock != nil || step.Kind == StepStop || step.Kind == StepRemove {
		return err
	}
	return refusef(CodeAlarm, "", "etcdops alarm list", "the cluster takes no writes: the alarm CORRUPT is still there")
}

// proof is what a change is proven by, at each of its tries.
func (b base) proof(ctx context.Context) error { return b.r.prove(ctx, b.step) }

// prove looks at all members anew and checks the change that the step makes.
func (r *MemberRun) prove(ctx context.Context, step Step) error {
	if r.Unsafe.SkipProof {
		return nil
	}
	changes, err := r.changesOf(step)
	if err != nil || len(changes) == 0 {
		return err
	}
	seen, err := r.Cluster.Observe(ctx)
	if err != nil {
		return err
	}
	accept, err := r.followed(step, seen)
	if err != nil {
		return err
	}
	_, err = ops.CheckChange(seen, time.Now(), ops.CheckOptions{Accept: accept}, changes...)
	if err == nil {
		r.lead.proved = time.Now()
		return nil
	}
	if hint, ok := errors.AsType[*ops.HintError](err); ok && hint.Code == ops.CodeCannotChange {
		return nil // the change is made already; the action sees that itself
	}
	return err
}

// followLag is how many entries a learner may be behind at the moment of its promotion: while clients write it is always
// some behind. Beyond etcd's own --snapshot-catchup-entries default it might need a snapshot again.
const followLag = 5000

// followed accepts the lag of a learner that has itself told, in this very look, that it has applied the goal and follows
// closely. One that does not answer is another risk, which nothing accepts.
func (r *MemberRun) followed(step Step, seen ops.Observation) ([]string, error) {
	if step.Kind != StepPromote {
		return nil, nil
	}
	var id ops.MemberID
	var goal uint64
	if _, err := r.Journal.Get("id:"+step.Member, &id); err != nil {
		return nil, err
	}
	known, err := r.Journal.Get("goal:"+step.Member, &goal)
	m, there := seen.ByID(id)
	if err != nil || !known || goal == 0 || !there || m.Condition != ops.Live || m.Applied < goal || m.Applied+followLag < seen.Commit {
		return nil, err
	}
	return []string{ops.RiskLaggingLearner}, nil
}

// changesOf is the change of the membership that a step makes, or risks.
func (r *MemberRun) changesOf(step Step) ([]ops.Change, error) {
	target, ok, err := r.target(step.Member)
	if err != nil || !ok {
		return nil, err
	}
	switch step.Kind {
	case StepStop:
		return []ops.Change{{Kind: ops.ChangeStop, Member: target.Old.ID}}, nil
	case StepRemove:
		return []ops.Change{{Kind: ops.ChangeRemove, Member: target.Old.ID}}, nil
	case StepAdd:
		return []ops.Change{{Kind: ops.ChangeAddLearner, Name: target.Name, PeerURLs: target.PeerURLs}}, nil
	case StepPromote:
		var id ops.MemberID
		_, err := r.Journal.Get("id:"+target.Name, &id)
		return []ops.Change{{Kind: ops.ChangePromote, Member: id}}, err
	}
	return nil, nil
}

// listLimit is how long an election may keep the member list from being confirmed.
const listLimit = 10 * time.Second

// list is the member list as a majority confirms it.
func (r *MemberRun) list(ctx context.Context) (list ops.Membership, err error) {
	limit := time.Now().Add(listLimit)
	for {
		if list, err = r.lead.membership(ctx); err == nil || time.Now().After(limit) {
			return list, err
		}
		r.lead.url = ""
		if waited := pause(ctx, poll); waited != nil {
			return list, err
		}
	}
}

// wait calls look until it says yes, fails, or ctx ends.
func wait(ctx context.Context, look func(context.Context) (bool, error)) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		done, err := look(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
