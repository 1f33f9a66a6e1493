package rebuildtest

import (
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestRebuildRefusesWhatItCannotSee: members with authentication do not tell a stranger whether they follow a leader. A
// majority that works is none the less for that: to rebuild beside it would make two clusters of one.
func TestRebuildRefusesWhatItCannotSee(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3, Auth: &clustertest.Auth{}})
	dead := l.Members[0]
	if dead == l.WaitLeader(t, l.Members...) {
		dead = l.Members[1]
	}
	dead.Kill(t)
	o := l.order(t, dead.Name)
	o.Specs = map[string]string{dead.Name: l.specs[dead.Name]} // nothing is known of the others' machines
	o.Members = []recovery.NewMember{{Name: dead.Name}}
	for _, auth := range []ops.Auth{{}, {User: "root", Password: "wrong"}, o.Config.Auth} {
		o.Config.Auth = auth
		plan, _, err := o.plan(t.Context())
		if ops.CodeOf(err) != recovery.CodeQuorumWorks {
			t.Errorf("as %q: %v %+v", auth.User, err, plan)
		}
		if auth.User == "" && err != nil && !strings.Contains(err.Error(), "does not say") {
			t.Errorf("without a user: %v", err)
		}
	}
}

// TestRebuildRefusesStrangers: the same of members whom our certificates do not reach.
func TestRebuildRefusesStrangers(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3, TLS: true})
	dead := l.Members[0]
	if dead == l.WaitLeader(t, l.Members...) {
		dead = l.Members[1]
	}
	dead.Kill(t)
	o := l.order(t, dead.Name)
	o.Specs = map[string]string{dead.Name: l.specs[dead.Name]}
	o.Members = []recovery.NewMember{{Name: dead.Name}}
	for _, tls := range []ops.TLS{{}, {CACert: o.Config.TLS.CACert}, o.Config.TLS} {
		o.Config.TLS = tls
		if plan, _, err := o.plan(t.Context()); ops.CodeOf(err) != recovery.CodeQuorumWorks {
			t.Errorf("with %+v: %v %+v", tls, err, plan)
		}
	}
	o.Config.TLS.CACert += ".missing"
	if plan, _, err := o.plan(t.Context()); err == nil {
		t.Errorf("nobody could be asked, and there is a plan: %+v", plan)
	}
}
