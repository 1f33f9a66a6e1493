package recovery

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery/datadir"
	"github.com/etcdops/etcdops/recovery/seed"
)

// RebuildRun carries out, or continues, the plan of a journal.
type RebuildRun struct {
	Journal  *Journal
	Nodes    map[string]Node     // by the name of the new cluster's member
	Here     Workshop            // this machine
	Remote   map[string]Workshop // others, by "ssh:HOST"
	Settings ops.Config          // how to reach the new cluster; the endpoints are the plan's
	Me       Holder
	Events   func(Event) // nil is allowed

	StallAfter time.Duration // see MemberRun
	Fault      func(string)  // see Executor; nil but in tests

	cluster *ops.Cluster
	join    *MemberRun
}

// Program is a program with its first arguments, its own name before them.
type Program struct {
	Path string
	Args []string
}

// Execute carries out what is left of the plan and ends the journal. The caller holds the lock of this machine.
func (r *RebuildRun) Execute(ctx context.Context) (err error) {
	if err := r.Journal.notAbandoned(); err != nil {
		return err
	}
	if r.StallAfter <= 0 {
		r.StallAfter = defaultStall
	}
	defer func() {
		if err != nil && !r.Journal.Changed() {
			err = errors.Join(err, r.Journal.End("stopped before anything was changed"))
		}
		r.leave(ctx)
	}()
	if err := r.mendJoining(ctx); err != nil {
		return err
	}
	x := Executor{Journal: r.Journal, Actions: r, Guard: r.guard, Events: r.Events, Fault: r.Fault}
	if err := x.Run(ctx); err != nil {
		return err
	}
	if _, err := r.stage(ctx, StageOrder{Stage: StageRemove}, nil); err != nil {
		return fmt.Errorf("remove the working directory: %w", err)
	}
	return r.Journal.End(stateDone)
}

// mendJoining does what the recovery of members does before it goes on, once a member was added.
func (r *RebuildRun) mendJoining(ctx context.Context) error {
	for _, t := range r.Journal.Plan.Member.Targets {
		if !r.Journal.IsDone(StepAdd + ":" + t.Name) {
			continue
		}
		if err := r.enter(ctx); err != nil {
			return err
		}
		return r.join.mendJoining(ctx)
	}
	return nil
}

// plan is the rebuild's part of the plan.
func (r *RebuildRun) plan() *RebuildPlan { return r.Journal.Plan.Rebuild }

// host is the member that the new cluster begins with.
func (r *RebuildRun) host() NewMember { return r.plan().Members[0] }

// work is the working directory: beside the host's data directory, on its file system, or within it when it is the top of
// one.
func (r *RebuildRun) work() seed.Work {
	host := r.host()
	w := seed.Work{Dir: besides(host.DataDir, host.DataMount, r.Journal.Plan.Operation)}
	if host.WALDir != "" {
		w.WALDir = besides(host.WALDir, host.WALMount, r.Journal.Plan.Operation)
	}
	return w
}

// besides is a working directory on the file system of dir. Its name begins as those of directories that were set aside,
// so that drivers know it for ours.
func besides(dir string, mount bool, operation string) string {
	if mount {
		return filepath.Join(dir, ".etcdops-"+operation+".work")
	}
	return dir + ".etcdops-" + operation + ".work"
}

// Action implements Actions.
func (r *RebuildRun) Action(step Step) (Action, error) {
	b := rebuildBase{r: r, step: step}
	switch step.Kind {
	case StepFence:
		return &fenceAction{b}, nil
	case StepCarry:
		return &carryAction{b}, nil
	case StepCopy:
		return &copyAction{b}, nil
	case StepSeal:
		return &sealAction{b}, nil
	case StepReplay:
		return &replayAction{b}, nil
	case StepRestore:
		return &restoreAction{b}, nil
	case StepSwitch:
		return &switchAction{b}, nil
	case StepSeed:
		return &seedAction{rebuildBase: b}, nil
	}
	return &joining{r: r, step: step}, nil
}

// rebuildBase is what every action of a rebuild has.
type rebuildBase struct {
	r    *RebuildRun
	step Step
}

// inspect looks at the source again, where the new directory is made, without its keys, and refuses it when its log is
// not the plan's.
func (b rebuildBase) inspect(ctx context.Context) (*datadir.Info, error) {
	return b.inspectAt(ctx, b.r.sourceHere())
}

// stage carries a stage of the new directory out on the first member's machine.
func (r *RebuildRun) stage(ctx context.Context, order StageOrder, tell Tell) (StageResult, error) {
	shop, err := at(r.Here, r.Remote, r.host().Via)
	if err != nil {
		return StageResult{}, err
	}
	order.Work, order.DataDir = r.work(), r.host().DataDir
	made, err := shop.Stage(ctx, order, tell)
	if err != nil && machineOf(r.host().Via) != "" {
		err = fmt.Errorf("on %s: %w", machineName(r.host().Via), err)
	}
	return made, err
}

func (b rebuildBase) stage(ctx context.Context, order StageOrder, tell Tell) (StageResult, error) {
	return b.r.stage(ctx, order, tell)
}

// look sees how far the new directory is.
func (b rebuildBase) look(ctx context.Context) (StageResult, error) {
	return b.r.stage(ctx, StageOrder{Stage: StageLook}, nil)
}

