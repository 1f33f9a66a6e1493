package staticpod_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/node/staticpod"
)

// settingsFile is the settings file that says what a command's flags say.
func settingsFile(command []string, dirs map[string]string) string {
	var b strings.Builder
	b.WriteString("# an operator wrote this\n")
	for _, arg := range command {
		name, value, ok := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if ok && strings.HasPrefix(arg, "--") {
			if inside := dirs[name]; inside != "" {
				value = inside
			}
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String()
}

// TestRecoverMemberBySettingsFile: the member of a static pod is told everything by upstream's settings file, and sees that file, its data
// and its log under other names than the machine. It is recovered with a changed copy of the file; the operator's own stays.
func TestRecoverMemberBySettingsFile(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("mounts of one's own are not allowed here: %v %s", err, out)
	}
	c := clustertest.NewUnstarted(t, clustertest.Options{Size: 3})
	m := c.Members[2]
	logs := t.TempDir()
	wal := filepath.Join(logs, "wal")
	m.Args = append(m.Args, "--wal-dir="+wal)
	c.Start(t)
	c.WaitLeader(t, c.Members...)
	m.Stop(t)
	if err := os.WriteFile(filepath.Join(m.DataDir, "member/snap/db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}

	data, log, etc := t.TempDir(), t.TempDir(), t.TempDir() // as the container knows them
	own := filepath.Join(t.TempDir(), "etc")                // the machine's directory of settings
	command, env := m.Spec()
	original := settingsFile(command, map[string]string{"data-dir": data, "wal-dir": filepath.Join(log, "wal")})
	write(t, filepath.Join(own, "etcd.conf.yaml"), original)
	path := filepath.Join(t.TempDir(), "manifests", "etcd.yaml")
	start := append(programOf(command), "--config-file="+filepath.Join(etc, "etcd.conf.yaml"))
	write(t, path, manifest(t, start, env, map[string]string{data: m.DataDir, log: logs, etc: own}))
	k := &kubelet{dir: filepath.Dir(path), log: m.LogFile, run: func(command []string) []string {
		script := "mount --bind " + m.DataDir + " " + data + " && mount --bind " + logs + " " + log + " && mount --bind " + own + " " + etc + ` && exec "$@"`
		return append([]string{"unshare", "--mount", "sh", "-c", script, "sh"}, command...)
	}}
	k.start(t)

	n := node(path)
	s, err := n.Survey(t.Context())
	if err != nil || s.Name != m.Name || len(s.Dirs) != 2 || s.Dirs[0].Path != m.DataDir || s.Dirs[1].Path != wal {
		t.Fatalf("the survey: %+v %v", s, err)
	}
	if s.Setting("data-dir") != m.DataDir || s.Setting("wal-dir") != wal || s.Setting("initial-cluster-state") != "new" {
		t.Errorf("settings: %+v", s.Settings)
	}
	recoverMember(t, c, m.Name, n)
	m.WaitServing(t)
	fixture.Equal(t, c.Members...)
	if kept, err := os.ReadFile(filepath.Join(own, "etcd.conf.yaml")); err != nil || string(kept) != original {
		t.Errorf("the operator's settings file is not as it was: %s %v", kept, err)
	}
	if s, err := n.Survey(t.Context()); err != nil || s.Setting("initial-cluster-state") != "existing" {
		t.Errorf("the next start: %+v %v", s.Settings, err)
	}
	if st, err := n.Status(t.Context()); err != nil || !st.Running || st.PID == 0 || st.Detached {
		t.Errorf("the member in its container: %+v %v", st, err)
	}
	for _, dir := range []string{m.DataDir, wal} {
		if aside := names(t, filepath.Dir(dir), filepath.Base(dir)+".etcdops-*"); len(aside) != 1 {
			t.Errorf("set aside of %s: %q", dir, aside)
		}
	}
}

// programOf is a command without its flags.
func programOf(command []string) []string {
	var out []string
	for _, word := range command {
		if !strings.HasPrefix(word, "--") {
			out = append(out, word)
		}
	}
	return out
}

// TestRefusesSettingsFileAlone: a settings file that is mounted by itself is refused before anything is done: the container would not
// see a changed copy. One on no directory of the machine is refused too, and a WAL directory that is the top of a mount: etcd makes that
// directory anew when it begins a log, which fails there.
func TestRefusesSettingsFileAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "etcd.conf.yaml")
	write(t, file, "name: m3\ndata-dir: /inside/data\nwal-dir: /inside/wal\n")
	for _, c := range []struct {
		mounts map[string]string
		want   string
	}{
		{map[string]string{"/inside": dir, "/inside/etcd.conf.yaml": file, "/inside/data": dir}, "alone is mounted"},
		{map[string]string{"/inside/data": dir}, "no directory of this machine"},
		{map[string]string{"/inside": dir, "/inside/wal": t.TempDir()}, "etcd cannot begin a log there"},
	} {
		path := filepath.Join(t.TempDir(), "manifests", "etcd.yaml")
		write(t, path, manifest(t, []string{"etcd", "--config-file=/inside/etcd.conf.yaml"}, nil, c.mounts))
		if _, err := staticpod.New(path).Survey(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("mounts %v: %v, want %q", c.mounts, err, c.want)
		}
	}
}
