package ui_test

import (
	"testing"
	"unicode/utf8"

	"github.com/etcdops/etcdops/internal/ui"
)

func TestSafe(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "m1 héllo 節點", "m1 héllo 節點"},
		{"newline and tab stay", "a\n\tb", "a\n\tb"},
		{"escape sequence", "\x1b[2Jgone", `\x1b[2Jgone`},
		{"carriage return", "ok\rbad", `ok\x0dbad`},
		{"C1 control", "a\u009bb", `a\U0000009bb`},
		{"bidirectional override", "a\u202eb", `a\U0000202eb`},
		{"invalid UTF-8", "a\xffb", `a\xffb`},
		{"cut rune", "a\xe7\xaf", `a\xe7\xaf`},
		{"replacement character itself", "a\ufffdb", "a\ufffdb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ui.Safe(tc.in); got != tc.want {
				t.Errorf("Safe(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("\x1b]0;title\x07\xff\u202e")
	f.Fuzz(func(t *testing.T, in string) {
		out := ui.Safe(in)
		if !utf8.ValidString(out) {
			t.Fatalf("Safe(%q) = %q is not valid UTF-8", in, out)
		}
		if again := ui.Safe(out); again != out {
			t.Fatalf("Safe is not idempotent: %q, then %q", out, again)
		}
	})
}
