package server

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryFlagHasAPlace: a flag that a new version of etcd brings must be sorted in.
func TestEveryFlagHasAPlace(t *testing.T) {
	places := map[string]int{}
	for _, group := range upstreamGroups() {
		for name := range strings.FieldsSeq(group.names) {
			places[name]++
		}
	}
	set := newFlagSet()
	set.VisitAll(func(f *flag.Flag) {
		ours := set.own.Lookup(f.Name) != nil
		switch n := places[f.Name]; {
		case ours || slices.Contains(ignoredFlags(), f.Name):
			if n != 0 {
				t.Errorf("--%s stands in a section of upstream's", f.Name)
			}
		case n != 1:
			t.Errorf("--%s stands in %d sections", f.Name, n)
		}
		delete(places, f.Name)
	})
	for name := range places {
		t.Errorf("--%s stands in a section and is no flag", name)
	}
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	WriteHelp(&b, func(fs *flag.FlagSet) { fs.Bool("more", false, "An addition.") })
	page := b.String()
	for _, want := range []string{
		"Member:\n  --name VALUE  [default]\n",
		"  --listen-client-urls URL,...  [http://localhost:2379]\n",
		"  --heartbeat-interval N  [100]\n",
		"  --force-new-cluster\n",
		"Additions of etcdops (variables ETCDOPS_SERVE_..., section \"etcdops\" of the settings file):\n  --banner  [true]\n",
		"  --gc-percent VALUE  [auto]\n",
		"  --more\n      An addition.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("missing: %q", want)
		}
	}
	for line := range strings.Lines(page) {
		if len(line) > helpWidth+1 && !strings.HasPrefix(line, "  --") {
			t.Errorf("too wide: %q", line)
		}
	}
	if strings.Contains(page, "--vv") {
		t.Error("shows a flag that does nothing")
	}
}

func TestFlagsForGenerators(t *testing.T) {
	fs := Flags()
	if fs.Lookup("name") == nil || fs.Lookup("gc-percent") == nil || fs.Lookup("vv") != nil {
		t.Error("want the flags of the help page")
	}
}

// TestExplanations: every code that this package uses is explained, once.
func TestExplanations(t *testing.T) {
	explained := map[string]int{}
	for _, e := range Explanations() {
		explained[e.Code]++
		if e.Title == "" || e.Cause == "" || e.Danger == "" || len(e.Fix) == 0 {
			t.Errorf("%s is not explained in full", e.Code)
		}
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, source := range sources {
		if source == "explain.go" || strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range regexp.MustCompile(`ETO-\d{4}`).FindAllString(string(text), -1) {
			used[code] = true
		}
	}
	for code := range used {
		if explained[code] != 1 {
			t.Errorf("%s has %d explanations", code, explained[code])
		}
	}
	for code := range explained {
		if !used[code] {
			t.Errorf("%s is explained and never used", code)
		}
	}
}
