package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errSilence ends a request that brings no data.
var errSilence = errors.New("no data came")

// scanRetries is how often in a row a scan may fail without a new key before it is given up; with the pauses between,
// about 1.5 s.
const scanRetries = 5

// adapt changes the way of reading where err asks for it. progress: keys have come since the last change.
func (s *Scan) adapt(err error, progress bool) bool {
	switch code := status.Code(err); {
	case code == codes.Unimplemented && !s.paged:
		s.paged = true
		return true
	case code == codes.ResourceExhausted && strings.Contains(err.Error(), "received message larger than max"):
		if s.paged {
			return s.page.tooLarge()
		}
		if progress { // a new stream starts with ten keys a message
			return true
		}
		grown := min(8*s.message, s.maxRecv)
		ok := grown > s.message
		s.message = grown
		return ok
	}
	return false
}

// passes reports whether err may be gone at the next try. Everything read is at one revision, so trying again behind
// the last key cannot mix two states.
func (s *Scan) passes(err error) bool {
	if errors.Is(err, errSilence) {
		return false
	}
	return status.Code(err) == codes.Unavailable || s.cluster.token.stale(err) || IsLearnerRefusal(err) && len(s.cluster.cfg.Endpoints) > 1
}

// IsLearnerRefusal reports whether a member refused a request because it is a learner; another member may answer it.
// The text is compared because the status code changed between 3.6 and 3.7.
func IsLearnerRefusal(err error) bool {
	return err != nil && strings.Contains(err.Error(), rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner))
}

// pause waits before try n+1; false: no more tries, or ctx has ended.
func pause(ctx context.Context, n int) bool {
	if n > scanRetries {
		return false
	}
	timer := time.NewTimer(50 * time.Millisecond << (n - 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// explain makes the error that the consumer gets.
func (s *Scan) explain(ctx context.Context, err error) error {
	if isCanceled(ctx.Err()) {
		return &HintError{Class: ClassInterrupted, Op: "read keys", Err: s.incomplete(context.Cause(ctx))}
	}
	known := rpctypes.Error(err)
	switch {
	case errors.Is(known, rpctypes.ErrCompacted):
		return s.compacted()
	case errors.Is(known, rpctypes.ErrFutureRev) && s.seen == 0:
		return &HintError{
			Code: CodeFutureRevision, Class: ClassFailure, Op: "read keys",
			Err: fmt.Errorf("revision %d is in the future: nothing was written with it yet", s.opts.Revision), Hint: "read the newest: leave --rev out",
		}
	case errors.Is(err, errSilence):
		err = &HintError{
			Code: CodeSlow, Class: ClassUnreachable, Op: "read keys", Hint: "etcdops health; a longer limit: --command-timeout 30s",
			Err: fmt.Errorf("no data came for %s: the cluster has no leader, or the member is overloaded", s.silence),
		}
	default:
		err = s.cluster.Explain(ctx, "read keys", "", err)
	}
	if s.seen == 0 {
		return err
	}
	broken := &HintError{Code: CodeScanBroken, Class: ClassUnreachable, Op: "read keys", Err: s.incomplete(err), Hint: "etcdops health"}
	if hint, ok := errors.AsType[*HintError](err); ok {
		broken.Class, broken.Hint = hint.Class, hint.Hint
	}
	return broken
}

// compacted tells of a revision that the server has no longer: from the start, or since.
func (s *Scan) compacted() error {
	e := &HintError{Code: CodeCompacted, Class: ClassFailure, Op: "read keys"}
	if s.seen == 0 {
		e.Err = fmt.Errorf("revision %d was compacted away", s.opts.Revision)
		e.Hint = "read a newer one, or the newest: leave --rev out"
		return e
	}
	e.Err = s.incomplete(fmt.Errorf("revision %d was compacted away meanwhile", s.revision))
	e.Hint = "run it again; a narrower prefix or --keys-only takes less time"
	return e
}

func (s *Scan) incomplete(cause error) error {
	return fmt.Errorf("incomplete, it broke off after %d keys: %w", s.seen, cause)
}

// watchdog cancels a request after a time of silence.
type watchdog struct {
	limit time.Duration
	timer *time.Timer
}

// newWatchdog makes a watchdog that is not running yet.
func newWatchdog(limit time.Duration, cancel context.CancelCauseFunc) *watchdog {
	timer := time.AfterFunc(limit, func() { cancel(errSilence) })
	timer.Stop()
	return &watchdog{limit: limit, timer: timer}
}

func (w *watchdog) start() { w.timer.Reset(w.limit) }
func (w *watchdog) stop()  { w.timer.Stop() }

// causeOfEnd prefers the reason that ctx was given up for to err, which only says that it was.
func causeOfEnd(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilence) {
		return errSilence
	}
	return err
}
