package ops_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/etcdops/etcdops/ops"
)

func TestHintErrorText(t *testing.T) {
	for _, tc := range []struct {
		err  ops.HintError
		want string
	}{
		{ops.HintError{Op: "dial", Member: "m1", Err: io.EOF, Code: "ETO-1"}, "dial m1: EOF (ETO-1)"},
		{ops.HintError{Op: "dial", Err: io.EOF}, "dial: EOF"},
		{ops.HintError{Member: "m1", Err: io.EOF}, "m1: EOF"},
		{ops.HintError{Err: io.EOF}, "EOF"},
		{ops.HintError{Op: "dial", Member: "m1"}, "dial m1"},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestCodeOf(t *testing.T) {
	inner := &ops.HintError{Code: "ETO-1", Op: "dial", Err: io.EOF}
	for _, tc := range []struct {
		name string
		err  error
		want ops.Code
	}{
		{"none", io.EOF, ""},
		{"nil", nil, ""},
		{"own", inner, "ETO-1"},
		{"wrapped", fmt.Errorf("x: %w", inner), "ETO-1"},
		{"outer wins", &ops.HintError{Code: "ETO-2", Err: inner}, "ETO-2"},
		{"outer without a code", &ops.HintError{Op: "health", Err: fmt.Errorf("x: %w", inner)}, "ETO-1"},
	} {
		if got := ops.CodeOf(tc.err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	if !errors.Is(fmt.Errorf("x: %w", inner), io.EOF) {
		t.Error("the cause is not found through a HintError")
	}
}
