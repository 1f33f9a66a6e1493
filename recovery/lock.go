package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/ops"
)

// LockKey is the key that an operation holds in the cluster: two operators on two machines cannot work at once.
const LockKey = "etcdops/operation"

// lockTTL is how long the lock outlives a process that was killed.
const lockTTL = 30 * time.Second

// checkLimit is how long the lock may be asked for: an election lies within it.
const checkLimit = 15 * time.Second

// Holder is the value of LockKey.
type Holder struct {
	Operation string    `json:"operation"`
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Since     time.Time `json:"since"`
}

// ClusterLock is LockKey held under a lease, which is kept alive until Release or the end of the process.
type ClusterLock struct {
	client *clientv3.Client
	lease  clientv3.LeaseID
	stop   context.CancelFunc
	kept   sync.WaitGroup
}

// AcquireLock takes LockKey. A holder with the same operation and host is replaced: the caller holds the lock of this
// machine, so that holder was killed. Any other is an error of ops.ClassRefused.
func AcquireLock(ctx context.Context, client *clientv3.Client, me Holder) (*ClusterLock, error) {
	value, err := json.Marshal(me)
	if err != nil {
		return nil, fmt.Errorf("encode holder: %w", err)
	}
	lease, err := client.Grant(ctx, int64(lockTTL/time.Second))
	if err != nil {
		return nil, fmt.Errorf("grant the lock's lease: %w", err)
	}
	l := &ClusterLock{client: client, lease: lease.ID}
	if err := l.put(ctx, me, string(value)); err != nil {
		l.revoke(ctx)
		return nil, err
	}
	keepCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	alive, err := client.KeepAlive(keepCtx, lease.ID)
	if err != nil {
		stop()
		l.revoke(ctx)
		return nil, fmt.Errorf("keep the lock's lease alive: %w", err)
	}
	l.kept.Go(func() {
		for range alive {
		}
	})
	return l, nil
}

// put writes the key if nobody holds it, or a dead run of the same operation does.
func (l *ClusterLock) put(ctx context.Context, me Holder, value string) error {
	for range 3 { // a holder's lease may end between the two requests
		mine := clientv3.OpPut(LockKey, value, clientv3.WithLease(l.lease))
		got, err := l.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(LockKey), "=", 0)).Then(mine).Else(clientv3.OpGet(LockKey)).Commit()
		if err != nil {
			return fmt.Errorf("take the lock %s: %w", LockKey, err)
		}
		if got.Succeeded {
			return nil
		}
		kvs := got.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 {
			continue
		}
		var held Holder
		if err := json.Unmarshal(kvs[0].Value, &held); err != nil {
			return lockedBy(held, fmt.Errorf("key %s holds something else: %w", LockKey, err))
		}
		if held.Operation != me.Operation || held.Host != me.Host {
			return lockedBy(held, nil)
		}
		got, err = l.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(LockKey), "=", kvs[0].ModRevision)).Then(mine).Commit()
		if err != nil {
			return fmt.Errorf("take the lock %s: %w", LockKey, err)
		}
		if got.Succeeded {
			return nil
		}
	}
	return lockedBy(Holder{}, errors.New("it changes hands all the time"))
}

func lockedBy(h Holder, cause error) error {
	if cause == nil {
		cause = fmt.Errorf("operation %s works on this cluster, from host %s (process %d) since %s", h.Operation, h.Host, h.PID, h.Since.Format(time.RFC3339))
	}
	return &ops.HintError{
		Code: CodeLocked, Class: ops.ClassRefused, Op: "lock the cluster", Err: cause,
		Hint: fmt.Sprintf("wait for its end, or resume it there; a run that was killed frees the lock after %s", lockTTL),
	}
}

// Check proves, by a read that a majority confirms, that the lock is still held.
func (l *ClusterLock) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	got, err := l.client.Get(ctx, LockKey)
	if err != nil {
		return fmt.Errorf("check the lock %s: %w", LockKey, err)
	}
	if len(got.Kvs) == 0 || clientv3.LeaseID(got.Kvs[0].Lease) != l.lease {
		return &ops.HintError{
			Code: CodeLockLost, Class: ops.ClassRefused, Op: "check the lock", Err: errors.New("the lock in the cluster was lost: another run may have it"),
			Hint: "etcdops recover list",
		}
	}
	return nil
}

// Touch writes the key again: a write that a majority acknowledges, and that disturbs nobody.
func (l *ClusterLock) Touch(ctx context.Context, me Holder) error {
	value, err := json.Marshal(me)
	if err != nil {
		return fmt.Errorf("encode holder: %w", err)
	}
	_, err = l.client.Put(ctx, LockKey, string(value), clientv3.WithLease(l.lease))
	return err
}

// Release ends the lease, and the key with it.
func (l *ClusterLock) Release(ctx context.Context) {
	l.stop()
	l.kept.Wait()
	l.revoke(ctx)
}

// revoke ends the lease, best effort: it ends by itself.
func (l *ClusterLock) revoke(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = l.client.Revoke(ctx, l.lease)
}
