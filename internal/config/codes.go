package config

import (
	"fmt"

	"github.com/etcdops/etcdops/ops"
)

// Codes of the configuration.
const (
	CodeBadValue ops.Code = "ETO-2002" // a setting cannot be read
)

func badValue(origin Origin, raw, want string) error {
	return &ops.HintError{
		Code: CodeBadValue, Class: ops.ClassUsage, Op: "read", Member: origin.String(),
		Err: fmt.Errorf("%q is not %s", raw, want), Hint: "etcdops config view shows every setting and where it came from",
	}
}
