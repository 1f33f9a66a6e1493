package staticpod_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/node/nodetest"
	"github.com/etcdops/etcdops/internal/node/staticpod"
	"github.com/etcdops/etcdops/recovery"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// held is a member whose manifest is held, and a kubelet that works.
func held(t *testing.T) (nodetest.Fixture, *kubelet) {
	m, wal := nodetest.StoppedMember(t)
	command, env := m.Spec()
	dir := filepath.Join(t.TempDir(), "manifests")
	path := filepath.Join(dir, "etcd.yaml")
	write(t, path, manifest(t, command, env, map[string]string{filepath.Dir(wal): filepath.Dir(wal)}))
	n := node(path)
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := &kubelet{dir: dir, log: m.LogFile}
	k.start(t)
	t.Cleanup(func() { _ = n.Stop(context.WithoutCancel(t.Context())) })
	return nodetest.Fixture{Node: n, Member: m, WAL: wal, Revive: func(t *testing.T) { k.again(t) }}, k
}

// node drives a manifest of a kubelet that looks often.
func node(path string) *staticpod.Node {
	n := staticpod.New(path)
	n.Settle = 4 * lookAgain
	return n
}

// again waits until the kubelet has looked at its directory anew, from beginning to end.
func (k *kubelet) again(t *testing.T) {
	t.Helper()
	ctx := clustertest.Context(t, time.Minute)
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for want := k.looks.Load() + 2; k.looks.Load() < want; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the kubelet does not look")
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	nodetest.Run(t, func(t *testing.T) nodetest.Fixture {
		f, _ := held(t)
		return f
	})
}

// TestKilledBetweenRenames: from every state that a kill can leave, the same calls lead to the same end.
func TestKilledBetweenRenames(t *testing.T) {
	text := func(name string) string {
		return manifest(t, []string{"etcd", "--name=" + name, "--data-dir=/nowhere/data"}, nil, map[string]string{"/nowhere/data": "/nowhere/data"})
	}
	const held, masked = "manifests.etcdops/etcd.yaml", "manifests.etcdops/etcd.yaml.masked"
	for name, files := range map[string]map[string]string{
		"nothing was done":                 {"manifests/etcd.yaml": text("m3")},
		"the directory was made":           {"manifests/etcd.yaml": text("m3"), "manifests.etcdops/.other": ""},
		"moved out":                        {"manifests/.kept": "", held: text("m3")},
		"moved out and masked":             {"manifests/.kept": "", held: text("m3"), masked: ""},
		"masked, and it came back":         {"manifests/etcd.yaml": text("m3"), held: text("older"), masked: ""},
		"a new manifest was being written": {"manifests/.kept": "", held: text("m3"), masked: "", "manifests.etcdops/.etcd.yaml.new": "half"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, content := range files {
				write(t, filepath.Join(dir, file), content)
			}
			n := node(filepath.Join(dir, "manifests/etcd.yaml"))
			if st, err := n.Status(t.Context()); err != nil || st.Masked != (files[masked] == "" && hasKey(files, masked) && !hasKey(files, "manifests/etcd.yaml")) {
				t.Errorf("at first: %+v %v", st, err)
			}
			for range 2 {
				if err := n.Mask(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := n.Configure(t.Context(), []recovery.Setting{{Name: "initial-cluster-state", Value: "existing"}}); err != nil {
				t.Fatal(err)
			}
			if left := names(t, filepath.Join(dir, "manifests"), "[^.]*"); len(left) > 0 {
				t.Errorf("the kubelet has %q while the member is masked", left)
			}
			if err := n.Unmask(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := n.Start(ctx); err == nil { // nothing runs here: only the manifest is of interest
				t.Error("Start says that a process runs")
			}
			s, err := n.Survey(t.Context())
			if err != nil || s.Name != "m3" || s.Setting("initial-cluster-state") != "existing" {
				t.Errorf("at the end: %+v %v", s, err)
			}
			if left := names(t, filepath.Join(dir, "manifests"), "[^.]*"); len(left) != 1 {
				t.Errorf("the kubelet has %q, want the manifest alone", left)
			}
			kept := false
			for _, old := range names(t, filepath.Join(dir, "manifests.etcdops"), "*.old-*") {
				content, err := os.ReadFile(old)
				kept = kept || err == nil && string(content) == text("m3")
			}
			if !kept {
				t.Error("the manifest as it was is not kept")
			}
		})
	}
}

func hasKey(files map[string]string, name string) bool {
	_, ok := files[name]
	return ok
}

func names(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestWaitsForAKubeletThatHasNotLooked: a container that does not run this moment may be started by a kubelet that read
// the manifest before it went.
func TestWaitsForAKubeletThatHasNotLooked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "manifests/etcd.yaml")
	write(t, path, manifest(t, []string{"etcd", "--data-dir=/nowhere/data"}, nil, map[string]string{"/nowhere/data": "/nowhere/data"}))
	n := staticpod.New(path)
	n.Settle = time.Hour
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if err := n.Mask(ctx); err == nil {
		t.Error("Mask did not wait")
	}
	if st, err := n.Status(t.Context()); err != nil || st.Masked {
		t.Errorf("it says that it is masked: %+v %v", st, err)
	}
	n.Settle = 0
	if err := n.Mask(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Settle = time.Hour // once it is masked nobody waits again
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, path, manifest(t, []string{"etcd", "--data-dir=/nowhere/data"}, nil, map[string]string{"/nowhere/data": "/nowhere/data"}))
	again, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if err := n.Mask(again); err == nil {
		t.Error("Mask did not wait for a manifest that came back")
	}
	if st, err := n.Status(t.Context()); err != nil || st.Masked {
		t.Errorf("it says that it is masked: %+v %v", st, err)
	}
}

// TestRefuses: what would not keep the member stopped, or is not where it says.
func TestRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "manifests/etcd.yaml")
	text := manifest(t, []string{"etcd", "--data-dir=/nowhere/data"}, nil, map[string]string{"/nowhere/data": "/nowhere/data"})
	if _, err := node(path).Survey(t.Context()); err == nil {
		t.Error("a manifest that is not there was surveyed")
	}
	write(t, path, text)
	if _, err := node(path).Survey(t.Context()); err != nil {
		t.Error(err)
	}
	if err := node(path).Configure(t.Context(), nil); err == nil {
		t.Error("the manifest that the kubelet has was changed")
	}
	if _, err := node(path).SetAside(t.Context(), "x"); err == nil {
		t.Error("directories were set aside while the kubelet has the manifest")
	}
	write(t, filepath.Join(dir, "manifests/.etcd.yaml.swp"), text) // the kubelet does not read it
	write(t, filepath.Join(dir, "manifests/scheduler.yaml"), "kind: Pod\n")
	if _, err := node(path).Survey(t.Context()); err != nil {
		t.Error(err)
	}
	write(t, filepath.Join(dir, "manifests/etcd.yaml.bak"), text)
	if _, err := node(path).Survey(t.Context()); err == nil {
		t.Error("a copy of the manifest, which the kubelet runs too, was not seen")
	}
}
