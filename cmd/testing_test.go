package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/ui"
)

// testApp returns an app that writes to buffers.
func testApp() (a *app, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return &app{io: &ui.Streams{In: strings.NewReader(""), Out: out, Err: errOut}}, out, errOut
}

// testRun runs a command line off a terminal, as a script would.
func testRun(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	a, o, e := testApp()
	code = run(t.Context(), a.io, append([]string{"etcdops"}, args...))
	return o.String(), e.String(), code
}
