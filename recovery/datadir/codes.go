package datadir

import (
	"context"
	"errors"
	"io/fs"

	"github.com/etcdops/etcdops/ops"
)

// CodeNoData is about a path that cannot be inspected: it cannot be opened, or nothing of etcd is there.
const CodeNoData ops.Code = "ETO-6000"

// pathError is about a path that cannot be inspected.
func pathError(ctx context.Context, path string, err error) error {
	class := ops.ClassFailure
	if ctx.Err() != nil {
		class = ops.ClassInterrupted
	}
	if failure, ok := errors.AsType[*fs.PathError](err); ok {
		err = failure.Err // the path is named already
	}
	return &ops.HintError{
		Code: CodeNoData, Class: class, Op: "inspect", Member: path, Err: err,
		Hint: "name the directory that etcd's --data-dir names, or a snapshot file: ls -la " + path,
	}
}

// Explanations explains the codes of inspections.
func Explanations() []ops.Explanation {
	return []ops.Explanation{
		{
			Code: string(CodeNoData), Title: "the path cannot be inspected",
			Cause:  "It does not exist, may not be read, or holds neither a log (member/wal) nor a database (member/snap/db) of etcd.",
			Danger: "None: nothing was written.",
			Fix:    []string{"name the directory that etcd's --data-dir names", "run it as root or as etcd's user", "name a log that is kept elsewhere with --wal-dir"},
		},
	}
}
