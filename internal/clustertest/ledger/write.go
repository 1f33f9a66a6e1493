package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Target is one member to write through.
type Target struct {
	Name   string
	Client *clientv3.Client // of this member alone
}

// Options says how a workload runs. Zero values take the defaults beside them.
type Options struct {
	Seed    uint64        // of all random choices
	Prefix  string        // of all keys; default "ledger/"
	Workers int           // at once; default 8
	Timeout time.Duration // of one request; default 2 s
	Writes  int           // of Write: stop after that many of all workers; default: when the context ends
	Size    int           // of Write: bytes of a value, at least; default 64

	// Serializable lets Exercise read without the quorum. Such a history is not linearizable once a member lags: it is
	// for experiments that must fail.
	Serializable bool
}

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = "ledger/"
	}
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Size == 0 {
		o.Size = 64
	}
	return o
}

// Write writes unique keys through randomly chosen members until ctx ends, or Options.Writes are made, and keeps the
// ledger. An error is the ledger's: then the run proves nothing.
func Write(ctx context.Context, l *Ledger, targets []Target, opts Options) error {
	opts = opts.withDefaults()
	errs := make([]error, opts.Workers)
	var running sync.WaitGroup
	for worker := range opts.Workers {
		running.Go(func() {
			w := writer{
				ledger: l, targets: targets, opts: opts,
				random: rand.New(rand.NewPCG(opts.Seed, uint64(worker))),
				prefix: fmt.Sprintf("%s%d/", opts.Prefix, worker),
			}
			writes := -1
			if opts.Writes > 0 {
				writes = (opts.Writes + worker) / opts.Workers
			}
			errs[worker] = w.run(ctx, writes)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// writer is one worker of Write.
type writer struct {
	ledger  *Ledger
	targets []Target
	opts    Options
	random  *rand.Rand
	prefix  string
}

// run makes that many writes, or, when writes is negative, as many as it can.
func (w *writer) run(ctx context.Context, writes int) error {
	for n := 0; n != writes && ctx.Err() == nil; n++ {
		e := Entry{Key: fmt.Sprintf("%s%08d", w.prefix, n), Value: w.value(n)}
		if err := w.ledger.Intend(e.Key, e.Value); err != nil {
			return err
		}
		w.put(ctx, &e)
		if err := w.ledger.Conclude(e); err != nil {
			return err
		}
		if e.Outcome != Acknowledged {
			pause(ctx)
		}
	}
	return nil
}

// pause lets a worker whose request failed wait, so that a dead member is not asked thousands of times.
func pause(ctx context.Context) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// value is a value that no other write has.
func (w *writer) value(n int) string {
	unique := fmt.Sprintf("%s%d/%x/", w.prefix, n, w.random.Uint64())
	return unique + strings.Repeat("v", max(0, w.opts.Size-len(unique)))
}

// put sends one write and fills in what became of it.
func (w *writer) put(ctx context.Context, e *Entry) {
	target := w.targets[w.random.IntN(len(w.targets))]
	ctx, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	answer, err := target.Client.Put(ctx, e.Key, e.Value)
	e.Member, e.Outcome = target.Name, outcomeOf(err)
	if err != nil {
		e.Error = err.Error()
		return
	}
	e.Revision = answer.Header.Revision
}

// outcomeOf tells what an error says of a write. Only a refusal before the write was proposed is a sure failure. Lack of
// space is none: a member whose quota is passed by the write itself applies it and then answers so.
func outcomeOf(err error) Outcome {
	if err == nil {
		return Acknowledged
	}
	for _, refusal := range []error{
		rpctypes.ErrTooManyRequests, rpctypes.ErrRequestTooLarge, rpctypes.ErrEmptyKey,
		rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner),
		rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken,
	} {
		if errors.Is(err, refusal) {
			return Failed
		}
	}
	return Unknown
}
