package cmd

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// adviceCommand finds commands of ours in advice: `etcdops` with the lower-case words behind it.
func adviceCommand() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[\s(:$/` + "`" + `;])etcdops((?: [a-z][a-z0-9-]*)+)`)
}

// checkAdvice reports commands that text tells to type and that do not exist, with their flags.
func checkAdvice(t *testing.T, where, text string) {
	t.Helper()
	for _, match := range adviceCommand().FindAllStringSubmatchIndex(text, -1) {
		words := strings.Fields(text[match[2]:match[3]])
		if isProse(words) { // a sentence about the program
			continue
		}
		root := Tree()
		cmd, _, err := root.Find(words)
		if err != nil || cmd == root || (cmd.HasSubCommands() && len(words) > depth(cmd)) {
			t.Errorf("%s tells to type %q: there is no such command", where, strings.TrimSpace(text[match[0]:match[1]]))
			continue
		}
		if err := (typedCommand{"etcdops", adviceWords(text[match[2]:])}).verify(false); err != nil {
			t.Errorf("%s: %q: %v", where, text, err)
		}
	}
}

// adviceWords are the words of a command inside a sentence: it ends with a mark, and the words behind may be the sentence's.
func adviceWords(text string) []string {
	var words []string
	for word := range strings.FieldsSeq(text) {
		bare := strings.TrimRight(word, ".,;:)`'\"")
		if strings.HasPrefix(word, "(") || slices.Contains([]string{"etcdops", "and", "or"}, bare) {
			break
		}
		words = append(words, strings.Trim(bare, "`'\""))
		if bare != word && !strings.HasSuffix(word, "...") {
			break
		}
	}
	return words
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

// TestCodeNamesCommandsThatExist reads the hints in the sources: each text that starts with, or leads up to, a
// command.
func TestCodeNamesCommandsThatExist(t *testing.T) {
	told := regexp.MustCompile(`(?:^|[:;,] |` + "`" + `)(etcdops (?:-|[a-z])[^\n]*)`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if entry.IsDir() && entry.Name() == "bench" { // its sentences are about etcdops
			return filepath.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, text := range sourceTexts(t, path) {
			hashed := strings.HasPrefix(text, "etcdops timeline") // what a chain of hashes begins with
			if match := told.FindStringSubmatch(text); match != nil && !hashed {
				checkAdvice(t, path, match[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
