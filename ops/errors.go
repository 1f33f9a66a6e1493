package ops

import (
	"errors"
	"fmt"
	"strings"
)

// Code names one kind of failure for good: it never changes its meaning once released. The first digit tells the
// layer: ETO-1xxx connection, ETO-2xxx configuration and usage, ETO-3xxx the server, ETO-4xxx safety guards,
// ETO-5xxx the state of the cluster.
type Code string

// Class is what a failure means to a script; the command line maps each class to one exit code.
type Class int

// The classes, in the order of their exit codes.
const (
	ClassFailure     Class = iota // the operation failed
	ClassUsage                    // the input was wrong; nothing was tried
	ClassCritical                 // a check ran and found something critical
	ClassRefused                  // a safety guard refused; nothing was changed
	ClassUnreachable              // no quorum, or no member answered
	ClassResumable                // stopped half-way; the hint resumes it
	ClassInterrupted              // the user stopped it
)

// HintError is an error that a person can act on: what was done, to which member, why it failed, what to type next.
// Code may be empty where an underlying HintError already carries one.
type HintError struct {
	Code   Code
	Class  Class
	Op     string // operation, as a verb: "dial", "read certificate"
	Member string // endpoint, member name or file; may be empty
	Err    error  // the cause
	Hint   string // the next command to type, or the setting to change; may be empty
}

// Error renders "op member: cause (code)"; the hint is rendered apart from it.
func (e *HintError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Member != "" {
		if e.Op != "" {
			b.WriteByte(' ')
		}
		b.WriteString(e.Member)
	}
	if e.Err != nil {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *HintError) Unwrap() error { return e.Err }

// CodeOf returns the outermost code in err's chain, or "" when there is none.
func CodeOf(err error) Code {
	for err != nil {
		hint, ok := errors.AsType[*HintError](err)
		if !ok {
			return ""
		}
		if hint.Code != "" {
			return hint.Code
		}
		err = hint.Err
	}
	return ""
}

// Explanation is what `etcdops explain CODE` shows, and the page that docs/codes is generated from.
type Explanation struct {
	Code   string   // an error code, or the id of a health check
	Title  string   // one line, lower case, no full stop
	Cause  string   // why it happens, in plain words
	Danger string   // what may be lost or get worse
	Fix    []string // what to type or change, in order
}
