// Package daemon takes backups when they are due, on whichever of several processes leads. It knows neither how a backup is
// taken nor how the leader is found: its callers say.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/elect"
	"github.com/etcdops/etcdops/backup/schedule"
	"github.com/etcdops/etcdops/ops"
)

// Options say what a daemon does.
type Options struct {
	Cron, Zone string        // when; see schedule.Parse
	Jitter     time.Duration // longest delay after a slot
	Webhook    string        // URL that failures are posted to; empty for none. It may hold a secret: nothing names it

	Cluster func(ctx context.Context) (ops.ClusterID, error)                 // which cluster it is
	List    func(ctx context.Context) ([]backup.Entry, error)                // what the repository has
	Take    func(ctx context.Context, order Order) (*backup.Manifest, error) // takes a backup
	Notify  func(Event)                                                      // told what happens

	// Yield says whether another candidate is to take a backup, right before it is taken, or after it failed here, with the
	// reason. The leadership is then given up. Nil yields never.
	Yield func(ctx context.Context, order Order, failed error) bool
}

// Order is what a backup is taken for.
type Order struct {
	Fence int64     // token of the leadership
	Slot  time.Time // for backup.CreateOptions
}

// Event is something that happened: a backup, or a failure.
type Event struct {
	Time     time.Time
	Manifest *backup.Manifest // that was taken
	Missed   int              // slots that it stands for beyond its own
	Err      error            // that no backup was taken; nil where one was
	Taken    bool             // Err says that the slot has its backup already: that is no failure
}

// Stats are a daemon's numbers since it began.
type Stats struct {
	Leading   bool
	Succeeded time.Time // when the newest verified backup was taken; zero for never or not known
	Drilled   time.Time // when a backup was last restored for a test; zero for never or not known
	Taken     int
	Failed    int
	Missed    int // slots that a later backup made up for
	Overlaps  int // slots that somebody else was at
}

// Daemon takes backups. It is safe for concurrent use.
type Daemon struct {
	o Options

	// When to try again after failures; they outlive a leadership that was given up. Lead alone uses them.
	retry     time.Duration
	notBefore time.Time

	// The slot that somebody else has or is about to have, and when to look at it again. Other slots do not wait for it.
	left      time.Time
	leftUntil time.Time

	mu    sync.Mutex
	stats Stats
}

// New checks the options.
func New(o Options) (*Daemon, error) {
	if _, err := schedule.Parse(o.Cron, o.Zone, o.Jitter, ""); err != nil {
		return nil, err
	}
	if o.Yield == nil {
		o.Yield = func(context.Context, Order, error) bool { return false }
	}
	return &Daemon{o: o, retry: firstRetry}, nil
}

// Stats are the numbers as they are now.
func (d *Daemon) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

func (d *Daemon) set(f func(s *Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.stats)
}

// Waits of a daemon.
const (
	look         = 30 * time.Second // the longest sleep: clocks are set, and others take backups
	firstRetry   = time.Minute
	longestRetry = time.Hour
)

// Lead takes backups until ctx ends or the leadership is given up; it is what the leader does (elect.Lead). Its calls follow each
// other.
func (d *Daemon) Lead(ctx context.Context, token int64) error {
	d.set(func(s *Stats) { s.Leading = true })
	defer d.set(func(s *Stats) { s.Leading = false })
	id, err := d.o.Cluster(ctx)
	if err != nil {
		return errors.Join(elect.ErrLost, err)
	}
	plan, err := schedule.Parse(d.o.Cron, d.o.Zone, d.o.Jitter, id.String())
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		now := time.Now()
		newest, err := d.newest(ctx, id, now)
		due, missed := plan.Due(now, newest)
		order := Order{Fence: token, Slot: plan.Slot(now, newest)}
		switch {
		case now.Before(d.notBefore):
		case err != nil:
			d.fail(ctx, err)
			d.postpone()
		case due && (!order.Slot.Equal(d.left) || !now.Before(d.leftUntil)):
			done, err := d.attend(ctx, order, missed)
			if err != nil {
				return err
			}
			if done {
				continue
			}
		}
		d.sleep(ctx, plan)
	}
	return nil
}

