package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCask: the cask is Ruby that is whole, its sums are those of the archives that were built, and what it installs is in them.
func TestCask(t *testing.T) {
	file := filepath.Join(dist, "homebrew/Casks/etcdops.rb")
	text, err := os.ReadFile(file)
	skipUnless(t, err == nil, "no cask is there: make packages-check or make snapshot")
	cask := string(text)
	if ruby, err := exec.LookPath("ruby"); err == nil {
		run(t, ruby, "-c", file)
	}
	if opened, closed := len(caskOpens.FindAllString(cask, -1)), len(caskEnds.FindAllString(cask, -1)); opened != closed || !strings.HasPrefix(strings.TrimSpace(uncommented(cask)), `cask "etcdops" do`) {
		t.Errorf("%d blocks are opened and %d ended:\n%s", opened, closed, cask)
	}
	for _, platform := range platforms(t) {
		if strings.HasPrefix(platform, "windows") {
			continue
		}
		archive := archiveOf(t, platform)
		if !strings.Contains(cask, `"`+sumOf(t, archive)+`"`) {
			t.Errorf("the cask has not the sum of %s", archive)
		}
		checkCaskPaths(t, cask, unpacked(t, archive))
	}
}

var (
	caskOpens = regexp.MustCompile(`(?m)(\bdo( \|\w+\|)?$|^\s*(if|unless|def) )`)
	caskEnds  = regexp.MustCompile(`(?m)^\s*end$`)
	caskPath  = regexp.MustCompile(`(?m)^\s*(?:manpage|\w+_completion) "(.+)"$`)
)

// uncommented is a cask without the lines that are for people.
func uncommented(cask string) string {
	return regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(cask, "")
}

// checkCaskPaths looks for what the cask installs below the directory that its renames take away.
func checkCaskPaths(t *testing.T, cask, dir string) {
	t.Helper()
	paths := caskPath.FindAllStringSubmatch(cask, -1)
	if len(paths) < 50 {
		t.Errorf("the cask names %d pages and completions", len(paths))
	}
	for _, path := range paths {
		if _, err := os.Stat(filepath.Join(dir, path[1])); err != nil {
			t.Errorf("the cask names what is not in the archive: %v", err)
		}
	}
}
