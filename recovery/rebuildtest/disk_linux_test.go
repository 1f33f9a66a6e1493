package rebuildtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/fixture"
	"github.com/etcdops/etcdops/internal/clustertest/ledger"
	"github.com/etcdops/etcdops/internal/clustertest/powercut"
)

// onFileSystem makes a lab of one killed member whose data and whose operator's journal are on a file system of its own.
func onFileSystem(t *testing.T, dir string) (*lab, []ledger.Entry) {
	t.Helper()
	l, entries := crashed(t, clustertest.Options{Size: 1}, 50)
	l.move(t, "m1", filepath.Join(dir, "m1"))
	l.state = filepath.Join(dir, "state")
	return l, entries
}

// mayMount skips where file systems cannot be mounted.
func mayMount(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

// TestFaultDiskFull rebuilds on a disk that is full, and gets some more space after each failure: every stop is clean, the
// original is what it was, and in the end it is rebuilt.
func TestFaultDiskFull(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	mayMount(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=1g"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	l, entries := onFileSystem(t, dir)
	t.Cleanup(func() { l.stopNew(t) })
	o := l.order(t, "m1")
	before := l.originals(t)
	filled := fill(t, dir)
	failures, most := 0, 100
	for {
		_, err := o.operator(t)
		same(t, fmt.Sprintf("after %d failures", failures), before, l.originals(t))
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "no space left on device") && !strings.Contains(err.Error(), "its last words") {
			t.Errorf("stopped for another reason: %v", err)
		}
		if failures++; failures > most {
			t.Fatalf("still: %v", err)
		}
		t.Logf("with %d MiB free: %.200s", free(t, dir)>>20, err)
		journals, _, listErr := l.journals()
		if listErr != nil {
			t.Fatal(listErr)
		}
		o.Resume = len(journals) > 0
		release(t, filled)
	}
	if failures < 2 {
		t.Errorf("it failed %d times on a full disk", failures)
	}
	fixture.Prove(t, l.Cluster, entries)
}

// fillStep is how much space comes back after each failure, in bytes.
const fillStep = 16 << 20

// fill takes all the space that a file system has.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 1<<16); err == nil; {
		_, err = f.Write(block)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// release gives some of it back.
func release(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err == nil {
		err = os.Truncate(file, max(0, info.Size()-fillStep))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return s.Bavail * uint64(s.Bsize)
}

// TestFaultPowerCut cuts the power after each stage of a rebuild, by a file system that forgets everything that was not
// synced: the journal and what it says is done are there afterwards, and the original is what it was.
func TestFaultPowerCut(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	disk := powercut.New(t, 1<<30)
	l, entries := onFileSystem(t, disk.Dir)
	t.Cleanup(func() { l.stopNew(t) })
	disk.Flush(t)
	before := l.originals(t)
	o := l.order(t, "m1")
	for _, point := range []string{
		"after-act:copy", "after-done:copy", "after-done:seal", "after-done:replay", "after-act:restore", "after-done:restore", "after-act:switch:m1", "after-done:switch:m1",
	} {
		o.KillAt = point
		killed, err := o.operator(t)
		if err != nil || !killed {
			t.Fatalf("%s: killed %t, %v", point, killed, err)
		}
		disk.Cut(t)
		same(t, "power cut at "+point, before, l.originals(t))
		o.Resume = true
	}
	o.KillAt = ""
	if _, err := o.operator(t); err != nil {
		t.Fatal(err)
	}
	fixture.Prove(t, l.Cluster, entries)
}

// TestFaultSyncError lets a sync fail in the operator, at several places: it stops cleanly, the original is what it was,
// and a run on a disk that works again completes it.
func TestFaultSyncError(t *testing.T) {
	clustertest.Long(t)
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("no strace: apt-get install strace")
	}
	l, entries := onFileSystem(t, t.TempDir())
	t.Cleanup(func() { l.stopNew(t) })
	before := l.originals(t)
	o := l.order(t, "m1")
	o.KillAt = "before-look:seed:m1" // strace would wait for the member
	injected := 0
	for _, when := range []int{1, 2, 4, 7, 8, 9, 10, 12, 16} { // of the syncs of each thread
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := o.command(t, strace, "-f", "-o", trace, "-e", "trace=fsync,fdatasync", "-e", fmt.Sprintf("inject=fsync,fdatasync:error=EIO:when=%d", when))
		cmd.WaitDelay = 10 * time.Second
		out, _ := cmd.CombinedOutput()
		seen, readErr := os.ReadFile(trace)
		if readErr != nil {
			t.Skipf("strace does not work here: %v: %s", readErr, out)
		}
		same(t, fmt.Sprintf("sync %d failed", when), before, l.originals(t))
		failed := bytes.Contains(seen, []byte("(INJECTED)"))
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if failed {
			injected++
			t.Logf("sync %d: %.300s", when, out)
		}
		if failed && len(out) == 0 && !status.Signaled() {
			t.Errorf("sync %d failed, and the operator ended without a word", when)
		}
		// Later ones may be of the server that replays, or of a file that is synced again.
		if when <= 2 && (!failed || status.Signaled() || cmd.ProcessState.Success()) {
			t.Errorf("sync %d failed, and the rebuild went on to start the member", when)
		}
		if bytes.Contains(out, []byte("panic:")) {
			t.Errorf("sync %d: %s", when, out)
		}
		journals, unreadable, err := l.journals()
		if err != nil || len(unreadable) > 0 {
			t.Fatalf("sync %d: journals: %v, %v", when, err, unreadable)
		}
		o.Resume = len(journals) > 0
	}
	if injected == 0 {
		t.Error("no sync failed")
	}
	o.KillAt = ""
	if _, err := o.operator(t); err != nil {
		t.Fatal(err)
	}
	fixture.Prove(t, l.Cluster, entries)
}
