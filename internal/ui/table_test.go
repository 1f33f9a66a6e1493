package ui_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/ui"
)

func TestTableAlignsColumnsOfAnyScript(t *testing.T) {
	var out bytes.Buffer
	err := ui.Table(&out, []string{"MEMBER", "ROLE", "STATE"}, [][]string{
		{"m1", "leader", "ok"},
		{"節點二", "follower", "hung"},
		{"m\x1b[31m3", "", "never started"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "" +
		"MEMBER      ROLE      STATE\n" +
		"m1          leader    ok\n" +
		"節點二      follower  hung\n" +
		"m\\x1b[31m3            never started\n"
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasSuffix(strings.TrimRight(line, "\n"), " ") {
			t.Errorf("trailing blanks in %q", line)
		}
	}
}