// guard is asked before each step: nobody of the old cluster may work; once the new one serves, the proofs of every
// recovery hold.
func (r *RebuildRun) guard(ctx context.Context, step Step) error {
	switch step.Kind {
	case StepSetAside, StepAdd, StepStart, StepArrive, StepSync, StepPromote, StepVerify:
		if err := r.enter(ctx); err != nil {
			return err
		}
		return r.join.guard(ctx, step)
	}
	works, secret, err := r.oldWorks(ctx)
	switch {
	case err != nil:
		return err
	case works == "" && secret != "" && step.Kind != StepSeed: // by then the new member may be what answers
		return refusef(CodeQuorumWorks, secret, "--user NAME --password-file FILE, --cacert, --cert, --key; or stop it first", "it answers, and does not say without the right user or certificate whether the old cluster works")
	case works == "":
		return nil
	}
	return refusef(CodeQuorumWorks, works, "etcdops health; what this plan has made so far is beside the data, and nothing of the old cluster was changed",
		"the old cluster works again: %s follows a leader of it", works)
}

// oldWorks names a member of the old cluster that follows a leader, and one that does not say whether it does.
func (r *RebuildRun) oldWorks(ctx context.Context) (works, secret string, err error) {
	p := r.plan()
	if len(p.OldClients) == 0 {
		return "", "", nil
	}
	settings := r.Settings
	settings.Endpoints = p.OldClients
	cluster, err := ops.Open(settings)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = cluster.Close() }() // only asked
	var made ops.ClusterID
	if _, err := r.Journal.Get(keySeedID, &made); err != nil {
		return "", "", err
	}
	old := r.Journal.Plan.ClusterID // 0: of a snapshot nobody knows whose it is, then whatever answers there may be it
	for _, reply := range answers(ctx, cluster, p.OldClients, answerBound) {
		if reply.leader && reply.cluster != made && (old == 0 || reply.cluster == old) {
			return reply.endpoint, "", nil
		}
		if reply.secret || reply.strange {
			secret = reply.endpoint
		}
	}
	return "", secret, nil
}

// enter connects to the new cluster and takes its lock, once.
func (r *RebuildRun) enter(ctx context.Context) error {
	if r.join != nil {
		return nil
	}
	cluster, err := r.connect()
	if err != nil {
		return err
	}
	join := &MemberRun{
		Cluster: cluster, Journal: r.Journal, Nodes: r.Nodes, Me: r.Me, Events: r.Events, StallAfter: r.StallAfter, lead: &leader{cluster: cluster},
	}
	client, err := join.lead.client(ctx)
	if err != nil {
		return errors.Join(err, cluster.Close())
	}
	if err := r.own(ctx, cluster); err != nil {
		return errors.Join(err, cluster.Close())
	}
	join.lock, err = AcquireLock(ctx, client, r.Me)
	if errors.Is(err, rpctypes.ErrNoSpace) {
		return errors.Join(r.full(join.lead.url), cluster.Close())
	}
	if err != nil {
		return errors.Join(cluster.Explain(ctx, "take the lock at", join.lead.url, err), cluster.Close())
	}
	r.cluster, r.join = cluster, join
	return nil
}

// full tells what to do about a first member whose data fill its quota, also without the space that nothing uses.
func (r *RebuildRun) full(url string) error {
	host := r.host().Name
	return &ops.HintError{
		Code: CodeAlarm, Op: "take the lock at", Member: url, Err: errors.New("the data fill the quota of " + host + ": it takes no writes (NOSPACE), and no member can join"),
		Hint: "raise quota-backend-bytes where " + host + " is configured, restart it, etcdops alarm disarm --endpoints " + url,
	}
}

// own refuses another cluster than the one that was made here: directories are set aside for it, and members join it.
func (r *RebuildRun) own(ctx context.Context, cluster *ops.Cluster) error {
	var id ops.ClusterID
	known, err := r.Journal.Get(keySeedID, &id)
	if err != nil || !known {
		return errors.Join(err, errors.New("the journal does not tell which cluster was made"))
	}
	seen, err := cluster.Observe(ctx)
	if err != nil {
		return err
	}
	if seen.ClusterID != id {
		return refusef(CodeForeign, r.host().Name, "stop what answers there, and start the member on the directory that was made for it; then resume",
			"cluster %s answers at its client URL, not %s, which was made here", seen.ClusterID, id)
	}
	return nil
}

// connect opens the new cluster by the host's client URLs.
func (r *RebuildRun) connect() (*ops.Cluster, error) {
	settings := r.Settings
	settings.Endpoints = r.host().ClientURLs
	return ops.Open(settings)
}

// leave gives the lock back and closes the connections.
func (r *RebuildRun) leave(ctx context.Context) {
	if r.join == nil {
		return
	}
	r.join.endHashes()
	r.join.lock.Release(ctx)
	_ = r.cluster.Close() // what was done stands
	r.join = nil
}

// joining is a step of the recovery of members, on the new cluster.
type joining struct {
	r     *RebuildRun
	step  Step
	inner Action
}

func (j *joining) action(ctx context.Context) (Action, error) {
	if j.inner != nil {
		return j.inner, nil
	}
	err := j.r.enter(ctx)
	if err == nil {
		j.inner, err = j.r.join.Action(j.step)
	}
	return j.inner, err
}

// Done implements Action.
func (j *joining) Done(ctx context.Context) (bool, error) {
	a, err := j.action(ctx)
	if err != nil {
		return false, err
	}
	return a.Done(ctx)
}

// Do implements Action.
func (j *joining) Do(ctx context.Context, tell Tell) error {
	a, err := j.action(ctx)
	if err != nil {
		return err
	}
	return a.Do(ctx, tell)
}
