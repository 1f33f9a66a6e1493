package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/backup"
	"github.com/etcdops/etcdops/backup/dirstore"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/powercut"
	"github.com/etcdops/etcdops/ops"
)

// mount mounts a file system of its own for a test, which is skipped where that is not allowed.
func mount(t *testing.T, args ...string) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir = t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Skipf("cannot mount here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestDiskFull has the spool and the repository on disks that are too small, at first sight or half-way: a clear error, nothing
// left, and the backups of before as they were.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	small := mount(t, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
	half := mount(t, "-t", "tmpfs", "-o", "size=10m", "tmpfs")
	l := newLab(t, clustertest.Options{})
	l.put(t, 60, 100_000) // 6 MB that do not compress
	for name, dir := range map[string]string{"too small": small, "full half-way": half} {
		_, err := l.repo.Create(clustertest.Context(t, time.Minute), l.conn, backup.CreateOptions{SpoolDir: dir})
		if ops.CodeOf(err) != backup.CodeSpool || !strings.Contains(err.Error(), dir) {
			t.Errorf("a spool that is %s: %v", name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("a spool that is %s: left %v, %v", name, left, err)
		}
	}
	if got := l.ids(t); len(got) > 0 {
		t.Errorf("backups %v", got)
	}
	store, err := dirstore.Create(filepath.Join(half, "repo"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if l.repo, err = backup.EnsureRepository(t.Context(), store, time.Now()); err != nil {
		t.Fatal(err)
	}
	first := l.create(t, backup.CreateOptions{}) // the second does not fit any more
	_, err = l.repo.Create(clustertest.Context(t, time.Minute), l.conn, backup.CreateOptions{SpoolDir: l.spool})
	if ops.CodeOf(err) != backup.CodeStore || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a repository that is full: %v", err)
	}
	if err := unix.Mount("", half, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err = l.repo.Create(clustertest.Context(t, time.Minute), l.conn, backup.CreateOptions{SpoolDir: l.spool})
	if ops.CodeOf(err) != backup.CodeStore || !errors.Is(err, syscall.EROFS) {
		t.Errorf("a repository that is read-only: %v", err)
	}
	if got := l.ids(t); len(got) != 1 || got[0] != first.ID {
		t.Errorf("backups %v, want %s", got, first.ID)
	}
	if level, err := l.repo.Verify(t.Context(), l.find(t, first.ID), backup.VerifyOptions{Level: backup.LevelData, SpoolDir: l.spool}); err != nil {
		t.Errorf("the first backup: %v, %v", level, err)
	}
}

// TestPowerCutAfterSaved cuts the power of the repository's disk in the moment that a backup is reported: after the restart it
// is there, whole. The disk writes nothing back by itself for five minutes, so only what was synced survives.
func TestPowerCutAfterSaved(t *testing.T) {
	t.Parallel()
	disk := powercut.New(t, 64<<20)
	l := newLab(t, clustertest.Options{})
	l.put(t, 20, 100_000)
	store, err := dirstore.Create(filepath.Join(disk.Dir, "deep", "repo"))
	if err != nil {
		t.Fatal(err)
	}
	if l.repo, err = backup.EnsureRepository(t.Context(), store, time.Now()); err != nil {
		t.Fatal(err)
	}
	m := l.create(t, backup.CreateOptions{})
	disk.Cut(t)
	_ = store.Close()
	if store, err = dirstore.Open(filepath.Join(disk.Dir, "deep", "repo")); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if l.repo, err = backup.OpenRepository(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	e := l.find(t, m.ID)
	if level, err := l.repo.Verify(t.Context(), e, backup.VerifyOptions{Level: backup.LevelData, SpoolDir: l.spool}); err != nil || level != backup.LevelData {
		t.Errorf("the backup that was reported: %v, %v", level, err)
	}
}

// TestLongSecretsAndPermissions runs the program as an operator does, with users, an encrypted repository and debug logs: no
// secret is in its arguments, its environment, its output or any file that it leaves or has open. A user who may not write to
// the repository is told so.
func TestLongSecretsAndPermissions(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	program := buildProgram(t)
	const password, phrase, value = "canary-password", "canary-phrase", "canary-value"
	l := newLab(t, clustertest.Options{Auth: &clustertest.Auth{RootPassword: password}})
	if _, err := l.Client(t).Put(t.Context(), "app/x", strings.Repeat(value, 100_000)); err != nil {
		t.Fatal(err)
	}
	work, home := t.TempDir(), t.TempDir()
	for name, secret := range map[string]string{"password": password, "phrase": phrase} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	repo := filepath.Join(home, "repo")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "backup", "create", "--debug", "--rate", "500KB", "--endpoints", l.Endpoints()[0], "--user", "root",
		"--password-file", filepath.Join(work, "password"), "--passphrase-file", filepath.Join(work, "phrase"), "--repo", repo, "--spool", filepath.Join(home, "spool"))
	cmd.Env = append([]string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH")}, clustertest.RunEnv()...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	looks := 0
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v: %s", err, out.String())
			}
			running = false
		default:
			looks += lookAtProcess(t, cmd.Process.Pid)
		}
	}
	if strings.Contains(out.String(), "canary") {
		t.Errorf("it printed a secret: %s", out.String())
	}
	if looks == 0 {
		t.Error("the running process was never looked at")
	}
	n := 0
	_ = filepath.WalkDir(home, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			n++
			if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("canary")) {
				t.Errorf("%s holds a secret, or %v", path, err)
			}
		}
		return nil
	})
	if n < 3 {
		t.Errorf("only %d files were looked at", n)
	}
	refusedToOthers(t, program, repo)
}

// lookAtProcess looks for secrets in what everybody on the machine can see of a process. It returns how much was seen.
func lookAtProcess(t *testing.T, pid int) (seen int) {
	t.Helper()
	for _, name := range []string{"cmdline", "environ"} {
		data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
		if err != nil || len(data) == 0 {
			continue // it has just begun, or ended
		}
		seen++
		if bytes.Contains(data, []byte("canary")) {
			t.Errorf("%s holds a secret: %q", name, data)
		}
	}
	return seen
}

// refusedToOthers has another user read the repository.
func refusedToOthers(t *testing.T, program, repo string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return // there is no other user to be
	}
	shared := filepath.Join("/tmp", fmt.Sprintf("etcdops-test-%d", os.Getpid())) // t.TempDir is closed to others
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(shared) }()
	for from, to := range map[string]string{program: "etcdops"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(shared, to), data, 0o755); err != nil { //nolint:gosec // others run it
			t.Fatal(err)
		}
	}
	if err := os.Rename(repo, filepath.Join(shared, "repo")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(shared, "etcdops"), "backup", "list", "--repo", filepath.Join(shared, "repo"))
	cmd.Env = []string{"HOME=/nonexistent"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "permission denied") {
		t.Errorf("another user: %v: %s", err, out)
	}
}
