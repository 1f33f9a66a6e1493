package clustertest

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Kind is the program that a member runs.
type Kind int

// The kinds of members.
const (
	// KindEtcd is upstream's server: etcdmain.Main in a re-executed test binary.
	KindEtcd Kind = iota
	// KindServe is `etcdops serve`, built from this module's ./cmd/etcdops once a test run.
	KindServe
	// KindEtcd34 is Debian's etcd 3.4.23 (package etcd-server); the test is skipped where it is not installed.
	KindEtcd34
	// KindEtcd35 and KindEtcd36 are upstream's servers of those minor versions, built once a machine from the module
	// proxy; the test is skipped where that cannot be done.
	KindEtcd35
	KindEtcd36
)

// The releases of older minor versions that are built.
const (
	release35 = "3.5.21"
	release36 = "3.6.11"
)

// String returns the kind's name, as the script command's -kind takes it.
func (k Kind) String() string {
	switch k {
	case KindEtcd:
		return "etcd"
	case KindServe:
		return "serve"
	case KindEtcd34:
		return "etcd34"
	case KindEtcd35:
		return "etcd35"
	case KindEtcd36:
		return "etcd36"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, error) {
	for _, k := range []Kind{KindEtcd, KindServe, KindEtcd34, KindEtcd35, KindEtcd36} {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, fmt.Errorf("unknown kind of member %q: etcd, serve, etcd34, etcd35 or etcd36", s)
}

// program is how to start a member of some kind.
type program struct {
	path string
	args []string // before the member's own arguments
	env  []string // besides the test's environment
}

// etcd34Path is where Debian's package etcd-server puts etcd.
const etcd34Path = "/usr/bin/etcd"

// program finds or builds the kind's program, on request with a clock that can be shifted.
func (k Kind) program(tb testing.TB, skewed bool) program {
	tb.Helper()
	if skewed {
		return k.skewedProgram(tb)
	}
	switch k {
	case KindEtcd:
		self, err := os.Executable()
		if err != nil {
			tb.Fatalf("find test binary: %v", err)
		}
		return program{path: self, env: []string{envRole + "=" + roleMember}}
	case KindServe:
		return program{path: build(tb, "etcdops", "./cmd/etcdops"), args: []string{"serve"}}
	case KindEtcd34:
		out, err := exec.CommandContext(tb.Context(), etcd34Path, "--version").Output()
		if err != nil || !strings.HasPrefix(string(out), "etcd Version: 3.4.") {
			tb.Skipf("%s is not etcd 3.4 (%v): apt-get install etcd-server, of Debian 12", etcd34Path, err)
		}
		return program{path: etcd34Path}
	case KindEtcd35:
		return program{path: buildRelease(tb, release35)}
	case KindEtcd36:
		return program{path: buildRelease(tb, release36)}
	}
	tb.Fatalf("unknown kind of member: %v", k)
	return program{}
}

// skewedProgram builds the kind's program with a clock that can be shifted.
func (k Kind) skewedProgram(tb testing.TB) program {
	tb.Helper()
	switch k {
	case KindEtcd:
		return program{path: buildSkewed(tb, "etcd", "go.etcd.io/etcd/server/v3")}
	case KindServe:
		return program{path: buildSkewed(tb, "etcdops", "./cmd/etcdops"), args: []string{"serve"}}
	case KindEtcd34, KindEtcd35, KindEtcd36:
	}
	tb.Fatalf("the clock of a member of kind %v cannot be shifted", k)
	return program{}
}

// environ is the test's environment without what etcd, etcdops or this package read from it.
func environ() []string {
	prefixes := []string{"ETCD_", "ETCDCTL_", "ETCDOPS_", envRun + "=", envRole + "="}
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
}
