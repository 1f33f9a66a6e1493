package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/ops"
)

// syncAction waits until the new member has applied what the leader had committed when the wait began. What the leader
// says of the learner counts for nothing: it has sent a snapshot seconds before that is applied.
type syncAction struct {
	onTarget
	goal    uint64
	follows int // looks in a row that showed the goal reached
	watch   watchdog
	looked  time.Time // at the machine
	machine NodeStatus
	downs   downs
	listed  time.Time // when the member list was read
	urls    []string
}

const (
	nodeEvery = 500 * time.Millisecond // between two looks at the machine, which may be far
	listEvery = 200 * time.Millisecond // between two reads of the member list
	steady    = 2                      // looks in a row that must show the goal reached
)

// takeBackError says that the new member must leave again.
type takeBackError struct{ cause *ops.HintError }

// Error implements error.
func (e takeBackError) Error() string { return e.cause.Error() }

// Done implements Action.
func (a *syncAction) Done(ctx context.Context) (bool, error) {
	known, err := a.r.Journal.Get("goal:"+a.target.Name, &a.goal)
	if err != nil || !known || a.goal == 0 {
		return false, err
	}
	if m, err := a.inList(ctx); err != nil || !m.Learner {
		return err == nil && m.Started(), nil
	}
	done, err := a.caughtUp(ctx)
	return done && !a.misplaced(ctx), err
}

// caughtUp reports whether the member itself says that it has applied the goal.
func (a *syncAction) caughtUp(ctx context.Context) (bool, error) {
	id, err := a.newID()
	if err != nil {
		return false, err
	}
	for _, u := range a.clientURLs(ctx) {
		s, err := statusAt(ctx, a.r.Cluster, u)
		if err != nil {
			a.r.renewLogin(ctx, err)
			continue
		}
		if s.MemberID != id {
			continue
		}
		a.watch.saw(int64(s.RaftApplied))
		return s.RaftApplied >= a.goal && s.Leader != 0, nil
	}
	return false, nil
}

// clientURLs are where the member may answer: those that it advertises, or those of the old one until it has.
func (a *syncAction) clientURLs(ctx context.Context) []string {
	if time.Since(a.listed) > listEvery {
		if m, err := a.inList(ctx); err == nil && len(m.ClientURLs) > 0 {
			a.urls = m.ClientURLs
		}
		a.listed = time.Now()
	}
	if len(a.urls) > 0 {
		return a.urls
	}
	return a.target.Old.ClientURLs
}

// Do implements Action.
func (a *syncAction) Do(ctx context.Context, tell Tell) error {
	if err := a.setGoal(ctx); err != nil {
		return err
	}
	a.r.beginHashes(ctx, a.step)
	a.watch = watchdog{limit: a.r.StallAfter, total: a.r.Journal.Plan.Member.DBSize, since: time.Now()}
	err := wait(ctx, func(ctx context.Context) (bool, error) { return a.look(ctx, tell) })
	if back, ok := errors.AsType[takeBackError](err); ok {
		if err := a.takeBack(ctx, tell); err != nil {
			return fmt.Errorf("%w; and it could not be taken back: %w", back.cause, err)
		}
		return back.cause
	}
	if err != nil {
		return err
	}
	return a.r.awaitHashes(ctx)
}

// setGoal notes the leader's commit once; a resumed run keeps it, one that joins anew has none (0).
func (a *syncAction) setGoal(ctx context.Context) error {
	known, err := a.r.Journal.Get("goal:"+a.target.Name, &a.goal)
	if err != nil || known && a.goal != 0 {
		return err
	}
	seen, err := a.r.Cluster.Observe(ctx)
	if err != nil {
		return err
	}
	if seen.Leader == 0 {
		return &ops.HintError{
			Code: CodeNoQuorum, Class: ops.ClassUnreachable, Op: "read the leader's commit index", Err: errors.New("the members agree on no leader"), Hint: "etcdops health",
		}
	}
	a.goal = seen.Commit
	return a.r.Journal.Put("goal:"+a.target.Name, a.goal)
}

