package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

// TestMain makes the test binary the programs that the bench measures, when it is called by their names, and the bench's
// own launcher.
func TestMain(m *testing.M) {
	args := os.Args
	switch name := filepath.Base(args[0]); {
	case len(args) > 2 && args[1] == launchArg:
		if err := launch(context.Background(), args[2:], os.Stdout, os.Stderr, os.NewFile(3, "report")); err != nil {
			os.Exit(9)
		}
	case name == "etcd":
		etcdmain.Main(args)
	case name == "etcdops" && len(args) > 1 && args[1] == "serve":
		etcdmain.Main(append(args[:1:1], args[2:]...))
	case name == "etcdctl" || name == "etcdops":
		ctlv3.MustStart()
	default:
		os.Exit(m.Run())
	}
}

// testLab is a lab in which both sides are upstream's code.
func testLab(t *testing.T) *lab {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := &lab{dir: dir, scale: 0.001, self: self, env: cleanEnv(os.Environ(), dir), log: t.Output()}
	for name, path := range map[string]*string{"etcd": &l.bin.etcd, "etcdctl": &l.bin.etcdctl, "etcdutl": &l.bin.etcdutl, "etcdops": &l.bin.etcdops} {
		*path = filepath.Join(dir, name)
		if err := os.Symlink(self, *path); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := l.close(false); err != nil {
			t.Error(err)
		}
	})
	return l
}

// TestRows runs rows of every kind on a trace of the data, from the members to the page.
func TestRows(t *testing.T) {
	if testing.Short() {
		t.Skip("starts members")
	}
	l := testLab(t)
	rows := chosen(table(), regexp.MustCompile("^(writes-1|writes-3|start|version|size|scan-keys)$"))
	out := filepath.Join(t.TempDir(), "page.md")
	o := options{rounds: 1, out: out, json: out + ".json"}
	if err := runRows(t.Context(), l, o, rows, &archive{Schema: archiveSchema}, t.Output()); err != nil {
		t.Fatal(err)
	}
	results, err := loadArchive(o.json)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range rows {
		r := results.find(e.name)
		if r == nil {
			t.Errorf("%s is not in the archive", e.name)
			continue
		}
		for _, side := range e.sides {
			for _, m := range e.metrics {
				values := r.values(side, m.name)
				if len(values) != 1 || values[0] <= 0 {
					t.Errorf("%s: %s of %s: got %v, want one value above 0", e.name, m.name, side, values)
				}
			}
		}
	}
	page, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := "Not measured on all of the data: writes-1,"; !bytes.Contains(page, []byte(want)) {
		t.Errorf("the page holds no %q:\n%s", want, page)
	}
}

// TestTable holds what every row must be.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range table() {
		if seen[e.name] || !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(e.name) {
			t.Errorf("%q is no name, or there twice", e.name)
		}
		seen[e.name] = true
		if e.title == "" || e.about == "" || len(e.sides) == 0 || e.rounds < 1 || e.prepare == nil {
			t.Errorf("%s is not complete", e.name)
		}
		for _, b := range e.bounds {
			if e.unit(b.metric) == "" || !strings.Contains(strings.Join(e.sides, "\n"), b.side) || b.limit < 0 || b.relative && len(e.sides) < 2 {
				t.Errorf("%s: bound %+v is of no metric or side", e.name, b)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, args := range []string{"-scale 0", "-scale 1.1", "-rounds -1", "-only (", "writes-1", "-unknown"} {
		if o, err := parse(strings.Fields(args), &bytes.Buffer{}); err == nil {
			t.Errorf("%s gave %+v", args, o)
		}
	}
	o, err := parse(strings.Fields("-out docs/benchmarks.md"), &bytes.Buffer{})
	if err != nil || o.json != "docs/benchmarks.json" || o.scale != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestCleanEnv(t *testing.T) {
	got := cleanEnv([]string{"PATH=/bin", "GOGC=400", "GOMEMLIMIT=1", "ETCD_NAME=x", "ETCDCTL_ENDPOINTS=x", "ETCDOPS_CONTEXT=x", "HOME=/root"}, "/tmp/x")
	if want := "PATH=/bin HOME=/tmp/x"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
