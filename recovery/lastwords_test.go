package recovery

import (
	"strings"
	"testing"
)

func TestLastWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ log, want string }{
		{"", ""},
		{"a\nb\nc", "b|c"},
		{"a\nError: no such flag (ETO-3001)\n  next: etcdops serve --help\n  more: etcdops explain ETO-3001", "Error: no such flag (ETO-3001)|  next: etcdops serve --help"},
		{`a` + "\n" + `{"level":"fatal","msg":"discovery failed"}`, "discovery failed"},
		{"panic: an earlier run\nstarting\npanic: no space left on device\n\ngoroutine 1 [running]:\nmain.main()\n\t_testmain.go:118", "panic: no space left on device"},
		{`{"level":"panic","msg":"failed to create WAL","error":"no space left"}` + "\npanic: failed to create WAL\n\ngoroutine 1", "failed to create WAL: no space left"},
		{`{"level":"info","msg":"x"}` + "\nError: our own\n" + `{"level":"info","msg":"y"}`, "Error: our own|y"},
	} {
		if got := strings.Join(lastWords(strings.Split(c.log, "\n")), "|"); got != c.want {
			t.Errorf("%q: %q, want %q", c.log, got, c.want)
		}
	}
}
