package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docPages lists the Markdown files that users read.
func docPages(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, root := range []string{"../docs", "../packaging", "../README.md", "../CONTRIBUTING.md", "../SECURITY.md"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && filepath.Ext(path) == ".md" {
				pages = append(pages, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return pages
}

// pageLine is a piece of shell on a page: typed as it stands, or named in a sentence.
type pageLine struct {
	text   string
	strict bool
}

// pageLines finds what a page tells to type: in its code blocks, whose lines may go on behind a \, and between backticks.
func pageLines(text string) []pageLine {
	var lines []pageLine
	var prose, block strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(word, "```") && fence == "":
			fence = word
		case strings.HasPrefix(word, "```"):
			lines = append(lines, blockLines(block.String(), fence == "```sh" || fence == "```bash")...)
			block.Reset()
			fence = ""
		case fence != "":
			block.WriteString(line)
		case strings.HasPrefix(line, "    ") && !strings.HasPrefix(word, "|"):
			block.WriteString(line)
			prose.WriteString("\n")
		default:
			lines = append(lines, blockLines(block.String(), false)...)
			block.Reset()
			prose.WriteString(line)
		}
	}
	lines = append(lines, blockLines(block.String(), false)...)
	for _, code := range regexp.MustCompile("`((?:[^`\n]|\n[^`\n])+)`").FindAllStringSubmatch(prose.String(), -1) {
		lines = append(lines, pageLine{text: strings.ReplaceAll(code[1], "\n", " ")})
	}
	return lines
}

// blockLines are the lines of a code block that may be commands: the whole of a script, and of a transcript those behind
// a prompt. Any other block may be commands or what a program writes, and so each of its lines.
func blockLines(block string, script bool) []pageLine {
	if script {
		return []pageLine{{text: block, strict: true}}
	}
	transcript := regexp.MustCompile(`(?m)^ *\$ `).MatchString(block)
	var lines []pageLine
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		line = regexp.MustCompile(`^(?:[-0-9*/,]+ +){5}(?:root +)?`).ReplaceAllString(line, "") // a crontab's
		typed, prompt := strings.CutPrefix(line, "$ ")
		synopsis := strings.HasSuffix(line, "[flags]") // of the generated reference, which cobra writes
		if line != "" && !synopsis && (prompt || !transcript) {
			lines = append(lines, pageLine{text: typed, strict: true})
		}
	}
	return lines
}

// speaksOfUs tells whether a piece of shell must be readable: it begins with a program of ours.
func speaksOfUs(text string) bool {
	return regexp.MustCompile(`^(?:sudo )?(?:bin/)?etcd(?:ops|ctl|utl) [-a-z]`).MatchString(text)
}

// TestDocsNameCommandsThatExist types nothing, but knows each command, flag and value that the documentation tells to type.
func TestDocsNameCommandsThatExist(t *testing.T) {
	checked := 0
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range pageLines(string(text)) {
			found, err := shellCommands(line.text)
			if err != nil {
				if line.strict && speaksOfUs(line.text) {
					t.Errorf("%s: %q is not shell: %v", page, line.text, err)
				}
				continue
			}
			for _, command := range found {
				checked++
				if err := command.verify(line.strict); err != nil {
					t.Errorf("%s: %q: %v", page, line.text, err)
				}
			}
		}
	}
	t.Logf("%d commands", checked)
	if checked < 300 {
		t.Errorf("%d commands found in the documentation: are its pages read any more?", checked)
	}
}

// TestDocsNameFlagsThatExist: a flag that a page names by itself is one of some command's.
func TestDocsNameFlagsThatExist(t *testing.T) {
	known := map[string]bool{
		"--help": true, "--enable-v2": true, "--experimental-...": true, "--etcd-*": true, // etcd's of the past, the API server's
		"--network": true, // docker's
	}
	learn := func(f *pflag.Flag) { known["--"+f.Name] = true }
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(learn)
		cmd.PersistentFlags().VisitAll(learn)
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	for _, root := range []*cobra.Command{Tree(), etcdctlTree(), newEtcdutl([]string{programEtcdutl})} {
		walk(root)
	}
	for _, page := range docPages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range regexp.MustCompile("`(--[a-z][^` =\n]*)[^`\n]*`").FindAllStringSubmatch(string(text), -1) {
			if !known[code[1]] {
				t.Errorf("%s names %s, which is no command's", page, code[1])
			}
		}
	}
}

func TestPageLines(t *testing.T) {
	page := "Type `etcdops a\nb`.\n\n    etcdops c \\\n      --d\n\n```\n$ etcdops e\nOK etcdops f\n```\n1. x\n\n   ```sh\n   for i in 1; do\n   etcdops g; done\n   ```\n    \n```\n0 */6 * * * root etcdops h\n```\n"
	want := []string{"etcdops c    --d", "etcdops e", "   for i in 1; do\n   etcdops g; done\n", "etcdops h", "etcdops a b"}
	got := pageLines(page)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || strings.Join(strings.Fields(got[i].text), " ") != strings.Join(strings.Fields(want[i]), " ") {
			t.Fatalf("%+v\nwant %q", got, want)
		}
	}
}

// sourceTexts are the constant texts of a Go file, as the program puts them together: what is filled in stands as %v.
func sourceTexts(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if text, isText := joined(node); isText {
				texts = append(texts, text)
				return false
			}
		case *ast.BasicLit:
			if text, isText := joined(node); isText {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}

// joined is the text of an expression that adds texts.
func joined(expr ast.Expr) (text string, isText bool) {
	switch expr := expr.(type) {
	case *ast.BasicLit:
		if expr.Kind == token.STRING && expr.Value[0] == '"' { // help pages, between backticks, are read in the reference
			text, err := strconv.Unquote(expr.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		if expr.Op == token.ADD {
			left, isLeft := joined(expr.X)
			right, isRight := joined(expr.Y)
			return left + right, isLeft || isRight
		}
	}
	return "%v", false
}