// look looks once.
func (a *syncAction) look(ctx context.Context, tell Tell) (bool, error) {
	if err := a.lookAtNode(ctx); err != nil {
		return false, err
	}
	done, err := a.caughtUp(ctx)
	if err != nil {
		return false, err
	}
	if a.follows++; !done {
		a.follows = 0
	}
	switch {
	case a.follows >= steady && a.misplaced(ctx):
		return false, a.unreached()
	case a.follows >= steady:
		return true, nil
	case a.downs.died():
		return false, a.died()
	case a.watch.stalled():
		return false, a.stalled(ctx)
	}
	tell(fmt.Sprintf("%s must apply index %d, the leader's when it was started", a.target.Name, a.goal), a.watch.transfer())
	return false, nil
}

// lookAtNode looks at the machine now and then: its directories grow while a snapshot arrives.
func (a *syncAction) lookAtNode(ctx context.Context) error {
	if time.Since(a.looked) < nodeEvery {
		return nil
	}
	status, err := a.node.Status(ctx)
	if err != nil {
		return err
	}
	a.looked, a.machine = time.Now(), status
	a.downs.saw(status)
	if status.Known {
		a.watch.grew(status.Bytes)
	}
	return nil
}

// downs counts the looks in a row in which no process was there. One look decides nothing: a service manager that starts a
// member again, or a program that is being replaced by another, has none for a moment.
type downs int

// downsToDie are the looks in a row after which a member counts as ended.
const downsToDie = 3

// saw takes in a look.
func (d *downs) saw(s NodeStatus) {
	if *d++; !s.Known || s.Running {
		*d = 0
	}
}

func (d downs) died() bool { return d >= downsToDie }

// misplaced reports whether nothing listens at a new peer URL although the member serves. A small log reaches it all the
// same, through the connections that it opens itself; a snapshot never would.
func (a *syncAction) misplaced(ctx context.Context) bool {
	if slices.Equal(a.target.PeerURLs, a.target.Old.PeerURLs) {
		return false // it was reached there before, perhaps through a network that we are not in
	}
	return slices.ContainsFunc(Ports(ctx, ops.Member{PeerURLs: a.target.PeerURLs}), func(p Port) bool { return p.State.off() })
}

func (a *syncAction) died() error {
	return takeBackError{
		&ops.HintError{
			Code: CodeDied, Op: "fill", Member: a.target.Name, Hint: "mend its cause on the machine of " + a.target.Name,
			Err: fmt.Errorf("it ended; its last words: %s", cmp.Or(strings.Join(lastWords(a.machine.LastLog), " | "), "none")),
		},
	}
}

// unreached says that the others cannot reach the member where it is said to be.
func (a *syncAction) unreached() error {
	if a.target.Manual {
		return nil // a person sees to it
	}
	urls := strings.Join(a.target.PeerURLs, ",")
	return takeBackError{&ops.HintError{
		Code: CodeStalled, Op: "fill", Member: a.target.Name, Hint: "with the right address: --resume --peer-urls URL",
		Err: fmt.Errorf("it serves, but nothing listens at its peer URL %s: the others would never reach it there", urls),
	}}
}

func (a *syncAction) stalled(ctx context.Context) error {
	if a.target.Manual {
		return nil // a person sees to it
	}
	var ports []string
	for _, p := range Ports(ctx, ops.Member{PeerURLs: a.target.PeerURLs}) {
		ports = append(ports, p.URL+" is "+string(p.State))
	}
	hint, disk := "the log of "+a.target.Name+" says whom it cannot reach", ""
	if a.machine.Known && a.machine.Free < a.r.Journal.Plan.Member.DBSize {
		hint = "free space there; set-aside directories: etcdops recover clean"
		disk = fmt.Sprintf("; its disk has %s left for a database of %s", humanize.IBytes(uint64(a.machine.Free)), humanize.IBytes(uint64(a.watch.total)))
	}
	return takeBackError{&ops.HintError{
		Code: CodeStalled, Op: "fill", Member: a.target.Name, Hint: hint,
		Err: fmt.Errorf("no progress for %s%s; its peer URL from here: %s", time.Since(a.watch.since).Round(time.Second), disk, strings.Join(ports, ", ")),
	}}
}

