package recovery_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/node/manual"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// planWith collects and plans the recovery of a member through a machine's driver.
func (l *lab) planWith(ctx context.Context, r recovery.Request) (*recovery.Plan, error) {
	cluster, err := ops.Dial(ctx, l.config())
	if err != nil {
		return nil, err
	}
	defer func() { _ = cluster.Close() }()
	facts, err := recovery.CollectMember(ctx, cluster, []recovery.Request{r})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return recovery.PlanMember(facts, recovery.Options{Now: now, Operation: recovery.NewOperation(now), NoBackup: true, Via: []string{"test"}})
}

// TestRefusesWithoutRights: whoever may not change the membership learns that before anything is changed.
func TestRefusesWithoutRights(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3, Auth: &clustertest.Auth{}})
	root := l.Client(t)
	if _, err := root.UserAdd(t.Context(), "reader", "secret"); err != nil {
		t.Fatal(err)
	}
	l.kill(t, "m3")
	o := l.order("m3")
	o.Config.Auth = ops.Auth{User: "reader", Password: "secret"}
	l.refused(t, o, recovery.CodeRights)
	o.Config.Auth = ops.Auth{User: "reader", Password: "wrong"}
	if err := o.run(t.Context(), nil); err == nil {
		t.Error("a wrong password was good enough")
	}
}

