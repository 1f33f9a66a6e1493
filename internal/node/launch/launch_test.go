package launch

import (
	"strings"
	"testing"
)

func TestStray(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ command, want string }{
		{"etcd", ""},
		{"etcd --name m1 --data-dir=d", ""},
		{"etcdops serve --name m1", ""},
		{"env -u HOME A=b nice -n 5 sudo --user=etcd etcd --name=m1", ""},
		{"etcd --initial-cluster=m1=http://a m2=http://b --name=m1", "m2=http://b"},
		{"etcd --name m1 m2", "m2"},
		{"etcd --debug --name=m1 -", "-"},
	} {
		if got := (Launch{Args: strings.Fields(c.command)}).Stray(); got != c.want {
			t.Errorf("%s: %q, want %q", c.command, got, c.want)
		}
	}
}