// takeBack undoes the joining: the learner, which never counted for anything, leaves; what it had received is set aside.
// It may be repeated after it was killed anywhere.
func (a *syncAction) takeBack(ctx context.Context, tell Tell) error {
	tell("it is stopped and taken back out of the cluster", nil)
	off := errors.Join(a.node.Mask(ctx), a.node.Stop(ctx))
	if err := a.removeLearner(ctx, tell); err != nil {
		return err
	}
	return errors.Join(off, a.noteTakenBack())
}

// removeLearner removes the new member, which is not a voter.
func (o onTarget) removeLearner(ctx context.Context, tell Tell) error {
	id, err := o.newID()
	if err != nil {
		return err
	}
	err = o.r.lead.change(ctx, "remove learner "+o.target.Name, tell, noVotes, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.MemberRemove(ctx, uint64(id))
		return err
	})
	if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotFound) {
		return o.r.Cluster.Explain(ctx, "remove learner "+o.target.Name+" through", o.r.lead.url, err)
	}
	return nil
}

// noteTakenBack notes that the joining is to be done again, if it is.
func (o onTarget) noteTakenBack() error {
	var attempt int
	if _, err := o.r.Journal.Get("attempt:"+o.target.Name, &attempt); err != nil {
		return err
	}
	var steps []string
	for _, kind := range joinKinds() {
		if step := kind + ":" + o.target.Name; o.r.Journal.Began(step) {
			steps = append(steps, step)
		}
	}
	return errors.Join(
		o.r.Journal.Put("goal:"+o.target.Name, 0),
		o.r.Journal.Put("attempt:"+o.target.Name, attempt+1),
		o.keepAsides(),
		o.r.Journal.Undone("taken back", steps...),
	)
}

// keepAsides makes the next SetAside one of its own, and remembers the earlier ones for `recover list`.
func (o onTarget) keepAsides() error {
	var asides, kept []Aside
	for key, into := range map[string]*[]Aside{"asides:": &asides, "kept:": &kept} {
		if _, err := o.r.Journal.Get(key+o.target.Name, into); err != nil {
			return err
		}
	}
	return o.r.Journal.Put("kept:"+o.target.Name, append(kept, asides...))
}

// watchdog tells progress from none, and how fast it is.
type watchdog struct {
	limit   time.Duration
	total   int64
	since   time.Time // of the last progress
	applied int64
	bytes   int64
	most    int64    // bytes, since the latest beginning that counts
	begins  int      // how often they became fewer: a snapshot that is sent anew
	samples []sample // of the last seconds
}

// maxBegins is how often a snapshot may begin anew and count as progress. On a full disk it does so for ever.
const maxBegins = 3

type sample struct {
	at    time.Time
	bytes int64
}

// rateWindow is the time that a rate is taken over.
const rateWindow = 5 * time.Second

// saw takes in an applied index.
func (w *watchdog) saw(applied int64) {
	if applied > w.applied {
		w.applied, w.since = applied, time.Now()
	}
}

// grew takes in the size of the directories.
func (w *watchdog) grew(bytes int64) {
	now := time.Now()
	if bytes < w.bytes && w.begins < maxBegins {
		w.begins++
		w.most = bytes
	}
	if w.bytes = bytes; bytes > w.most {
		w.most, w.since = bytes, now
	}
	w.samples = append(w.samples, sample{now, bytes})
	for len(w.samples) > 1 && now.Sub(w.samples[0].at) > rateWindow {
		w.samples = w.samples[1:]
	}
}

func (w *watchdog) stalled() bool { return time.Since(w.since) > w.limit }

// transfer tells how far the data have come; nil before anything is known.
func (w *watchdog) transfer() *Transfer {
	if len(w.samples) == 0 {
		return nil
	}
	t := &Transfer{Bytes: w.bytes, Total: w.total}
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	if took := last.at.Sub(first.at).Seconds(); took > 0 && last.bytes > first.bytes {
		t.PerSecond = float64(last.bytes-first.bytes) / took
		if left := t.Total - t.Bytes; left > 0 {
			t.ETASecond = float64(left) / t.PerSecond
		}
	}
	return t
}
