package recovery_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// TestRemovedByHand: somebody removes the new member with etcdctl while the operation is stopped, before it was started. To go on
// adds it anew.
func TestRemovedByHand(t *testing.T) {
	l := newLab(t, clustertest.Options{Size: 3})
	judge := l.write(t, l.Members[0], l.Members[1])
	l.removedByHand(t, "after-done:add:m3")
	judge()
}

// TestLongRemovedByHand is the same with data of the removed ID in the directory of the new member: while it is filled, and once
// it votes. Then the operation is given up instead.
func TestLongRemovedByHand(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	judge := l.write(t, l.Members[0], l.Members[1])
	for _, at := range []string{"after-done:start:m3", "before-act:sync:m3", "after-done:sync:m3", "after-done:promote:m3"} {
		l.removedByHand(t, at)
		if t.Failed() {
			return
		}
	}
	old := l.id(t)
	l.stopAndRemove(t, "after-done:add:m3")
	if _, err := l.operate(t, order{Config: l.config(), State: l.state.Path, Specs: l.specs, Abandon: true}); err != nil {
		t.Fatal(err)
	}
	l.left(t, old)
	l.ended(t, "abandoned")
	l.rejoin(t)
	judge()
}

// removedByHand goes on with an operation whose new member was removed, and wants it whole under a third ID.
func (l *lab) removedByHand(t *testing.T, killAt string) {
	t.Helper()
	t.Log(killAt)
	removed := l.stopAndRemove(t, killAt)
	if err := l.recover(t, l.order(), nil); err != nil {
		t.Fatalf("gone on after %s: %v", killAt, err)
	}
	l.settle(t, 3)
	l.whole(t, 3)
	if l.id(t) == removed {
		t.Error("the removed ID is there")
	}
	l.ended(t, "done")
}

// stopAndRemove kills an operator at a boundary, removes m3's new ID, and returns it.
func (l *lab) stopAndRemove(t *testing.T, killAt string) ops.MemberID {
	t.Helper()
	o := l.order("m3")
	o.KillAt = killAt
	if _, err := l.operate(t, o); !errors.Is(err, errKilled) {
		t.Fatalf("killed at %s: %v", killAt, err)
	}
	client := l.Members[0].Client(t)
	ctx := clustertest.Context(t, time.Minute)
	list, err := client.MemberList(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Members {
		if !slices.Contains(m.PeerURLs, l.Members[2].PeerURL) {
			continue
		}
		waitFor(t, func() bool { // the server wants its members connected for 5 s before it removes a voter
			_, err := client.MemberRemove(ctx, m.ID)
			if err != nil && !errors.Is(err, rpctypes.ErrUnhealthy) {
				t.Fatal(err)
			}
			return err == nil
		})
		return ops.MemberID(m.ID)
	}
	t.Fatal("m3 is no member")
	return 0
}
