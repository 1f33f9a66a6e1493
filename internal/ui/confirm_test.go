package ui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/ops"
)

// terminal pretends that buffers are a terminal.
func terminal(in io.Reader) (*Streams, *bytes.Buffer) {
	shown := &bytes.Buffer{}
	return &Streams{In: in, Out: io.Discard, Err: shown, InTTY: true, ErrTTY: true}, shown
}

func TestConfirm(t *testing.T) {
	question := Confirmation{Op: "etcdops del", Word: "12", To: "delete 12 keys under /a\x1b[2J"}
	for _, tc := range []struct {
		name, typed string
		code        ops.Code
	}{
		{"the word", "12\n", ""},
		{"blanks around it", " 12 \r\n", ""},
		{"no newline", "12", ""},
		{"another word", "13\n", CodeNotConfirmed},
		{"more than the word", "12 yes\n", CodeNotConfirmed},
		{"nothing", "\n", CodeNotConfirmed},
		{"end of input", "", CodeNotConfirmed},
	} {
		s, shown := terminal(strings.NewReader(tc.typed))
		if err := Confirm(t.Context(), s, question); ops.CodeOf(err) != tc.code || (err != nil) != (tc.code != "") {
			t.Errorf("%s: %v, want code %q", tc.name, err, tc.code)
		}
		if want := `Type 12 to delete 12 keys under /a\x1b[2J: `; !strings.HasPrefix(shown.String(), want) {
			t.Errorf("%s: the terminal showed %q, want %q", tc.name, shown, want)
		}
	}
}

func TestConfirmWithoutTerminal(t *testing.T) {
	for _, missing := range []string{"input", "error stream"} {
		s, shown := terminal(strings.NewReader("12\n"))
		s.InTTY, s.ErrTTY = missing != "input", missing != "error stream"
		err := Confirm(t.Context(), s, Confirmation{Op: "x", Word: "12", To: "do it"})
		hint, ok := errors.AsType[*ops.HintError](err)
		if !ok || hint.Code != CodeCannotAsk || hint.Class != ops.ClassRefused || !strings.Contains(hint.Hint, "--yes") || shown.Len() > 0 {
			t.Errorf("no terminal for the %s: %v, shown %q", missing, err, shown)
		}
	}
}

func TestConfirmEndsWithItsContext(t *testing.T) {
	silent, typist := io.Pipe()
	defer func() { _ = typist.Close() }()
	s, _ := terminal(silent)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Confirm(ctx, s, Confirmation{Word: "12"})
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassInterrupted || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want an interruption", err)
	}
}
