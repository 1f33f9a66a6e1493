package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files again")

// reportFixture is a table with every kind of row, and results of some: met and missed bounds, undecided ones, an
// earlier run on another machine, a quick look, a row without results.
func reportFixture() ([]experiment, *archive) {
	table := []experiment{
		{
			name: "writes", title: "writes", about: "Many clients put.", sides: []string{"etcd", "etcdops"},
			metrics: []metric{{"throughput", "put/s"}, {"p99", "ms"}},
			bounds: []bound{
				atLeast("throughput", "etcdops", 1.1).times(), atLeast("throughput", "etcdops", 10_000), atMost("p99", "etcdops", 1).times(),
			},
		},
		{
			name: "size", title: "size", about: "Of the file.", sides: []string{"etcd", "etcdops"},
			metrics: []metric{{"size", "MB"}}, bounds: []bound{atMost("size", "etcdops", 20)},
		},
		{
			name: "new", title: "not run yet", about: "Later.", sides: []string{"etcd", "etcdops"},
			metrics: []metric{{"wall time", "ms"}}, bounds: []bound{atMost("wall time", "etcdops", 1).times()},
		},
		{
			name: "health", title: "health", about: "Reported, without a bound.", sides: []string{"etcdctl", "etcdops"},
			metrics: []metric{{"wall time", "ms"}},
		},
	}
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	here := machine{CPU: "Some CPU", Cores: 2, MemoryGB: 24, Kernel: "linux 6.1", Disk: "vda, ext4", SyncMS: 0.14}
	programs := map[string]string{"etcd": "v3.7.3", "etcdops": "abc", "go": "1.26"}
	a := &archive{Schema: archiveSchema}
	writes := record{Name: "writes", Date: date, Seconds: 93, Scale: 1, Load: 0.02, Machine: here, Programs: programs}
	for _, round := range [][4]float64{{18_000, 120, 20_000, 118}, {17_000, 110, 18_600, 112}, {18_200, 100, 20_100, 101}} {
		writes.add("etcd", sample{"throughput": round[0], "p99": round[1]})
		writes.add("etcdops", sample{"throughput": round[2], "p99": round[3]})
	}
	a.put(writes)
	size := record{Name: "size", Date: date.Add(-time.Hour), Scale: 1, Machine: machine{Cores: 8, Kernel: "linux"}, Programs: programs}
	size.add("etcd", sample{"size": 58.1})
	size.add("etcdops", sample{"size": 26.5})
	a.put(size)
	health := record{Name: "health", Date: date, Seconds: 1, Scale: 0.02, Load: 1.5, Machine: here, Programs: programs}
	health.add("etcdctl", sample{"wall time": 83})
	health.add("etcdops", sample{"wall time": 22})
	a.put(health)
	return table, a
}

func TestReportGolden(t *testing.T) {
	table, a := reportFixture()
	golden(t, "report.md", render(table, a))
}

func TestReportOfNothingGolden(t *testing.T) {
	table, _ := reportFixture()
	golden(t, "nothing.md", render(table, &archive{}))
}

// TestArchiveGolden reads back what was written, as it was, and holds the form of the file.
func TestArchiveGolden(t *testing.T) {
	_, a := reportFixture()
	text, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "archive.json", string(text))
	path := filepath.Join(t.TempDir(), "a.json")
	if err := replaceFile(path, text); err != nil {
		t.Fatal(err)
	}
	got, err := loadArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, got); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
}

func TestArchiveReplacesOneRow(t *testing.T) {
	_, a := reportFixture()
	rows := len(a.Rows)
	a.put(record{Name: "size", Scale: 0.5})
	if len(a.Rows) != rows || a.find("size").Scale != 0.5 || a.find("writes").Scale != 1 {
		t.Errorf("got %+v", a.Rows)
	}
}

// TestLoadArchiveRefuses: what is no archive would be overwritten.
func TestLoadArchiveRefuses(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"schema":"etcdops.bench/v2"}`, `{"schema":""}`} {
		path := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if a, err := loadArchive(path); err == nil {
			t.Errorf("%q was read as %+v", text, a)
		}
	}
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none.json")} {
		if a, err := loadArchive(path); err != nil || len(a.Rows) > 0 {
			t.Errorf("%q: %+v, %v", path, a, err)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got (write again with -update):\n%s", diff)
	}
}
