package config

import (
	"fmt"
	"strconv"

	"github.com/etcdops/etcdops/ops"
)

// Codes of the configuration.
const (
	CodeBadValue       ops.Code = "ETO-2002" // a setting cannot be read
	CodeBadFile        ops.Code = "ETO-2003" // the file of contexts is malformed
	CodeFileAccess     ops.Code = "ETO-2004" // the file of contexts cannot be read or written
	CodeNoContext      ops.Code = "ETO-2005" // no context of that name
	CodeContextExists  ops.Code = "ETO-2006" // a context of that name exists
	CodeBadContext     ops.Code = "ETO-2007" // a context's name or settings are not valid
	CodeSRV            ops.Code = "ETO-2008" // SRV discovery finds no endpoint
	CodeNotEtcdStore   ops.Code = "ETO-2009" // this machine's cluster keeps its data elsewhere than in etcd
	CodePlainTransport ops.Code = "ETO-2010" // an http endpoint where connections without TLS are not allowed
	CodePasswordFile   ops.Code = "ETO-2011" // the password file cannot be used
	CodeNoPrompt       ops.Code = "ETO-2012" // a password is missing and nobody can be asked
	CodeNothingFound   ops.Code = "ETO-2013" // discovery was asked for and found nothing
)

func badValue(origin Origin, raw, want string) error {
	return &ops.HintError{
		Code: CodeBadValue, Class: ops.ClassUsage, Op: "read", Member: origin.String(),
		Err: fmt.Errorf("%q is not %s", raw, want), Hint: "etcdops config view shows every setting and where it came from",
	}
}

func badFile(path string, line int, err error) error {
	at := path
	if line > 0 {
		at += ":" + strconv.Itoa(line)
	}
	return &ops.HintError{
		Code: CodeBadFile, Class: ops.ClassUsage, Op: "read contexts", Member: at, Err: err,
		Hint: "mend the file, or move it away: etcdops context add makes a new one",
	}
}

func fileAccess(op, path string, err error) error {
	return &ops.HintError{Code: CodeFileAccess, Class: ops.ClassFailure, Op: op, Member: path, Err: err, Hint: "ls -ld " + path}
}
