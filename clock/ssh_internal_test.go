package clock

import (
	"slices"
	"testing"
	"time"
)

// TestParseDate reads what date prints, with and without nanoseconds, and what it does not print.
func TestParseDate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		shown   time.Time
		quantum time.Duration
	}{
		"1700000000.000000001": {time.Unix(1700000000, 1), 0},
		" 1700000000.5N\r":     {time.Unix(1700000000, 0), time.Second},
		"1700000000.N":         {time.Unix(1700000000, 0), time.Second},
		"1700000000.":          {time.Unix(1700000000, 0), time.Second},
		"1700000000.123":       {time.Unix(1700000000, 0), time.Second}, // whose digits are they
		"-1.000000000":         {time.Unix(-1, 0), 0},
	} {
		shown, quantum, err := parseDate(text)
		if err != nil || !shown.Equal(want.shown) || quantum != int64(want.quantum) {
			t.Errorf("%q: %v to %v, %v", text, shown, time.Duration(quantum), err)
		}
	}
	for _, text := range []string{"", "date: not found", "Welcome to host", "0x10.000000000"} {
		if shown, _, err := parseDate(text); err == nil {
			t.Errorf("%q is read as %v", text, shown)
		}
	}
}

// TestSSHRefusesFlags wants no host or user that ssh would take for a flag, and no setting of ours in its environment.
func TestSSHRefusesFlags(t *testing.T) {
	t.Parallel()
	for _, s := range []struct{ user, host string }{{"", "-oProxyCommand=x"}, {"-l", "host"}} {
		if _, err := (SSH{User: s.user}).open(t.Context(), stopwatch{time.Now()}, s.host); err == nil {
			t.Errorf("%+v was started", s)
		}
	}
	env := withoutSettings([]string{"HOME=/", "ETCDOPS_PASSWORD=x", "ETCDCTL_USER=root:x", "ETCD_NAME=m1"})
	if !slices.Equal(env, []string{"HOME=/"}) {
		t.Error(env)
	}
}
