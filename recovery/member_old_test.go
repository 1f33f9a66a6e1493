package recovery_test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/node/process"
	"github.com/etcdops/etcdops/recovery"
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

// TestLongRecoverMixedServers recovers members of a cluster half-way between 3.4 and 3.5, which works as 3.4: the one of 3.5, then
// one of 3.4. Servers of 3.4 know learners, so that the plan is the usual one. Keys were deleted and compacted before, which
// servers of both must hash alike to be called equal. A program of 3.6 does not fit and is refused, with nothing changed.
func TestLongRecoverMixedServers(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Kinds: []clustertest.Kind{clustertest.KindEtcd34, clustertest.KindEtcd34, clustertest.KindEtcd35}})
	l.worksAs(t, "3.4.0")
	l.compacted(t)
	judge := l.write(t, l.Members[0])
	l.kill(t, "m3")
	l.otherProgram(t, "m3", clustertest.KindEtcd36)
	l.refused(t, l.order("m3"), recovery.CodeVersion)
	fixture.WriteSpec(t, l.specs["m3"], l.Members[2])
	for _, c := range []struct{ name, version string }{{"m3", "3.5."}, {"m2", "3.4."}} {
		l.kill(t, c.name)
		if err := l.recover(t, l.order(c.name), nil); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		l.whole(t, 3)
		seen := l.observe(t)
		m, err := seen.Membership().Find(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if state, _ := seen.ByID(m.ID); !strings.HasPrefix(state.Version, c.version) {
			t.Errorf("%s runs %q, want %s", c.name, state.Version, c.version)
		}
		l.worksAs(t, "3.4.0")
	}
	judge()
}

// worksAs wants the cluster to work as servers of this version.
func (l *lab) worksAs(t *testing.T, version string) {
	t.Helper()
	waitFor(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.Members[0].ClientURL+"/version", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it is read
		return err == nil && strings.Contains(string(body), fmt.Sprintf("%q:%q", "etcdcluster", version))
	})
}

// compacted leaves keys behind that were changed and deleted, and compacted in between.
func (l *lab) compacted(t *testing.T) {
	t.Helper()
	client := l.Client(t)
	ctx := clustertest.Context(t, time.Minute)
	var revision int64
	for round := range 3 {
		for i := range 50 {
			put, err := client.Put(ctx, fmt.Sprintf("old/%d", i), strings.Repeat("v", round+1))
			if err != nil {
				t.Fatal(err)
			}
			if revision = put.Header.Revision; i%3 == round {
				if _, err := client.Delete(ctx, fmt.Sprintf("old/%d", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if _, err := client.Compact(ctx, revision-20, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
}

// otherProgram has the member's machine start a server of another kind from now on.
func (l *lab) otherProgram(t *testing.T, name string, kind clustertest.Kind) {
	t.Helper()
	other, _ := clustertest.NewUnstarted(t, clustertest.Options{Kind: kind}).Members[0].Spec()
	m := l.Member(t, name)
	command, env := m.Spec()
	text, err := yaml.Marshal(process.Spec{Command: slices.Concat(other[:1], command[1:]), Env: env, Log: m.LogFile})
	if err == nil {
		err = recovery.WriteFile(l.specs[name], text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
