package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

// exitSilentError ends a command with a code after it has told everything itself.
type exitSilentError struct{ class ops.Class }

func (e exitSilentError) Error() string { return fmt.Sprintf("exit %d", exitCode(e.class)) }

// exitForeignError ends a command with a code of another program's contract after it has told everything itself.
type exitForeignError struct{ code int }

func (e exitForeignError) Error() string { return fmt.Sprintf("exit %d", e.code) }

// exitCode maps a class of failure to the documented exit code.
func exitCode(class ops.Class) int {
	switch class {
	case ops.ClassUsage:
		return 2
	case ops.ClassCritical:
		return 3
	case ops.ClassRefused:
		return 4
	case ops.ClassUnreachable:
		return 5
	case ops.ClassResumable:
		return 6
	case ops.ClassInterrupted:
		return 130
	case ops.ClassFailure:
	}
	return 1
}

// classify finds the class of any error that reaches the top.
func classify(ctx context.Context, err error) ops.Class {
	if silent, ok := errors.AsType[exitSilentError](err); ok {
		return silent.class
	}
	if hint, ok := errors.AsType[*ops.HintError](err); ok {
		return hint.Class
	}
	if ctx.Err() != nil {
		return ops.ClassInterrupted
	}
	return ops.ClassFailure
}

// finish prints err, if there is one, and picks the exit code: the only place that does either.
func (a *app) finish(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if foreign, ok := errors.AsType[exitForeignError](err); ok {
		return foreign.code
	}
	class := classify(ctx, err)
	code := exitCode(class)
	if _, silent := errors.AsType[exitSilentError](err); !silent {
		ui.Error(a.io, err, code, a.out == "json")
	}
	return code
}

// usageError says what was wrong with the words typed, and where the right ones are listed.
func usageError(cmd *cobra.Command, err error) error {
	return &ops.HintError{Code: codeUsage, Class: ops.ClassUsage, Op: cmd.CommandPath(), Err: err, Hint: cmd.CommandPath() + " --help"}
}
