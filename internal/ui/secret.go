package ui

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/term"

	"github.com/etcdops/etcdops/ops"
)

// Secret asks for a secret on the terminal, without echo. It stops waiting when ctx ends, and then leaves the terminal
// as it was; the read itself ends with the process, so nobody may read s.In after that.
func Secret(ctx context.Context, s *Streams, question string) (string, error) {
	file, ok := s.In.(interface{ Fd() uintptr })
	if !ok || !s.InTTY || !s.ErrTTY {
		return "", errors.New("there is no terminal to ask on")
	}
	fd := int(file.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(s.Err, Safe(question))
	defer fmt.Fprintln(s.Err)
	type result struct {
		secret []byte
		err    error
	}
	read := make(chan result, 1)
	go func() {
		secret, err := term.ReadPassword(fd)
		read <- result{secret, err}
	}()
	select {
	case r := <-read:
		return string(r.secret), r.err
	case <-ctx.Done():
		_ = term.Restore(fd, before) // nothing else can be done about a terminal that fails
		return "", &ops.HintError{Class: ops.ClassInterrupted, Op: "ask for a secret", Err: context.Cause(ctx)}
	}
}
