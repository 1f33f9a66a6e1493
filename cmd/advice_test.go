package cmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// adviceCommand finds commands of ours in advice: `etcdops` with the lower-case words behind it.
func adviceCommand() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[\s(:$/` + "`" + `;])etcdops((?: [a-z][a-z0-9-]*)+)`)
}

// checkAdvice reports commands that text tells to type and that do not exist.
func checkAdvice(t *testing.T, where, text string) {
	t.Helper()
	root := Tree()
	for _, match := range adviceCommand().FindAllStringSubmatch(text, -1) {
		words := strings.Fields(match[1])
		if words[0] == "is" { // a sentence about the program
			continue
		}
		cmd, _, err := root.Find(words)
		if err != nil || cmd == root || (cmd.HasSubCommands() && len(words) > depth(cmd)) {
			t.Errorf("%s tells to type %q: there is no such command", where, strings.TrimSpace(match[0]))
		}
	}
}

func depth(cmd *cobra.Command) int {
	n := 0
	for ; cmd.HasParent(); cmd = cmd.Parent() {
		n++
	}
	return n
}

// TestAdviceNamesCommandsThatExist: at three in the morning, what is told to be typed must work.
func TestAdviceNamesCommandsThatExist(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range explanations() {
		if seen[e.Code] {
			t.Errorf("%s is explained twice", e.Code)
		}
		seen[e.Code] = true
		for _, fix := range e.Fix {
			checkAdvice(t, "etcdops explain "+e.Code, fix)
		}
	}
}

// TestCodeNamesCommandsThatExist reads the hints in the sources: each string that starts with, or leads up to, a command.
func TestCodeNamesCommandsThatExist(t *testing.T) {
	quoted := regexp.MustCompile(`"(?:[^"\n]*[:;,] )?(etcdops [a-z][a-z-]*[^"\n]*)"`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if entry.IsDir() && entry.Name() == "bench" { // its sentences are about etcdops
			return filepath.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range quoted.FindAllStringSubmatch(string(source), -1) {
			checkAdvice(t, path, match[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocsNameCommandsThatExist reads the command lines in the documentation.
func TestDocsNameCommandsThatExist(t *testing.T) {
	docs, err := filepath.Glob("../docs/*.md")
	runbooks, globErr := filepath.Glob("../docs/runbooks/*.md")
	docs, err = append(docs, runbooks...), errors.Join(err, globErr)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(docs, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for line := range strings.Lines(string(text)) {
			word := strings.TrimLeft(line, " ")
			if strings.HasPrefix(word, "```") {
				fenced = !fenced
			}
			typed := strings.HasPrefix(word, "etcdops ") && !strings.HasPrefix(word, "etcdops the ") // what a program says
			if strings.HasPrefix(line, "$ ") || typed && (fenced || len(line)-len(word) >= 4) {
				checkAdvice(t, path, line)
			}
		}
		for _, code := range regexp.MustCompile("`(etcdops [a-z][^`\n]*)`").FindAllStringSubmatch(string(text), -1) {
			checkAdvice(t, path, code[1])
		}
	}
}
