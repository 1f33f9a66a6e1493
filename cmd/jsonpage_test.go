package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestEverySchemaIsDocumented finds schemas that are written and not on the page of JSON documents.
func TestEverySchemaIsDocumented(t *testing.T) {
	known := map[string]bool{}
	for _, s := range schemas() {
		known[s.name] = true
		if !regexp.MustCompile(`^etcdops\.[a-z_]+/v[0-9]+$`).MatchString(s.name) {
			t.Errorf("%s is not named as the others are", s.name)
		}
	}
	literal := regexp.MustCompile(`"(etcdops\.[^"/ ]+/v[0-9]+)"`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if entry.IsDir() && entry.Name() == "bench" { // its samples are no output of the program
			return filepath.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range literal.FindAllStringSubmatch(string(source), -1) {
			if !known[match[1]] {
				t.Errorf("%s writes %s, which is not in the list of schemas", path, match[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestJSONFieldsAreSnakeCase holds every field of every document to one style, and every document to name its schema.
func TestJSONFieldsAreSnakeCase(t *testing.T) {
	for _, s := range schemas() {
		var page strings.Builder
		writeFields(&page, "", reflect.TypeOf(s.value))
		for _, match := range regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(page.String(), -1) {
			if !regexp.MustCompile(`^[a-z0-9_.\[\]]+$`).MatchString(match[1]) || match[1] == "" {
				t.Errorf("%s: field %q", s.name, match[1])
			}
		}
		if !strings.HasPrefix(page.String(), "| `schema` | string |") {
			t.Errorf("%s does not begin with its schema:\n%s", s.name, page.String())
		}
	}
}
