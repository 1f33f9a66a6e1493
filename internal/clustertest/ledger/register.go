package ledger

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Kind is what an operation does to its register.
type Kind string

// The kinds of operations.
const (
	Read  Kind = "read"
	Store Kind = "store"
	Swap  Kind = "swap" // compare and swap, in one transaction
)

// Pending is the return time of an operation whose outcome is unknown: it may take effect at any time after its call.
const Pending = math.MaxInt64

// Operation is one operation on a register, which is one key that begins without a value ("").
type Operation struct {
	Worker int
	Kind   Kind
	Key    string
	Old    string // Swap: the value that must be there
	Value  string // Store, Swap: the new value
	Call   int64  // nanoseconds since the start of the history
	Return int64  // likewise; Pending if the outcome is unknown

	Found   string // Read: the value that was there
	Swapped bool   // Swap: the old value was there
}

// String tells the operation for people.
func (o Operation) String() string {
	what := ""
	switch o.Kind {
	case Read:
		what = fmt.Sprintf("read -> %q", o.Found)
	case Store:
		what = fmt.Sprintf("store %q", o.Value)
	case Swap:
		what = fmt.Sprintf("swap %q for %q -> %v", o.Old, o.Value, o.Swapped)
	}
	until := "unknown"
	if o.Return != Pending {
		until = time.Duration(o.Return).String()
	}
	return fmt.Sprintf("%s..%s worker %d: %s", time.Duration(o.Call), until, o.Worker, what)
}

// operationsPerKey is how many operations the workers make on a register before they go on to the next one. Unknown
// operations stay possible for ever; a new register leaves them behind and keeps the judge's work small.
const operationsPerKey = 120

// Exercise reads, stores and swaps through randomly chosen members until ctx ends, and returns the history. Operations
// that surely did nothing are left out.
func Exercise(ctx context.Context, targets []Target, opts Options) []Operation {
	opts = opts.withDefaults()
	e := &exercise{targets: targets, opts: opts, start: time.Now()}
	var running sync.WaitGroup
	for worker := range opts.Workers {
		running.Go(func() {
			e.work(ctx, worker, rand.New(rand.NewPCG(opts.Seed, uint64(worker))))
		})
	}
	running.Wait()
	return e.history
}

// exercise is what the workers of one Exercise share.
type exercise struct {
	targets []Target
	opts    Options
	start   time.Time

	mu      sync.Mutex
	issued  int
	history []Operation
}

// next is the number of the next operation; the register follows from it.
func (e *exercise) next() (n int, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n = e.issued
	e.issued++
	// Two registers at a time, so that operations of different ones meet too.
	return n, e.opts.Prefix + strconv.Itoa(n/(2*operationsPerKey)*2+n%2)
}

func (e *exercise) work(ctx context.Context, worker int, random *rand.Rand) {
	last := map[string]string{} // the newest value that this worker knows of each register
	for ctx.Err() == nil {
		n, key := e.next()
		o := Operation{Worker: worker, Key: key, Value: strconv.Itoa(n)}
		switch p := random.IntN(10); {
		case p < 5:
			o.Kind, o.Value = Read, ""
		case p < 8:
			o.Kind = Store
		default:
			o.Kind, o.Old = Swap, last[key]
		}
		e.do(ctx, &o, e.targets[random.IntN(len(e.targets))].Client, last)
	}
}

// do makes one operation and adds it to the history.
func (e *exercise) do(ctx context.Context, o *Operation, client *clientv3.Client, last map[string]string) {
	requestCtx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	o.Call = int64(time.Since(e.start))
	var reading []clientv3.OpOption
	if e.opts.Serializable {
		reading = append(reading, clientv3.WithSerializable())
	}
	err := o.send(requestCtx, client, reading...)
	o.Return = int64(time.Since(e.start))
	switch outcome := outcomeOf(err); {
	case outcome == Failed, outcome == Unknown && o.Kind == Read:
		pause(ctx)
		return
	case outcome == Unknown:
		o.Return = Pending
		pause(ctx)
	case o.Kind == Read:
		last[o.Key] = o.Found
	case o.Kind == Store || o.Swapped:
		last[o.Key] = o.Value
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.history = append(e.history, *o)
}

// send makes the operation's request and fills in the answer.
func (o *Operation) send(ctx context.Context, client *clientv3.Client, reading ...clientv3.OpOption) error {
	switch o.Kind {
	case Read:
		got, err := client.Get(ctx, o.Key, reading...)
		if err == nil && len(got.Kvs) > 0 {
			o.Found = string(got.Kvs[0].Value)
		}
		return err
	case Store:
		_, err := client.Put(ctx, o.Key, o.Value)
		return err
	case Swap:
		condition := clientv3.Compare(clientv3.Value(o.Key), "=", o.Old)
		if o.Old == "" {
			condition = clientv3.Compare(clientv3.CreateRevision(o.Key), "=", 0)
		}
		answer, err := client.Txn(ctx).If(condition).Then(clientv3.OpPut(o.Key, o.Value)).Commit()
		if err == nil {
			o.Swapped = answer.Succeeded
		}
		return err
	}
	return fmt.Errorf("unknown kind of operation %q", o.Kind)
}
