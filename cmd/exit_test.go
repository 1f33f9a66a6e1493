package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/ops"
)

func TestExitCodes(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"success", t.Context(), nil, 0},
		{"plain error", t.Context(), errors.New("no"), 1},
		{"usage", t.Context(), &ops.HintError{Class: ops.ClassUsage}, 2},
		{"critical", t.Context(), exitSilentError{ops.ClassCritical}, 3},
		{"refused", t.Context(), &ops.HintError{Class: ops.ClassRefused}, 4},
		{"unreachable, wrapped", t.Context(), fmt.Errorf("x: %w", &ops.HintError{Class: ops.ClassUnreachable}), 5},
		{"resumable", t.Context(), &ops.HintError{Class: ops.ClassResumable}, 6},
		{"interrupted", cancelled, fmt.Errorf("get: %w", context.Canceled), 130},
		{"interrupted, but with a class of its own", cancelled, &ops.HintError{Class: ops.ClassResumable}, 6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, _, errOut := testApp()
			if got := a.finish(tc.ctx, tc.err); got != tc.want {
				t.Errorf("exit code %d, want %d", got, tc.want)
			}
			_, silent := errors.AsType[exitSilentError](tc.err)
			if told := errOut.Len() > 0; told != (tc.err != nil && !silent) {
				t.Errorf("error stream holds %q", errOut.String())
			}
		})
	}
}

func TestUnknownFlagIsAUsageError(t *testing.T) {
	out, errOut, code := testRun(t, "version", "--nope")
	if code != 2 || out != "" || !strings.Contains(errOut, "--nope") || !strings.Contains(errOut, "etcdops version --help") {
		t.Errorf("exit %d, out %q, err %q", code, out, errOut)
	}
}
