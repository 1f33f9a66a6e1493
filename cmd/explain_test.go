package cmd

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCodesPage wants docs/codes.md to be what `make docs` writes.
func TestCodesPage(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	if err := Codes(&want); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../docs/codes.md")
	if err != nil || !bytes.Equal(have, want.Bytes()) {
		t.Errorf("docs/codes.md is not up to date (%v): run make docs", err)
	}
}

// TestEveryCodeIsExplained looks for codes in the source of the whole module.
func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	explained := map[string]bool{}
	for _, e := range explanations() {
		if explained[e.Code] {
			t.Errorf("%s is explained twice", e.Code)
		}
		explained[e.Code] = true
	}
	code := regexp.MustCompile(`"(ETO-\d{4})"`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range code.FindAllStringSubmatch(string(source), -1) {
			if !explained[m[1]] {
				t.Errorf("%s: nothing explains %s", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTopicsLeadToOurCommands: what a refusal leads to is the command that proves what it does, not the way by hand.
func TestTopicsLeadToOurCommands(t *testing.T) {
	t.Parallel()
	leadsTo := map[string]string{"replace-member": "etcdops recover member", "quorum-lost": "etcdops rebuild-cluster plan"}
	for _, topic := range topics() {
		fix := strings.Join(topic.Fix, "\n")
		if command := leadsTo[topic.Code]; command == "" || !strings.Contains(fix, command) {
			t.Errorf("%s does not lead to %q:\n%s", topic.Code, command, fix)
		}
		if strings.Contains(fix, "force-new-cluster") {
			t.Errorf("%s tells to throw the log's tail away:\n%s", topic.Code, fix)
		}
	}
}
