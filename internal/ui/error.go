package ui

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/etcdops/etcdops/ops"
)

// ErrorJSON is an error as a document of its own, schema etcdops.error/v1.
type ErrorJSON struct {
	Schema   string   `json:"schema"`
	Error    string   `json:"error"`
	Code     ops.Code `json:"code,omitempty"`
	Op       string   `json:"op,omitempty"`
	Member   string   `json:"member,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	ExitCode int      `json:"exit_code"`
}

// Error writes err to the error stream: the cause, what to type next, where more is told; as one JSON object when
// asJSON is set.
func Error(s *Streams, err error, exitCode int, asJSON bool) {
	report := ErrorJSON{Schema: "etcdops.error/v1", Error: err.Error(), Code: ops.CodeOf(err), ExitCode: exitCode}
	if hint, ok := errors.AsType[*ops.HintError](err); ok {
		report.Op, report.Member, report.Hint = hint.Op, hint.Member, hint.Hint
	}
	if asJSON {
		enc := json.NewEncoder(s.Err)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(report) // nothing is left to tell it to
		return
	}
	fmt.Fprintln(s.Err, "Error:", Safe(report.Error))
	if report.Hint != "" {
		fmt.Fprintln(s.Err, "  next:", Safe(report.Hint))
	}
	if report.Code != "" {
		fmt.Fprintf(s.Err, "  more: etcdops explain %s\n", report.Code)
	}
}
