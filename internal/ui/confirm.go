package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

// Codes of confirmations.
const (
	CodeNotConfirmed ops.Code = "ETO-4001" // the user typed something else
	CodeCannotAsk    ops.Code = "ETO-4002" // there is no terminal to ask on
)

// Confirmation is a question that is answered by typing a word: what is about to happen, and the word.
type Confirmation struct {
	Op   string // the command, for the error: "etcdops del"
	Word string // what must be typed, such as a member's name or a number of keys
	To   string // what typing it does: "delete 12345 keys under /registry/"
}

// Confirm asks on the terminal and returns nil when the word was typed. Without a terminal it does not ask: the error
// then names the flag that answers beforehand. Both errors are *ops.HintError of ops.ClassRefused. When ctx ends first,
// the error is its cause.
func Confirm(ctx context.Context, s *Streams, c Confirmation) error {
	if !s.InTTY || !s.ErrTTY {
		return &ops.HintError{
			Code: CodeCannotAsk, Class: ops.ClassRefused, Op: c.Op,
			Err:  fmt.Errorf("this would %s, and there is no terminal to ask for confirmation on", Safe(c.To)),
			Hint: "--dry-run shows what would be done; --yes does it without asking",
		}
	}
	fmt.Fprintf(s.Err, "Type %s to %s: ", Safe(c.Word), Safe(c.To))
	answer, err := readLine(ctx, s)
	if err != nil {
		return err
	}
	if answer != c.Word {
		return &ops.HintError{
			Code: CodeNotConfirmed, Class: ops.ClassRefused, Op: c.Op,
			Err: errors.New("not confirmed: nothing was changed"),
		}
	}
	return nil
}

// readLine reads a line, and stops waiting for it when ctx ends. The read itself cannot be stopped: it ends with the
// process, or takes the next line typed, so nobody may read s.In after ctx has ended.
func readLine(ctx context.Context, s *Streams) (string, error) {
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		line, err := bufio.NewReader(s.In).ReadString('\n')
		read <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.Err)
		return "", &ops.HintError{Class: ops.ClassInterrupted, Op: "confirm", Err: context.Cause(ctx)}
	case r := <-read:
		if r.line != "" { // the end of the input answers what was typed before it
			r.err = nil
		} else if r.err != nil {
			fmt.Fprintln(s.Err)
		}
		if r.err != nil {
			return "", nil //nolint:nilerr // no answer is not the word asked for
		}
		return strings.TrimSpace(r.line), nil
	}
}
