package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentationLinks follows every link from one page to another, or to a heading, also those of the generated pages.
func TestDocumentationLinks(t *testing.T) {
	anchors := map[string][]string{}
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links(string(text)) {
			if err := follow(t, page, link, anchors); err != nil {
				t.Errorf("%s links to %s: %v", page, link, err)
			}
		}
	}
	if len(anchors) < 5 {
		t.Errorf("anchors of %d pages were looked for: are the pages read any more?", len(anchors))
	}
}

// links are the targets of a page's links that lead to no other site, in the text and in its list of references.
func links(text string) []string {
	text = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`").ReplaceAllString(text, "")
	var found []string
	for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)|(?m:^\[[^\]]+\]: (\S+))`).FindAllStringSubmatch(text, -1) {
		if target := match[1] + match[2]; !strings.Contains(target, "://") && !strings.HasPrefix(target, "mailto:") {
			found = append(found, target)
		}
	}
	return found
}

// follow looks for a link's page and its heading there.
func follow(t *testing.T, page, link string, anchors map[string][]string) error {
	t.Helper()
	path, anchor, _ := strings.Cut(link, "#")
	target := page
	if path != "" {
		target = filepath.Join(filepath.Dir(page), path)
	}
	if _, err := os.Stat(target); err != nil || anchor == "" {
		return err
	}
	if _, known := anchors[target]; !known {
		anchors[target] = headings(t, target)
	}
	if !slices.Contains(anchors[target], anchor) {
		return errors.New("no heading of that page has this anchor")
	}
	return nil
}

func TestLinks(t *testing.T) {
	text := "[a](b.md#c) `[no](link.md)` [d](https://x/y) [e](#f)\n\n[g]: ../h.md\n```\n[no](link.md)\n```\n"
	if got := strings.Join(links(text), " "); got != "b.md#c #f ../h.md" {
		t.Error(got)
	}
	if err := follow(t, "../README.md", "#no-such-heading", map[string][]string{}); err == nil {
		t.Error("an anchor that is not there was found")
	}
	if err := follow(t, "../README.md", "docs/no-such-page.md", map[string][]string{}); err == nil {
		t.Error("a page that is not there was found")
	}
	if err := follow(t, "../README.md", "docs/README.md#runbooks", map[string][]string{}); err != nil {
		t.Error(err)
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