// attend sees to a slot that is due. done means that it has its backup, or that somebody else is at it: the next one may be due
// already. The error is that the leadership is given up.
func (d *Daemon) attend(ctx context.Context, order Order, missed int) (done bool, err error) {
	if d.o.Yield(ctx, order, nil) {
		return false, elect.ErrYielded
	}
	switch err := d.take(ctx, order, missed); {
	case err == nil:
		d.retry, d.notBefore = firstRetry, time.Time{}
		return true, nil
	case ops.CodeOf(err) == backup.CodeSlotTaken:
		d.retry, d.left, d.leftUntil = firstRetry, order.Slot, time.Now().Add(firstRetry)
		return true, nil
	default:
		d.postpone()
		if d.o.Yield(ctx, order, err) {
			return false, elect.ErrYielded
		}
		return false, nil
	}
}

// postpone has the next try wait, ever longer.
func (d *Daemon) postpone() {
	d.notBefore, d.retry = time.Now().Add(d.retry), min(2*d.retry, longestRetry)
}

// sleep waits for the next slot or the next try, or for a while where those are far.
func (d *Daemon) sleep(ctx context.Context, plan *schedule.Schedule) {
	wait, now := look, time.Now()
	for _, at := range []time.Time{plan.Next(now), d.notBefore, d.leftUntil} {
		if until := at.Sub(now); until > 0 {
			wait = min(wait, until)
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// newest is when the newest good backup of the cluster was taken. One of the future does not count: it is of a machine whose clock
// was ahead, and no slot would be due until then.
func (d *Daemon) newest(ctx context.Context, id ops.ClusterID, now time.Time) (time.Time, error) {
	list, err := d.o.List(ctx)
	var newest, drilled time.Time
	for _, e := range list {
		if e.Manifest == nil || e.Manifest.ClusterID != id || e.Level() < backup.LevelData {
			continue
		}
		if e.Manifest.TakenAt.After(newest) && !e.Future(now) {
			newest = e.Manifest.TakenAt
		}
		if e.Drill != nil && e.Drill.At.After(drilled) {
			drilled = e.Drill.At
		}
	}
	if err == nil {
		d.set(func(s *Stats) { s.Succeeded, s.Drilled = newest, drilled })
	}
	return newest, err
}

// take takes one backup. Whatever it does wrong must not end the process: it may be a datastore's.
func (d *Daemon) take(ctx context.Context, order Order, missed int) (err error) {
	var m *backup.Manifest
	func() {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("a defect of the program: %v", r)
			}
		}()
		m, err = d.o.Take(ctx, order)
	}()
	switch code := ops.CodeOf(err); {
	case err == nil:
		d.set(func(s *Stats) { s.Taken++; s.Missed += missed; s.Succeeded = m.TakenAt })
		d.o.Notify(Event{Time: time.Now().UTC(), Manifest: m, Missed: missed})
	case code == backup.CodeSlotTaken:
		d.set(func(s *Stats) { s.Overlaps++ })
		d.o.Notify(Event{Time: time.Now().UTC(), Err: err, Taken: true})
	default:
		if code == backup.CodeBusy {
			d.set(func(s *Stats) { s.Overlaps++ })
		}
		d.fail(ctx, err)
	}
	return err
}

// fail tells of a backup that could not be taken.
func (d *Daemon) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // told to stop, or no leader any more
	}
	d.set(func(s *Stats) { s.Failed++ })
	d.o.Notify(Event{Time: time.Now().UTC(), Err: err})
	if d.o.Webhook == "" {
		return
	}
	doc := Failure{Schema: FailureSchema, Time: time.Now().UTC(), Code: string(ops.CodeOf(err)), Error: err.Error(), Newest: d.Stats().Succeeded}
	if err := post(ctx, d.o.Webhook, doc); err != nil {
		d.o.Notify(Event{Time: time.Now().UTC(), Err: fmt.Errorf("the webhook could not be told: %w", err)})
	}
}
