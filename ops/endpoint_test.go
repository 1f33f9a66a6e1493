package ops_test

import (
	"strings"
	"testing"

	"github.com/etcdops/etcdops/ops"
)

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"127.0.0.1:2379":            "",
		" https://etcd-1:2379/ ":    "",
		"https://[fd00::1]:2379":    "",
		"unix:///run/etcd.sock":     "",
		"unixs://etcd.sock":         "",
		"unix:etcd.sock":            "",
		"":                          "it is empty",
		"etcd-1":                    "missing port",
		"https://etcd-1":            "missing port",
		"fd00::1:2379":              "too many colons",
		"gopher://etcd-1:2379":      `scheme "gopher"`,
		"https://:2379":             "the host is missing",
		"https://etcd-1:":           `port "" is no number`,
		"https://etcd-1:0":          `port "0"`,
		"https://etcd-1:65536":      `port "65536"`,
		"https://etcd-1:http":       "port",
		"https://u:secret@e:2379":   "must not carry a user",
		"https://etcd-1:2379/v3/kv": "nothing may follow",
		"https://etcd-1:2379?x=1":   "nothing may follow",
		"https://et cd:2379":        "invalid character",
		"a b:2379":                  "no host name",
		"unix://":                   "path is missing",
		"https://%zz:2379":          "invalid URL escape",
	} {
		err := ops.CheckEndpoint(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "":
			hint := wantHint(t, err, ops.CodeBadEndpoint)
			if strings.Contains(hint.Error(), "secret") {
				t.Errorf("%q: the password is in the error: %v", text, hint)
			}
			if hint.Class != ops.ClassUsage || !strings.Contains(hint.Err.Error(), want) {
				t.Errorf("%q: class %v, %v; want %q", text, hint.Class, hint, want)
			}
		}
	}
}
