package recovery_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// TestLongRecoverOldServers recovers a member among servers of 3.4, the oldest that know learners: the same plan, nothing lost.
func TestLongRecoverOldServers(t *testing.T) {
	clustertest.Long(t)
	if _, err := exec.LookPath("/usr/bin/etcd"); err != nil {
		t.Skip("no etcd 3.4 is installed: apt-get install etcd-server")
	}
	l := newLab(t, clustertest.Options{Size: 3, Kind: clustertest.KindEtcd34})
	judge := l.write(t, l.Members[0], l.Members[1])
	old := l.id(t)
	l.kill(t, "m3")
	if err := l.recover(t, l.order("m3"), nil); err != nil {
		t.Fatal(err)
	}
	judge()
	l.whole(t, 3)
	if l.id(t) == old {
		t.Error("it has its old ID")
	}
	if m, ok := l.observe(t).ByID(l.id(t)); !ok || !strings.HasPrefix(m.Version, "3.4.") {
		t.Errorf("the new member runs %+v", m)
	}
}
