package ops_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/etcdops/etcdops/ops"
)

func TestParseMemberID(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want ops.MemberID
		ok   bool
	}{
		{"8e9e05c52164694d", 0x8e9e05c52164694d, true},
		{"0x8e9e05c52164694d", 0x8e9e05c52164694d, true},
		{"1", 1, true},
		{"ffffffffffffffff", math.MaxUint64, true},
		{"10000000000000000", 0, false},
		{"m1", 0, false},
		{"-1", 0, false},
		{"", 0, false},
	} {
		got, err := ops.ParseMemberID(tc.in)
		if (err == nil) != tc.ok {
			t.Errorf("ParseMemberID(%q): error %v, want ok=%v", tc.in, err, tc.ok)
			continue
		}
		if tc.ok && got != tc.want {
			t.Errorf("ParseMemberID(%q) = %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestIDsAreHexStringsInJSON(t *testing.T) {
	type ids struct {
		Member  ops.MemberID  `json:"member"`
		Cluster ops.ClusterID `json:"cluster"`
	}
	in := ids{Member: math.MaxUint64, Cluster: 0x7b48afc4}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"member":"ffffffffffffffff","cluster":"7b48afc4"}`; string(text) != want {
		t.Fatalf("got %s, want %s", text, want)
	}
	var out ids
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Fatalf("round trip gave %+v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"member":"xyz"}`), &out); err == nil {
		t.Fatal("a member ID that is no number was accepted")
	}
}
