package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	objectCount = 1_000_000
	objectSize  = 1024 // bytes of a value
	txnOps      = 128  // upstream's default for the operations of a transaction
)

// objects returns a member of upstream's datastore that holds a million objects as Kubernetes keeps them (the lab's
// share of them), freshly started on the data. It is made for the first row that asks and serves all others.
func (l *lab) objects(ctx context.Context) (*member, error) {
	if l.million != nil {
		return l.million, nil
	}
	m, err := l.filled(ctx, sideEtcd)
	if err != nil {
		return nil, err
	}
	if err := m.startReady(ctx, largeQuota...); err != nil {
		return nil, err
	}
	l.million = m
	return m, nil
}

// largeQuota lets a member hold a million objects.
var largeQuota = []string{"--quota-backend-bytes", "8589934592"} //nolint:gochecknoglobals // a constant

// filled returns a member of a side's datastore that holds the objects and does not run.
func (l *lab) filled(ctx context.Context, side string) (*member, error) {
	c, err := l.newCluster(ctx, side, 1)
	if err != nil {
		return nil, err
	}
	l.defers(c.stop)
	m, n := c.members[0], l.scaled(objectCount)
	fmt.Fprintln(l.log, "write", n, "objects")
	// Frequent snapshots and a short tail: else the restart replays all the writes and keeps them in memory.
	if err := m.startReady(ctx, slices.Concat(largeQuota, []string{"--snapshot-count", "100", "--snapshot-catchup-entries", "10"})...); err != nil {
		return nil, err
	}
	if err := fill(ctx, m.client, n); err != nil {
		return nil, err
	}
	return m, m.end()
}

// fill writes objects 0 to n-1 in transactions, some at a time.
func fill(ctx context.Context, endpoint string, n int) error {
	client, err := connect(endpoint)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // every answer has been read
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				end := int(next.Add(txnOps))
				if end-txnOps >= n {
					return
				}
				var puts []clientv3.Op
				for i := end - txnOps; i < min(end, n); i++ {
					puts = append(puts, clientv3.OpPut(objectKey(i), objectValue(i)))
				}
				if _, err := client.Txn(ctx).Then(puts...).Commit(); err != nil {
					cancel(fmt.Errorf("write objects: %w", err))
					return
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// objectKey names object i as Kubernetes would: kind, namespace, name.
func objectKey(i int) string {
	return fmt.Sprintf("/registry/pods/ns-%d/name-%d-%s", i%100, i, identifier(uint64(i), 5))
}

// objectValue is object i: JSON of objectSize bytes, of which a part differs from object to object as much as a real
// one's would (zstd makes the set about six times smaller).
func objectValue(i int) string {
	id := uint64(i)
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"name-%d-%s","namespace":"ns-%d","uid":"%s",`+
		`"resourceVersion":"%d","generation":1,"creationTimestamp":"2026-03-%02dT%02d:%02d:%02dZ","labels":{"app":"app-%d",`+
		`"app.kubernetes.io/managed-by":"Helm","pod-template-hash":"%s"},"ownerReferences":[{"apiVersion":"apps/v1",`+
		`"kind":"ReplicaSet","name":"app-%d","controller":true,"blockOwnerDeletion":true}]},"spec":{"containers":[{"name":"main",`+
		`"image":"registry.example.com/team/app-%d:1.%d","ports":[{"containerPort":8080,"protocol":"TCP"}],"resources":`+
		`{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"imagePullPolicy":"IfNotPresent"}],`+
		`"restartPolicy":"Always","nodeName":"node-%d","serviceAccountName":"default"},"status":{"phase":"Running","podIP":"10.%d.%d.%d",`+
		`"qosClass":"Burstable","conditions":[{"type":"Ready","status":"True"},{"type":"Initialized","status":"True"}]},"padding":"`,
		i, identifier(id, 5), i%100, identifier(id+1<<32, 32), i+1000, i%28+1, i%24, i%60, i/60%60, i%500,
		identifier(uint64(i%500), 10), i%500, i%500, i%30, i%200, i>>16&255, i>>8&255, i&255)
	return text + strings.Repeat("x", objectSize-len(text)-2) + `"}`
}

// identifier returns n characters that look random and depend on the seed alone.
func identifier(seed uint64, n int) string {
	random := rand.New(rand.NewPCG(seed, seed)) // gives the same on every machine
	text := ""
	for len(text) < n {
		text += strconv.FormatUint(random.Uint64(), 36)
	}
	return text[:n]
}
