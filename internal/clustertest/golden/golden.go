// Package golden runs scenarios that stand in commented files, beside what is expected of each (datadriven's format).
package golden

import (
	"encoding/json"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// Run gives every command of the files below dir to answer, and compares what it returns.
func Run(t *testing.T, dir string, answer func(t *testing.T, d *datadriven.TestData) string) {
	t.Helper()
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, answer)
	})
}

// JSON is v as scenarios show it.
func JSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// Unknown ends the test at a command that its package does not have.
func Unknown(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	return ""
}
