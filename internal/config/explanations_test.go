package config_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/etcdops/etcdops/internal/config"
)

// TestExplanations wants every code of the package explained once, and nothing else.
func TestExplanations(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("codes.go")
	must(t, err)
	declared := map[string]bool{}
	for _, code := range regexp.MustCompile(`ETO-\d+`).FindAllString(string(source), -1) {
		declared[code] = true
	}
	for _, e := range config.Explanations() {
		if !declared[e.Code] {
			t.Errorf("%s is explained twice, or is no code", e.Code)
		}
		delete(declared, e.Code)
		if e.Title == "" || e.Cause == "" || e.Danger == "" || len(e.Fix) == 0 {
			t.Errorf("%s is explained in part only", e.Code)
		}
	}
	for code := range declared {
		t.Errorf("%s is not explained", code)
	}
}
