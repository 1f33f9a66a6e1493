// Package nodetest is the contract of recovery.Node: every driver passes it, with a real member.
package nodetest

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/node/dirs"
	"github.com/etcdops/etcdops/recovery"
)

// Fixture is a driver with a member that it can start, which has run before and does not run now.
type Fixture struct {
	Node   recovery.Node
	Member *clustertest.Member // a cluster of its own, with data
	WAL    string              // its separate WAL directory, empty without one
	Files  []string            // the user's, which must stay as they are
	// Revive does what else may start the member: the service manager after a reboot, a kubelet that looks again. It
	// returns when that has had its chance. Nil when nothing else does.
	Revive func(t *testing.T)
}

// Run holds a driver against the contract; each part gets a fixture of its own.
func Run(t *testing.T, build func(t *testing.T) Fixture) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, Fixture){
		"survey": survey, "startStop": startStop, "mask": mask, "setAside": setAside, "halfSetAside": halfSetAside,
		"setAsideTwice": setAsideTwice, "configure": configure, "cancel": cancel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, build(t))
		})
	}
}

func survey(t *testing.T, f Fixture) {
	before := tree(t, filepath.Dir(f.Member.DataDir))
	s, err := f.Node.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != f.Member.Name || s.Driver == "" || s.Why == "" || s.Version == "" {
		t.Errorf("the survey tells name %q, driver %q, why %q, version %q", s.Name, s.Driver, s.Why, s.Version)
	}
	want := []string{f.Member.DataDir}
	if f.WAL != "" {
		want = append(want, f.WAL)
	}
	var got []string
	for _, d := range s.Dirs {
		got = append(got, d.Path)
		if d.Empty || d.Bytes == 0 || d.Free == 0 {
			t.Errorf("the survey of %s: %+v", d.Path, d)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("directories %q, want %q", got, want)
	}
	st := status(t, f)
	if !st.Known || st.Running || st.Empty || st.Bytes == 0 || st.MemberID == 0 || st.ClusterID == 0 {
		t.Errorf("the status of a stopped member: %+v", st)
	}
	if after := tree(t, filepath.Dir(f.Member.DataDir)); !maps.Equal(before, after) {
		t.Errorf("looking changed files: %v, before %v", after, before)
	}
}

func startStop(t *testing.T, f Fixture) {
	for range 2 { // the second time is nothing new
		must(t, f.Node.Start(t.Context()))
		waitRunning(t, f)
	}
	for range 2 {
		must(t, f.Node.Stop(t.Context()))
		if st := status(t, f); st.Running {
			t.Fatalf("it runs after Stop: %+v", st)
		}
	}
	must(t, f.Node.Start(t.Context()))
	waitRunning(t, f)
	if _, err := f.Node.SetAside(t.Context(), "running"); err == nil {
		t.Error("the directory of a running member was set aside")
	}
	must(t, f.Node.Stop(t.Context()))
}

func mask(t *testing.T, f Fixture) {
	for range 2 {
		must(t, f.Node.Mask(t.Context()))
	}
	if st := status(t, f); !st.Masked {
		t.Errorf("not masked: %+v", st)
	}
	if f.Revive != nil {
		f.Revive(t)
	}
	if st := status(t, f); st.Running {
		t.Errorf("a masked member was started: %+v", st)
	}
	if err := f.Node.Start(t.Context()); err == nil {
		t.Error("Start started a masked member")
	}
	for range 2 {
		must(t, f.Node.Unmask(t.Context()))
	}
	if st := status(t, f); st.Masked {
		t.Errorf("masked after Unmask: %+v", st)
	}
	must(t, f.Node.Start(t.Context()))
	waitRunning(t, f)
	must(t, f.Node.Stop(t.Context()))
}

func setAside(t *testing.T, f Fixture) {
	const label = "20260102-030405-abcdef"
	must(t, os.Chmod(f.Member.DataDir, 0o711)) // a mode that nobody would invent
	before := tree(t, f.Member.DataDir)
	for range 2 {
		asides, err := f.Node.SetAside(t.Context(), label)
		if err != nil {
			t.Fatal(err)
		}
		if len(asides) != 1 && f.WAL == "" || len(asides) != 2 && f.WAL != "" {
			t.Fatalf("set aside: %+v", asides)
		}
		if asides[0].Path != f.Member.DataDir+dirs.Suffix+label || asides[0].Original != f.Member.DataDir || asides[0].Bytes == 0 {
			t.Errorf("set aside: %+v", asides[0])
		}
		if after := tree(t, asides[0].Path); !maps.Equal(before, after) {
			t.Errorf("what was set aside is not what there was: %v, before %v", after, before)
		}
		if st := status(t, f); !st.Empty || st.MemberID != 0 {
			t.Errorf("after SetAside: %+v", st)
		}
		if info, err := os.Stat(f.Member.DataDir); err != nil || info.Mode().Perm() != 0o711 {
			t.Errorf("the new directory: %v %v", info, err)
		}
	}
	for range 2 {
		must(t, f.Node.PutBack(t.Context(), label))
		if after := tree(t, f.Member.DataDir); !maps.Equal(before, after) {
			t.Errorf("what was put back is not what there was: %v, before %v", after, before)
		}
	}
	_, err := f.Node.SetAside(t.Context(), label)
	must(t, err)
	must(t, f.Node.Discard(t.Context(), label))
	left, err := filepath.Glob(filepath.Dir(f.Member.DataDir) + "/*" + dirs.Suffix + label)
	if err != nil || len(left) > 0 {
		t.Errorf("left after Discard: %v %v", left, err)
	}
}

// halfSetAside is a SetAside that was killed between its two renames.
func halfSetAside(t *testing.T, f Fixture) {
	const label = "half"
	must(t, os.Rename(f.Member.DataDir, f.Member.DataDir+dirs.Suffix+label))
	asides, err := f.Node.SetAside(t.Context(), label)
	if err != nil {
		t.Fatal(err)
	}
	if f.WAL != "" && len(asides) != 2 {
		t.Errorf("set aside: %+v", asides)
	}
	if st := status(t, f); !st.Empty {
		t.Errorf("after SetAside: %+v", st)
	}
	if _, err := os.Stat(f.Member.DataDir); err != nil {
		t.Errorf("no new directory: %v", err)
	}
}

// setAsideTwice is a directory that came to hold data again: nothing may be mixed, and nothing removed.
func setAsideTwice(t *testing.T, f Fixture) {
	_, err := f.Node.SetAside(t.Context(), "one")
	must(t, err)
	stranger := filepath.Join(f.Member.DataDir, "stranger")
	must(t, os.WriteFile(stranger, []byte("data"), 0o600))
	if _, err := f.Node.SetAside(t.Context(), "one"); err == nil {
		t.Error("SetAside took a directory that holds data again")
	}
	if err := f.Node.PutBack(t.Context(), "one"); err == nil {
		t.Error("PutBack replaced a directory that holds data again")
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Error(err)
	}
	_, err = f.Node.SetAside(t.Context(), "two")
	must(t, err)
	if _, err := os.Stat(f.Member.DataDir + dirs.Suffix + "two/stranger"); err != nil {
		t.Error(err)
	}
}

func configure(t *testing.T, f Fixture) {
	var before []string
	for _, file := range f.Files {
		before = append(before, read(t, file))
	}
	settings := []recovery.Setting{
		{Name: "initial-cluster", Value: f.Member.Name + "=" + f.Member.PeerURL},
		{Name: "initial-cluster-state", Value: "existing"},
	}
	for range 2 {
		must(t, f.Node.Configure(t.Context(), settings))
		s, err := f.Node.Survey(t.Context())
		must(t, err)
		for _, set := range settings {
			if got := s.Setting(set.Name); got != set.Value {
				t.Errorf("%s is %q after Configure, want %q", set.Name, got, set.Value)
			}
		}
	}
	for i, file := range f.Files {
		if read(t, file) != before[i] {
			t.Errorf("Configure changed the user's file %s", file)
		}
	}
	must(t, f.Node.Start(t.Context()))
	waitRunning(t, f)
	f.Member.WaitServing(t)
	must(t, f.Node.Stop(t.Context()))
}

// cancel is a Stop whose caller gave up: it ends, whatever the member does.
func cancel(t *testing.T, f Fixture) {
	must(t, f.Node.Start(t.Context()))
	waitRunning(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = f.Node.Stop(ctx) // it may have worked in time
	must(t, f.Node.Stop(t.Context()))
	if st := status(t, f); st.Running {
		t.Errorf("it runs after Stop: %+v", st)
	}
}

func status(t *testing.T, f Fixture) recovery.NodeStatus {
	t.Helper()
	st, err := f.Node.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// waitRunning waits until the node sees its member run.
func waitRunning(t *testing.T, f Fixture) {
	t.Helper()
	const limit, poll = 20 * time.Second, 20 * time.Millisecond
	ctx := clustertest.Context(t, limit)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !status(t, f).Running {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it does not run after %v", limit)
		}
	}
}

// tree is all files below a directory, with their mode and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !strings.HasSuffix(name, "log") {
			files[name] = info.Mode().String() + read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
