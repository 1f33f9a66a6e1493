package ops_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// TestMembershipAndStatuses reads both of a real cluster that has lost a member.
func TestMembershipAndStatuses(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{Size: 3})
	c.Members[1].Kill(t)
	cfg := clientOf(c)
	cfg.CommandTimeout = 20 * time.Second // of a busy machine
	cluster := dial(t, cfg)
	ctx := clustertest.Context(t, limit)
	list, err := cluster.Membership(ctx)
	if err != nil {
		t.Fatalf("list members: %v", err)
	}
	if len(list.Voters()) != 3 || len(list.Learners()) != 0 {
		t.Errorf("%d voters, %d learners", len(list.Voters()), len(list.Learners()))
	}
	replies := cluster.Statuses(ctx)
	for i, m := range c.Members {
		found, err := list.Find(m.Name)
		if err != nil {
			t.Fatal(err)
		}
		r := replies[i]
		switch {
		case r.Endpoint != m.ClientURL:
			t.Errorf("reply %d is of %s, not of %s", i, r.Endpoint, m.ClientURL)
		case i == 1:
			if ops.CodeOf(r.Err) != ops.CodeRefused {
				t.Errorf("the dead member: %v", r.Err)
			}
		case r.Err != nil || r.Status.MemberID != found.ID || r.Status.ClusterID != list.ClusterID || r.Status.DBSize == 0:
			t.Errorf("status of %s: %+v, %v", m.Name, r.Status, r.Err)
		}
		conn, err := cluster.Conn(ctx, m.ClientURL)
		if i == 1 {
			continue
		}
		if err != nil {
			t.Fatalf("connect to %s: %v", m.Name, err)
		}
		own, err := ops.ReadMembership(ctx, conn)
		if err != nil {
			t.Fatalf("list members of %s: %v", m.Name, err)
		}
		if !own.Equal(list) {
			t.Errorf("%s knows another list: %s", m.Name, cmp.Diff(list, own))
		}
	}
}

func TestFindMember(t *testing.T) {
	t.Parallel()
	list := ops.Membership{Members: []ops.Member{
		{ID: 0xa1, Name: "m1", ClientURLs: []string{"http://m1:2379"}, PeerURLs: []string{"http://m1:2380"}},
		{ID: 0xa2, Name: "twin"},
		{ID: 0xa3, Name: "twin"},
		{ID: 0xa4, PeerURLs: []string{"http://m4:2380"}},
	}}
	for ref, want := range map[string]ops.MemberID{
		"m1": 0xa1, "a1": 0xa1, "0xa1": 0xa1, "http://m1:2379": 0xa1, "http://m4:2380": 0xa4, "a3": 0xa3,
		"twin": 0, "": 0, "nobody": 0,
	} {
		got, err := list.Find(ref)
		if got.ID != want || (err == nil) != (want != 0) {
			t.Errorf("find %q: %s, %v, want %s", ref, got.ID, err, want)
		}
	}
}

func TestMembershipEqual(t *testing.T) {
	t.Parallel()
	list := func(change func(*ops.Member)) ops.Membership {
		m := ops.Member{ID: 1, Name: "m1", PeerURLs: []string{"a", "b"}, ClientURLs: []string{"c"}}
		change(&m)
		return ops.Membership{ClusterID: 9, Members: []ops.Member{m}}
	}
	same := list(func(*ops.Member) {})
	if !same.Equal(list(func(m *ops.Member) { m.PeerURLs = []string{"b", "a"} })) {
		t.Error("the order of URLs matters")
	}
	for what, change := range map[string]func(*ops.Member){
		"id":         func(m *ops.Member) { m.ID = 2 },
		"name":       func(m *ops.Member) { m.Name = "" },
		"learner":    func(m *ops.Member) { m.Learner = true },
		"peer URL":   func(m *ops.Member) { m.PeerURLs = []string{"a"} },
		"client URL": func(m *ops.Member) { m.ClientURLs = nil },
	} {
		if same.Equal(list(change)) {
			t.Errorf("another %s makes no difference", what)
		}
	}
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	s := ops.Status{Errors: []string{
		"etcdserver: no leader", "memberID:10501334649042878790 alarm:NOSPACE ", "alarm:CORRUPT  memberID:7",
		"memberID:x alarm:NOSPACE", "alarm:NOSPACE", "", "something else", // a number that is 0 is left out
	}}
	alarms, others := s.Alarms()
	want := []ops.Alarm{{Member: 10501334649042878790, Type: "NOSPACE"}, {Member: 7, Type: "CORRUPT"}, {Type: "NOSPACE"}}
	if diff := cmp.Diff(want, alarms); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"memberID:x alarm:NOSPACE", "", "something else"}, others); diff != "" {
		t.Errorf("others (-want +got):\n%s", diff)
	}
}
