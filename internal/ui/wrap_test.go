package ui_test

import (
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/ui"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text                  string
		used, columns, indent int
		want                  string
	}{
		{"", 4, 10, 2, ""},
		{"one", 4, 10, 2, "one"},
		{"one two three", 0, 7, 2, "one two\n  three"},
		{"one two three", 4, 7, 2, "one\n  two\n  three"},
		{"three", 4, 7, 2, "\n  three"},
		{"  blanks\tand\nlines ", 0, 80, 2, "blanks and lines"},
		{"wordthatdoesnotfit x", 0, 5, 1, "word\n that\n does\n notf\n it x"},
		{"日本 日本", 0, 8, 0, "日本\n日本"},
	} {
		if got := ui.Wrap(tc.text, tc.used, tc.columns, tc.indent); got != tc.want {
			t.Errorf("wrap %q: %q, want %q", tc.text, got, tc.want)
		}
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text    string
		columns int
		want    string
	}{
		{"short", 10, "short"},
		{"exactly-10", 10, "exactly-10"},
		{"ip-10-0-12-34.eu-central-1.compute.internal", 20, "ip-10-0-12….internal"},
		{"日本語日本語日本語", 7, "日…語"},
		{"abc", 2, "abc"},
	} {
		got := ui.Shorten(tc.text, tc.columns)
		if got != tc.want || tc.columns > 2 && ui.Columns(got) > tc.columns {
			t.Errorf("shorten %q to %d: %q, want %q", tc.text, tc.columns, got, tc.want)
		}
	}
	if got := ui.Shorten(strings.Repeat("x", 1<<20), 20); ui.Columns(got) != 20 {
		t.Errorf("a long text takes %d columns", ui.Columns(got))
	}
}