// TestRefusesCorruptSurvivor: the new member could be filled with wrong data. The member that has them is not refused.
func TestRefusesCorruptSurvivor(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	l.kill(t, "m3")
	l.alarm(t, "m1", pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
	l.refused(t, l.order("m3"), recovery.CodeAlarm)
	l.alarm(t, "m1", pb.AlarmRequest_DEACTIVATE, pb.AlarmType_CORRUPT)
	l.alarm(t, "m2", pb.AlarmRequest_ACTIVATE, pb.AlarmType_NOSPACE)
	l.refused(t, l.order("m3"), recovery.CodeAlarm)
	l.alarm(t, "m2", pb.AlarmRequest_DEACTIVATE, pb.AlarmType_NOSPACE)

	l.alarmOf(t, 0, pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT) // a leader's, which cannot tell whose data are wrong
	l.refused(t, l.order("m3"), recovery.CodeAlarm)
	l.alarmOf(t, 0, pb.AlarmRequest_DEACTIVATE, pb.AlarmType_CORRUPT)

	l.alarm(t, "m3", pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
	if err := l.recover(t, l.order("m3"), nil); err != nil {
		t.Errorf("the member with the corrupt data itself: %v", err)
	}
	l.whole(t, 3)
	if left := l.observe(t).Alarms; len(left) > 0 {
		t.Errorf("alarms of a member that is gone: %+v", left)
	}
}

// alarm raises or clears an alarm of a member.
func (l *lab) alarm(t *testing.T, name string, action pb.AlarmRequest_AlarmAction, kind pb.AlarmType) {
	t.Helper()
	m, err := l.observe(t).Membership().Find(name)
	if err != nil {
		t.Fatal(err)
	}
	l.alarmOf(t, m.ID, action, kind)
}

// alarmOf is alarm by the member's ID, 0 for none in particular.
func (l *lab) alarmOf(t *testing.T, id ops.MemberID, action pb.AlarmRequest_AlarmAction, kind pb.AlarmType) {
	t.Helper()
	client := pb.NewMaintenanceClient(l.Members[0].Client(t).ActiveConnection())
	if _, err := client.Alarm(t.Context(), &pb.AlarmRequest{Action: action, MemberID: uint64(id), Alarm: kind}); err != nil {
		t.Fatal(err)
	}
	want := action == pb.AlarmRequest_ACTIVATE
	waitFor(t, func() bool {
		status, err := pb.NewMaintenanceClient(l.Members[1].Client(t).ActiveConnection()).Status(t.Context(), &pb.StatusRequest{})
		return err == nil && want == slices.ContainsFunc(status.GetErrors(), func(text string) bool { return strings.Contains(text, kind.String()) })
	})
	waitFor(t, func() bool {
		return want == slices.ContainsFunc(l.observe(t).Alarms, func(a ops.Alarm) bool { return a.Member == id && a.Type == kind.String() })
	})
}

// TestFaultRefusesUnfenced: a machine that nothing reaches from here, and packets that vanish: it may run behind a cut link. The
// operator's word that it is off is taken; that it was really stopped is the plan's next step.
func TestFaultRefusesUnfenced(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	l.Members[2].Pause(t) // it accepts connections and says nothing
	l.settle(t, 2)
	r := recovery.Request{Ref: "m3", Node: manual.New("m3", "nothing reaches it", func(string) {})}
	l.refusedBy(t, recovery.CodeNotFenced, func(ctx context.Context) error {
		_, err := l.planWith(ctx, r)
		return err
	})
	r.Fenced = true
	plan, err := l.planWith(t.Context(), r)
	if err != nil || !slices.ContainsFunc(plan.Notes, func(n string) bool { return strings.Contains(n, "--fenced") }) {
		t.Errorf("with the operator's word: %+v %v", plan, err)
	}
}

// TestFaultWipedWithoutRemove: a directory that was emptied while its member is registered. Where the member runs on it, it is
// refused; where it does not, its ID is removed before anything is started on the directory.
func TestFaultWipedWithoutRemove(t *testing.T) {
	clustertest.Long(t)
	l := newLab(t, clustertest.Options{Size: 3})
	m := l.Members[2]
	wal := filepath.Join(filepath.Dir(m.DataDir), "wal")

	// Somebody puts another directory in the place of the one that the member runs on.
	moved := m.DataDir + ".moved"
	if err := os.Rename(m.DataDir, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(m.DataDir, os.DirFS(moved)); err != nil {
		t.Fatal(err)
	}
	l.refused(t, l.order("m3"), recovery.CodeWiped)

	for _, dir := range []string{m.DataDir, moved, wal} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	l.refused(t, l.order("m3"), recovery.CodeWiped)

	m.Kill(t)
	l.settle(t, 2)
	violated := l.watchInvariant(t, "m3")
	var plan *recovery.Plan
	err := l.recover(t, l.order("m3"), func(run *recovery.MemberRun) { plan = run.Journal.Plan })
	if err != nil {
		t.Fatal(err)
	}
	if v := violated(); v != "" {
		t.Error(v)
	}
	if !slices.ContainsFunc(plan.Notes, func(n string) bool { return strings.Contains(n, "is empty while it is a member") }) {
		t.Errorf("the plan does not tell: %q", plan.Notes)
	}
	l.whole(t, 3)
}

// TestRefusesByFacts: what no machine here can be made to be.
func TestRefusesByFacts(t *testing.T) {
	t.Parallel()
	l := newLab(t, clustertest.Options{Size: 3})
	l.kill(t, "m3")
	cluster, err := ops.Dial(t.Context(), l.config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cluster.Close() }()
	facts, err := recovery.CollectMember(t.Context(), cluster, l.order("m3").requests())
	if err != nil {
		t.Fatal(err)
	}
	plan := func(f recovery.MemberFacts) error {
		_, err := recovery.PlanMember(f, recovery.Options{Now: facts.Observed.TakenAt, NoBackup: true, Via: []string{"test"}})
		return err
	}
	if err := plan(facts); err != nil {
		t.Fatalf("as it is: %v", err)
	}
	for name, c := range map[string]struct {
		code   ops.Code
		change func(*recovery.MemberFacts)
	}{
		"a voter of 3.3, which takes a learner for a voter": {recovery.CodeVersion, func(f *recovery.MemberFacts) { setVersions(f, "3.3.27") }},
		"a target two minor versions above":                 {recovery.CodeVersion, func(f *recovery.MemberFacts) { setVersions(f, "3.5.30") }},
		"a target below":                                    {recovery.CodeVersion, func(f *recovery.MemberFacts) { f.Targets[0].Survey.Version = "3.6.11" }},
		"data of another cluster":                           {recovery.CodeForeign, func(f *recovery.MemberFacts) { f.Targets[0].Status.ClusterID++ }},
		"data of another member":                            {recovery.CodeForeign, func(f *recovery.MemberFacts) { f.Targets[0].Status.MemberID++ }},
		"a look that is too old":                            {recovery.CodeStale, func(f *recovery.MemberFacts) { f.Observed.TakenAt = f.Observed.TakenAt.Add(-time.Minute) }},
		"a database that does not fit":                      {recovery.CodeDiskSmall, func(f *recovery.MemberFacts) { f.DBSize = f.Targets[0].Survey.Dirs[0].Free }},
		"a log that does not fit":                           {recovery.CodeDiskSmall, func(f *recovery.MemberFacts) { f.Targets[0].Survey.Dirs[1].Free = 100 << 20 }},
	} {
		t.Run(name, func(t *testing.T) {
			changed := clone(t, facts)
			c.change(&changed)
			if err := plan(changed); ops.CodeOf(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}

// setVersions lets all servers be of one version.
func setVersions(f *recovery.MemberFacts, version string) {
	for i := range f.Observed.Members {
		f.Observed.Members[i].Version = version
	}
}

// clone copies facts the way that they are stored.
func clone(t *testing.T, facts recovery.MemberFacts) recovery.MemberFacts {
	t.Helper()
	text, err := json.Marshal(facts)
	var out recovery.MemberFacts
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}
