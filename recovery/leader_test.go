package recovery

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// TestEveryTryIsProven: the server may put a change off for half a minute. Members die meanwhile, so that the proof which
// the first try stood on is none for the next: each has its own, and none is made while there is none.
func TestEveryTryIsProven(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 1})
	cluster, err := ops.Dial(t.Context(), ops.Config{Endpoints: c.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	var what []string
	answers := []error{rpctypes.ErrMemberLearnerNotReady, rpctypes.ErrUnhealthy, nil}
	proofs := []error{errors.New("a voter is dead"), nil, nil}
	next := func(name string, list *[]error) error {
		what = append(what, name)
		err := (*list)[0]
		*list = (*list)[1:]
		return err
	}
	l := &leader{cluster: cluster, proved: time.Now()}
	err = l.change(clustertest.Context(t, strictLimit), "promote m3", func(string, *Transfer) {},
		func(context.Context) error { return next("prove", &proofs) },
		func(context.Context, *clientv3.Client) error { return next("try", &answers) })
	if want := []string{"try", "prove", "prove", "try", "prove", "try"}; err != nil || !slices.Equal(what, want) {
		t.Errorf("%v %v", what, err)
	}
	// The intent took long to reach the disk: the proof before it is none for the first try either.
	what, answers, proofs = nil, []error{nil}, []error{nil}
	l.proved = time.Now().Add(-ops.ProbeAge)
	err = l.change(t.Context(), "promote m3", func(string, *Transfer) {},
		func(context.Context) error { return next("prove", &proofs) },
		func(context.Context, *clientv3.Client) error { return next("try", &answers) })
	if want := []string{"prove", "try"}; err != nil || !slices.Equal(what, want) {
		t.Errorf("%v %v", what, err)
	}
}
