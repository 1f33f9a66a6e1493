package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentationLinks follows every link from one page to another.
func TestDocumentationLinks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	runbooks, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	top = append(top, runbooks...)
	top = append(top, "../docs/changelog/README.md")
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	for _, page := range append(pages, top...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(page), match[1])
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", page, match[1])
			} else if match[2] != "" && !slices.Contains(headings(t, target), match[2][1:]) {
				t.Errorf("%s links to %s%s: no heading of that page has this anchor", page, match[1], match[2])
			}
		}
	}
}

// headings lists the anchors of a page as GitHub makes them: lower case, blanks to dashes, nothing but letters, digits, dashes
// and low lines; those that are written out (<a name=...>) as they are.
func headings(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var anchors []string
	for line := range strings.Lines(string(text)) {
		if title, isHeading := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); isHeading && strings.HasPrefix(line, "#") {
			slug := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-")
			anchors = append(anchors, regexp.MustCompile(`[^\pL\pN_-]`).ReplaceAllString(slug, ""))
		}
		for _, match := range regexp.MustCompile(`<a (?:name|id)="([^"]+)"`).FindAllStringSubmatch(line, -1) {
			anchors = append(anchors, match[1])
		}
	}
	return anchors
}

// TestEveryPageIsInTheIndex: a page that docs/README.md does not lead to is found by nobody.
func TestEveryPageIsInTheIndex(t *testing.T) {
	index, err := os.ReadFile("../docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.md", "*.yml", "*.schema.json", "runbooks/*.md"} {
		pages, err := filepath.Glob(filepath.Join("../docs", pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v, %v", pattern, pages, err)
		}
		for _, page := range pages {
			name := strings.TrimPrefix(page, "../docs/")
			if name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
				t.Errorf("docs/README.md does not lead to %s", name)
			}
		}
	}
}
