package v2keys_test

import (
	"testing"
	"time"

	clientv2 "go.etcd.io/etcd/client/v2"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestClient uses upstream's own client of the old API: in-order keys, directories, and a watcher on one member that
// hears of what another one does.
func TestClient(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3, Kind: clustertest.KindServe, Args: []string{"--enable-v2-keys"}})
	ctx := clustertest.Context(t, time.Minute)
	one, other := newClient(t, c.Members[0].ClientURL), newClient(t, c.Members[1].ClientURL)
	made, err := one.Set(ctx, "/jobs", "", &clientv2.SetOptions{Dir: true})
	if err != nil {
		t.Fatal(err)
	}
	watcher := other.Watcher("/jobs", &clientv2.WatcherOptions{AfterIndex: made.Index, Recursive: true})
	var last string
	for range 5 {
		job, err := one.CreateInOrder(ctx, "/jobs", "todo", nil)
		if err != nil {
			t.Fatal(err)
		}
		if job.Node.Key <= last {
			t.Errorf("%s is not behind %s", job.Node.Key, last)
		}
		last = job.Node.Key
		seen, err := watcher.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if seen.Action != "create" || seen.Node.Key != job.Node.Key || seen.Node.ModifiedIndex != job.Node.ModifiedIndex {
			t.Errorf("made %+v, seen %+v", job.Node, seen.Node)
		}
	}
	if _, err := other.Delete(ctx, "/jobs", &clientv2.DeleteOptions{Dir: true}); !isCode(err, clientv2.ErrorCodeDirNotEmpty) {
		t.Errorf("deletion of a directory that is not empty: %v", err)
	}
	if _, err := other.Delete(ctx, last, &clientv2.DeleteOptions{PrevIndex: 1}); !isCode(err, clientv2.ErrorCodeTestFailed) {
		t.Errorf("deletion with a wrong index: %v", err)
	}
	if _, err := other.Delete(ctx, "/jobs", &clientv2.DeleteOptions{Recursive: true}); err != nil {
		t.Error(err)
	}
	gone, err := watcher.Next(ctx)
	if err != nil || gone.Action != "delete" || gone.Node.Key != "/jobs" || !gone.PrevNode.Dir {
		t.Errorf("the watcher saw %+v, %v", gone, err)
	}
}

func isCode(err error, code int) bool {
	fault, ok := err.(clientv2.Error) //nolint:errorlint // the client returns it as it is
	return ok && fault.Code == code
}
