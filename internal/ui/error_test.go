package ui_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/etcdops/etcdops/internal/ui"
	"github.com/etcdops/etcdops/ops"
)

func TestError(t *testing.T) {
	hint := &ops.HintError{
		Code: "ETO-1002", Class: ops.ClassUnreachable, Op: "connect to", Member: "https://10.0.0.1:2379",
		Err: errors.New("connection refused"), Hint: "systemctl status etcd",
	}
	for _, tc := range []struct {
		name   string
		err    error
		asJSON bool
		want   string
	}{
		{
			"with a hint", hint, false,
			"Error: connect to https://10.0.0.1:2379: connection refused (ETO-1002)\n  next: systemctl status etcd\n  more: etcdops explain ETO-1002\n",
		},
		{
			"wrapped", fmt.Errorf("health: %w", hint), false,
			"Error: health: connect to https://10.0.0.1:2379: connection refused (ETO-1002)\n  next: systemctl status etcd\n  more: etcdops explain ETO-1002\n",
		},
		{"without one", errors.New("name \x1b[2J is odd"), false, "Error: name \\x1b[2J is odd\n"},
		{
			"as JSON", hint, true,
			`{"schema":"etcdops.error/v1","error":"connect to https://10.0.0.1:2379: connection refused (ETO-1002)","code":"ETO-1002",` +
				`"op":"connect to","member":"https://10.0.0.1:2379","hint":"systemctl status etcd","exit_code":5}` + "\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			ui.Error(&ui.Streams{Out: &out, Err: &errOut}, tc.err, 5, tc.asJSON)
			if got := errOut.String(); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
			if out.Len() > 0 {
				t.Errorf("standard output is for reports, but got %q", out.String())
			}
		})
	}
}
