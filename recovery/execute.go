package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// EventSchema names the JSON form of Event.
const EventSchema = "etcdops.event/v1"

// The states of a step, as events tell them.
const (
	StateRunning = "running"
	StateWaiting = "waiting" // for what Text says, since Since
	StateDone    = "done"
	StateFailed  = "failed"
	StateManual  = "manual" // a person is told what to do
)

// Event tells what a step does. It round-trips through JSON.
type Event struct {
	Schema    string    `json:"schema"`
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	Step      string    `json:"step"`
	N         int       `json:"n"`  // number of the step, from 1
	Of        int       `json:"of"` // steps of the plan
	State     string    `json:"state"`
	Text      string    `json:"text"`           // what is done, or waited for
	Since     time.Time `json:"since,omitzero"` // of this wait, or of this step
	Transfer  *Transfer `json:"transfer,omitempty"`
}

// Transfer is how far data on their way have come.
type Transfer struct {
	Bytes     int64   `json:"bytes"`
	Total     int64   `json:"total"`       // 0 when it is not known
	PerSecond float64 `json:"per_second"`  // over the last seconds
	ETASecond float64 `json:"eta_seconds"` // 0 when it is not known
}

// Action carries a step out.
type Action interface {
	// Done looks whether the step's effect is there. It changes nothing.
	Done(ctx context.Context) (bool, error)
	// Do makes it so and returns when it has seen that it is so.
	Do(ctx context.Context, tell Tell) error
}

// Tell is how an action tells what it waits for; transfer may be nil.
type Tell func(waiting string, transfer *Transfer)

// Actions is the way from a step to what does it.
type Actions interface {
	Action(step Step) (Action, error)
}

// Executor carries the steps of a journal's plan out, each by the same rule: a step that is done is passed over; before
// any other acts, its effect is looked for, the guard is asked, and the intent is on disk; after it, the effect is looked
// for again, and recorded. So it may be killed anywhere and run again.
type Executor struct {
	Journal *Journal
	Actions Actions
	// Guard is asked right before each act of a step; its refusal stops the run with nothing begun.
	Guard func(ctx context.Context, step Step) error
	// Events is told what happens; nil is allowed. It may be called by several goroutines, one at a time.
	Events func(Event)
	// Fault is called at each boundary of the journal with its name, such as "before-intent:remove:m3". Tests end the
	// process there; nil everywhere else.
	Fault func(point string)
	// Patience is how long an effect may lag behind its act before the step counts as failed; zero is 15 seconds. A service
	// manager answers before the process is there, a proposal is applied before every member shows it.
	Patience time.Duration

	undoing []Step // carried out instead of the plan's, whatever the journal says of them

	telling sync.Mutex
}

// defaultPatience is longer than any service manager takes to show what it did, and short for a person who waits.
const defaultPatience = 15 * time.Second

// Run carries out all steps that are not done. An error after the first change is of ops.ClassResumable, unless the action
// found something critical: members whose data differ.
func (x *Executor) Run(ctx context.Context) error {
	for i, step := range x.steps() {
		if x.undoing == nil && x.Journal.IsDone(step.ID) {
			continue
		}
		if err := x.step(ctx, i, step); err != nil {
			x.tell(i, step, StateFailed, err.Error(), time.Now(), nil)
			return x.stopped(ctx, step, err)
		}
	}
	return nil
}

func (x *Executor) steps() []Step {
	if x.undoing != nil {
		return x.undoing
	}
	return x.Journal.Plan.Steps
}

// step carries one step out.
func (x *Executor) step(ctx context.Context, i int, step Step) error {
	since := time.Now()
	x.tell(i, step, StateRunning, step.Text, since, nil)
	action, err := x.Actions.Action(step)
	if err != nil {
		return err
	}
	x.fault("before-look:" + step.ID)
	done, err := action.Done(ctx)
	if err != nil {
		return err
	}
	if done {
		return x.done(i, step, since, "found done")
	}
	if x.Guard != nil {
		if err := x.Guard(ctx, step); err != nil {
			return err
		}
	}
	x.fault("before-intent:" + step.ID)
	if err := x.Journal.Intent(step.ID); err != nil {
		return err
	}
	x.fault("before-act:" + step.ID)
	if err := action.Do(ctx, x.teller(i, step)); err != nil {
		return err
	}
	x.fault("after-act:" + step.ID)
	if err := x.effect(ctx, action); err != nil {
		return fmt.Errorf("%s: %w", step.Text, err)
	}
	return x.done(i, step, since, "")
}

// effect looks for what an act did until it is there, as long as patience lasts.
func (x *Executor) effect(ctx context.Context, action Action) error {
	patience := cmp.Or(x.Patience, defaultPatience)
	limited, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it was carried out, but its effect is not to be seen within %v", patience))
	defer cancel()
	return wait(limited, func(context.Context) (bool, error) { return action.Done(ctx) })
}

func (x *Executor) done(i int, step Step, since time.Time, note string) error {
	x.fault("before-done:" + step.ID)
	if err := x.Journal.Done(step.ID, note); err != nil {
		return err
	}
	x.fault("after-done:" + step.ID)
	text := step.Text
	if note != "" {
		text += " (" + note + ")"
	}
	x.tell(i, step, StateDone, text, since, nil)
	return nil
}

// teller keeps the time since when a step waits for the same thing.
func (x *Executor) teller(i int, step Step) Tell {
	var waiting string
	var since time.Time
	return func(text string, transfer *Transfer) {
		if text != waiting || since.IsZero() {
			waiting, since = text, time.Now()
		}
		x.tell(i, step, StateWaiting, text, since, transfer)
	}
}

func (x *Executor) tell(i int, step Step, state, text string, since time.Time, transfer *Transfer) {
	if x.Events == nil {
		return
	}
	x.telling.Lock()
	defer x.telling.Unlock()
	x.Events(Event{
		Schema: EventSchema, Time: time.Now().UTC(), Operation: x.Journal.Plan.Operation, Step: step.ID, N: i + 1,
		Of: len(x.steps()), State: state, Text: text, Since: since.UTC(), Transfer: transfer,
	})
}

func (x *Executor) fault(point string) {
	if x.Fault != nil {
		x.Fault(point)
	}
}

// stopped words the end of a run before its plan's end.
func (x *Executor) stopped(ctx context.Context, step Step, err error) error {
	hint, coded := errors.AsType[*ops.HintError](err)
	changed := x.Journal.Changed()
	switch {
	case !changed && coded:
		return err
	case !changed:
		return &ops.HintError{Class: ops.ClassFailure, Op: step.Text, Err: fmt.Errorf("%w; nothing was changed", err)}
	}
	next := x.Resume()
	if coded && hint.Hint != "" {
		next = hint.Hint + "; then " + next
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	} else if coded && hint.Class == ops.ClassCritical { // data that differ are no pause: scripts must see it by the exit code
		return &ops.HintError{Class: ops.ClassCritical, Op: step.Text, Err: err, Hint: hint.Hint}
	}
	return &ops.HintError{Code: CodeStopped, Class: ops.ClassResumable, Op: "stopped half-way at: " + step.Text, Err: err, Hint: next}
}

// Resume is the command that continues the operation.
func (x *Executor) Resume() string {
	p := x.Journal.Plan
	if x.undoing != nil {
		return "etcdops recover abandon"
	}
	return resumeCommand(p.Kind)
}

// resumeCommand continues an operation of a kind.
func resumeCommand(kind string) string {
	if kind == KindRebuild {
		return "etcdops rebuild-cluster resume"
	}
	return "etcdops recover member --resume"
}
