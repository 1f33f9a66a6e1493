package health_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/health"
)

// FuzzEvaluate wants a report of any facts that can be read, and one that can be written.
func FuzzEvaluate(f *testing.F) {
	for _, input := range scenarioInputs(f) {
		text, err := json.Marshal(describe(&testing.T{}, input))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"endpoints":[{"statuses":[{"sent_us":1}],"members":{"membership":{"members":[{},{}]}}},{"connect":{"failure":{}}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var facts health.Facts
		if json.Unmarshal(text, &facts) != nil {
			return
		}
		r := health.Evaluate(facts, health.Policy{})
		c := r.Counts
		if c.Total != len(health.Checks()) || c.OK+c.Warning+c.Critical+c.Unknown != c.Total {
			t.Errorf("the counts do not add up: %+v", c)
		}
		if r.Severity == health.SeverityOK && (c.Critical > 0 || c.Warning > 0 || r.Available == nil || !*r.Available) {
			t.Errorf("well in spite of %+v", c)
		}
		if _, err := json.Marshal(r); err != nil && !strings.Contains(err.Error(), "year outside of range") {
			t.Errorf("the report cannot be written: %v", err)
		}
	})
}

// scenarioInputs picks the clusters out of the golden files.
func scenarioInputs(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/scenarios/*")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no scenarios: %v", err)
	}
	var inputs []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\nhealth") {
			_, block, _ = strings.Cut(block, "\n")
			if input, _, ok := strings.Cut(block, "\n----"); ok && !strings.HasPrefix(input, "#") && input != "majorities" {
				inputs = append(inputs, input)
			}
		}
	}
	return inputs
}
