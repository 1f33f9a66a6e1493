package packaging_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRPMPackage installs, upgrades and removes the package in a root of its own.
func TestRPMPackage(t *testing.T) {
	file := packageFile(t, "rpm")
	root := packageRoot(t, "rpm", "useradd", "getent", "install")
	rpm := func(args ...string) string {
		t.Helper()
		// Debian's rpm has another place for the database than its root; nothing of this machine's is looked at.
		return run(t, "rpm", append([]string{"--root=" + root, "--dbpath=/var/lib/rpm"}, args...)...)
	}
	if told := rpm("--install", "--nodeps", file); !strings.Contains(told, "systemctl enable --now etcdops") {
		t.Errorf("the first installation does not say how to start: %s", told)
	}
	checkInstalled(t, root, units)
	if out := rpm("--query", "--configfiles", "etcdops"); out != "/etc/default/etcdops" {
		t.Errorf("settings that an upgrade keeps: %q", out)
	}

	settings, data := filepath.Join(root, "etc/default/etcdops"), filepath.Join(root, "var/lib/etcdops/kept")
	for _, file := range []string{settings, data} {
		if err := os.WriteFile(file, []byte("# mine\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	rpm("--upgrade", "--nodeps", "--force", file) // the scripts are those of an upgrade
	if text, err := os.ReadFile(settings); err != nil || string(text) != "# mine\n" {
		t.Errorf("after an upgrade the settings are %q, %v", text, err)
	}
	rpm("--erase", "--nodeps", "etcdops")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/etcdops")); err == nil {
		t.Error("the program is still there after removal")
	}
	if text, err := os.ReadFile(settings + ".rpmsave"); err != nil || string(text) != "# mine\n" {
		t.Errorf("after removal the settings are %q, %v", text, err)
	}
	if _, err := os.Stat(data); err != nil {
		t.Errorf("removing the package took the data: %v", err)
	}
}

// TestAlpinePackage unpacks the package as apk does, and runs its scripts. Debian has no apk, and its busybox no adduser.
func TestAlpinePackage(t *testing.T) {
	file := packageFile(t, "apk")
	root := packageRoot(t, "tar", "useradd", "getent", "install") // Alpine has adduser, which is not to be had here
	run(t, "tar", "--extract", "--gzip", "--file", file, "--directory", root)
	for _, script := range []string{".post-install", ".pre-deinstall", ".post-deinstall"} {
		run(t, "chroot", root, "/bin/sh", "-n", "/"+script)
	}
	if told := run(t, "chroot", root, "/bin/sh", "/.post-install", "0.0.1-r0"); !strings.Contains(told, "rc-update add etcdops && rc-service etcdops start") {
		t.Errorf("the installation does not say how to start: %s", told)
	}
	checkInstalled(t, root, map[string]fs.FileMode{
		"usr/share/zsh/site-functions/_etcdops": 0o644, "etc/init.d/etcdops": 0o755, "etc/conf.d/etcdops": 0o644,
	})
	checkInitScript(t, root)
	for _, script := range []string{".pre-deinstall", ".post-deinstall"} {
		run(t, "chroot", root, "/bin/sh", "/"+script, "0.0.1-r0")
	}
	text, err := os.ReadFile(filepath.Join(root, ".PKGINFO"))
	if lines := strings.Split(string(text), "\n"); err != nil || !slices.Contains(lines, "pkgname = etcdops") || !slices.Contains(lines, "license = Apache-2.0") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/lib/systemd")); err == nil {
		t.Error("Alpine has no systemd, and the package brings units")
	}
}

// checkInitScript carries out what OpenRC would before it starts the service: here are its rules for scripts, and not its programs.
func checkInitScript(t *testing.T, root string) {
	t.Helper()
	settings := "# a member\nETCD_NAME=m1\nETCD_INITIAL_CLUSTER=m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380\n"
	if err := os.WriteFile(filepath.Join(root, "etc/default/etcdops"), []byte(settings), 0o640); err != nil {
		t.Fatal(err)
	}
	script := `set -eu
checkpath() { echo "checkpath $*"; }
need() { echo "need $*"; }; after() { :; }
. /etc/conf.d/etcdops
output_log= error_log= retry= rc_ulimit= respawn_delay= respawn_max= respawn_period=
. /etc/init.d/etcdops
depend
start_pre
[ -x "$command" ] && [ "$supervisor" = supervise-daemon ] && env && echo "$command_user $umask: $command $command_args"`
	said := strings.Split(run(t, "chroot", root, "/bin/sh", "-c", script), "\n")
	for _, want := range []string{
		"need net", "checkpath --directory --mode 0700 --owner etcdops:etcdops /var/lib/etcdops",
		"ETCD_DATA_DIR=/var/lib/etcdops/member", "ETCD_NAME=m1", "ETCD_INITIAL_CLUSTER=m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380",
		"etcdops:etcdops 0077: /usr/bin/etcdops serve",
	} {
		if !slices.Contains(said, want) {
			t.Errorf("the service has not %q:\n%s", want, strings.Join(said, "\n"))
		}
	}
}
