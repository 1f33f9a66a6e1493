package clustertest

import (
	"os"
	"testing"
)

// Long skips the test unless the long suites run.
func Long(tb testing.TB) {
	tb.Helper()
	if !RunsLong() {
		tb.Skip("takes long: ETCDOPS_LONG=1 (make faults) runs it")
	}
}

// RunsLong reports whether the long suites run.
func RunsLong() bool { return os.Getenv("ETCDOPS_LONG") != "" }
