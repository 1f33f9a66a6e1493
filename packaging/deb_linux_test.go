package packaging_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// packageFile is the package of one kind for this machine.
func packageFile(t *testing.T, kind string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist, "*_linux_"+runtime.GOARCH+"."+kind))
	skipUnless(t, err == nil && len(found) > 0, "no package is there: make packages-check")
	return found[0]
}

// packageRoot is an empty system that packages can be installed in: a shell, the programs of this machine that are named, nothing else.
func packageRoot(t *testing.T, manager string, programs ...string) (root string) {
	t.Helper()
	skipUnless(t, os.Getuid() == 0, "packages are installed by root only")
	for _, need := range []string{manager, "busybox"} {
		_, err := exec.LookPath(need)
		skipUnless(t, err == nil, need+" is not here (apt-get install dpkg rpm busybox-static)")
	}
	root = t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "etc", "tmp", "var/lib/dpkg/info", "var/lib/dpkg/updates", "proc", "dev", "usr/bin", "usr/sbin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"var/lib/dpkg/status": "", "etc/passwd": "root:x:0:0:root:/:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/shadow": "root:*:::::::\n",
		"dev/null": "", // as good as the device, and needs no right to make one
	} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shell, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "cp", shell, filepath.Join(root, "bin/busybox"))
	run(t, "chroot", root, "/bin/busybox", "--install", "-s", "/bin")
	for _, name := range programs {
		copyProgram(t, root, name)
	}
	return root
}

// copyProgram copies a program of this machine into root, with the libraries that it is linked to.
func copyProgram(t *testing.T, root, name string) {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		file = filepath.Join("/usr/sbin", name) // not on the PATH of everybody
	}
	files := []string{file}
	for word := range strings.FieldsSeq(run(t, "ldd", file)) {
		if filepath.IsAbs(word) {
			files = append(files, word)
		}
	}
	for _, file := range files {
		to := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "cp", "--dereference", file, to)
	}
}

// checkInstalled looks at what every package brings, and runs the program.
func checkInstalled(t *testing.T, root string, more map[string]fs.FileMode) {
	t.Helper()
	want := map[string]fs.FileMode{
		"usr/bin/etcdops": 0o755, "usr/lib/sysusers.d/etcdops.conf": 0o644, "usr/lib/tmpfiles.d/etcdops.conf": 0o644,
		"etc/default/etcdops": 0o640, "usr/share/man/man1/etcdops-health.1.gz": 0o644, "usr/share/man/man1": 0o755 | fs.ModeDir,
		"usr/share/bash-completion/completions/etcdops": 0o644, "usr/share/fish/vendor_completions.d/etcdops.fish": 0o644,
		"var/lib/etcdops": 0o700 | fs.ModeDir, "etc/etcdops/pki": 0o750 | fs.ModeDir, "usr/share/doc/etcdops/copyright": 0o644,
		"usr/lib/etcdops/containers/hook": 0o755,
	}
	maps.Copy(want, more)
	for path, mode := range want {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode() != mode {
			t.Errorf("/%s has mode %v, want %v", path, info.Mode(), mode)
		}
	}
	if out := run(t, "chroot", root, "/usr/bin/etcdops", "version"); !strings.HasPrefix(out, "etcdops ") {
		t.Errorf("the program says %q", out)
	}
	if out := run(t, "chroot", root, "/usr/lib/etcdops/bin/etcdctl", "version"); !strings.HasPrefix(out, "etcdctl version: 3.") {
		t.Errorf("under the name etcdctl it says %q", out)
	}
	checkPages(t, filepath.Join(root, "usr/share/doc/etcdops"))
	owner := userOf(t, filepath.Join(root, "var/lib/etcdops"))
	if passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd")); err != nil || owner == 0 || !strings.Contains(string(passwd), "etcdops:") {
		t.Errorf("the data directory belongs to user %d; %v\n%s", owner, err, passwd)
	}
}

// units is where systemd's are.
var units = map[string]fs.FileMode{
	"usr/lib/systemd/system/etcdops.service": 0o644, "usr/lib/systemd/system/etcdops-backup.timer": 0o644,
	"usr/lib/systemd/system/etcdops-backup.service": 0o644,
}

// TestDebianPackage installs, upgrades, removes and purges the package in a root of its own.
func TestDebianPackage(t *testing.T) {
	deb := packageFile(t, "deb")
	root := packageRoot(t, "dpkg", "useradd", "getent", "install") // Debian's own: its busybox has none of them
	dpkg := func(args ...string) string {
		t.Helper()
		return run(t, "dpkg", append([]string{"--root=" + root, "--force-depends", "--path-include=/usr/share/doc/*"}, args...)...)
	}
	at := func(path string) string { return filepath.Join(root, path) }
	told := dpkg("--install", deb)
	if !strings.Contains(told, "systemctl enable --now etcdops") {
		t.Errorf("the first installation does not say how to start: %s", told)
	}
	checkInstalled(t, root, units)
	if _, err := os.Stat(at("etc/init.d/etcdops")); err == nil {
		t.Error("the init script of Alpine is in Debian's package")
	}

	settings, data := at("etc/default/etcdops"), at("var/lib/etcdops/kept")
	for _, file := range []string{settings, data} {
		if err := os.WriteFile(file, []byte("# mine\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	dpkg("--install", "--force-confdef", deb) // an upgrade, as far as dpkg can tell
	dpkg("--remove", "etcdops")
	for _, file := range []string{settings, data} {
		if text, err := os.ReadFile(file); err != nil || string(text) != "# mine\n" {
			t.Errorf("after upgrade and removal: %q, %v", text, err)
		}
	}
	if _, err := os.Stat(at("usr/bin/etcdops")); err == nil {
		t.Error("the program is still there after removal")
	}
	dpkg("--purge", "etcdops")
	if _, err := os.Stat(data); err != nil {
		t.Errorf("purging the package took the data: %v", err)
	}
	if _, err := os.Stat(settings); err == nil {
		t.Error("the settings are still there after the purge")
	}
}

func userOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("no owner of %s is known", path)
	}
	return stat.Uid
}

// TestUnitsAreHardened holds the exposure that systemd computes of the service to 1.5 of 10.
func TestUnitsAreHardened(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not here")
	}
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) < 2 {
		t.Fatalf("units: %v, %v", units, err)
	}
	for _, unit := range units {
		if out, err := try(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", unit); err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
