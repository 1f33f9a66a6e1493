package recovery_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
	"github.com/etcdops/etcdops/recovery"
)

// TestFaultDiskFull: the target has a disk of its own. Too small for the data it is refused; filled while the new member
// arrives on it, the member is taken back, and once there is room the run goes on.
func TestFaultDiskFull(t *testing.T) {
	clustertest.Long(t)
	const size, database = 600 << 20, 40
	var disk string
	l := newLabOn(t, clustertest.Options{Size: 3}, func(l *lab) {
		disk = filepath.Dir(l.Members[2].DataDir)
		mountDisk(t, disk, size)
	})
	client := l.Members[0].Client(t)
	for i := range database { // 1 MiB each
		if _, err := client.Put(t.Context(), "big/"+strconv.Itoa(i), strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	judge := l.write(t, l.Members[0], l.Members[1])
	l.kill(t, "m3")

	filler := filepath.Join(disk, "filler")
	leave(t, filler, 60<<20) // no room for twice the database, nor for a log
	l.refused(t, l.order("m3"), recovery.CodeDiskSmall)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}

	o := l.order("m3")
	o.Stall = 5 * time.Second
	err := l.recover(t, o, func(run *recovery.MemberRun) {
		run.Fault = func(point string) {
			if point == "before-act:start:m3" {
				leave(t, filler, 150<<20) // room for the log, not for the snapshot
			}
		}
	})
	hint, ok := errors.AsType[*ops.HintError](err)
	if !ok || hint.Class != ops.ClassResumable {
		t.Fatalf("a disk that fills up: %v", err)
	}
	t.Log(err)
	l.takenBack(t)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := l.recover(t, l.order(), nil); err != nil {
		t.Fatal(err)
	}
	l.whole(t, 3)
	judge()
}

// mountDisk puts a file system of that many bytes at dir until the end of the test, where that is allowed.
func mountDisk(t *testing.T, dir string, bytes int) {
	t.Helper()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+strconv.Itoa(bytes))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("a file system of its own takes the right to mount: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // the member may still have files open
			t.Error(err)
		}
	})
}

// leave fills the disk that file is on, but for so many bytes.
func leave(t *testing.T, file string, bytes int64) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(file), &fs); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-bytes)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
