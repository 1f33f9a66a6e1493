package powercut

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is an ext4 file system in a file, which writes nothing by itself for minutes.
type Disk struct {
	Dir string // where it is mounted

	image string
	cuts  int
}

// New makes a disk of size bytes. The test is skipped where none can be made or mounted.
func New(tb testing.TB, size int64) *Disk {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("only root can mount a disk")
	}
	d := &Disk{Dir: tb.TempDir(), image: filepath.Join(tb.TempDir(), "image")}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, size)); err != nil {
		tb.Fatal(err)
	}
	mkfs := exec.CommandContext(tb.Context(), "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", d.image)
	if out, err := mkfs.CombinedOutput(); err != nil {
		tb.Skipf("no ext4 can be made here: %v: %s", err, out)
	}
	if err := d.mount(tb); err != nil {
		tb.Skip(err)
	}
	tb.Cleanup(func() { _ = unix.Unmount(d.Dir, unix.MNT_DETACH) }) // a failed test may have unmounted it
	return d
}

func (d *Disk) mount(tb testing.TB) error {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "mount", "-t", "ext4", "-o", "loop,commit=300", d.image, d.Dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("no file system in a file can be mounted here: %w: %s", err, out)
	}
	return nil
}

// Flush writes everything out: what is there now was there long before the power fails.
func (d *Disk) Flush(tb testing.TB) {
	tb.Helper()
	f, err := os.Open(d.Dir)
	if err == nil {
		err = errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Cut lets the power fail: what was not synced is lost. Then the disk is there again, at the same place.
func (d *Disk) Cut(tb testing.TB) {
	tb.Helper()
	const shutdown, withoutFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	f, err := os.Open(d.Dir)
	if err != nil {
		tb.Fatal(err)
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), shutdown, withoutFlush)
	if err := errors.Join(f.Close(), err); err != nil {
		tb.Skipf("this kernel cannot cut a file system off: %v", err)
	}
	// A copy of what the disk has: the mount namespace of another process may keep the dead file system alive, and the file
	// mounted again would be that one.
	d.cuts++
	after := fmt.Sprintf("%s.%d", d.image, d.cuts)
	if out, err := exec.CommandContext(tb.Context(), "cp", "--sparse=always", d.image, after).CombinedOutput(); err != nil {
		tb.Fatalf("copy the disk: %v: %s", err, out)
	}
	if err := errors.Join(unix.Unmount(d.Dir, unix.MNT_DETACH), os.Remove(d.image)); err != nil {
		tb.Fatal(err)
	}
	d.image = after
	if err := d.mount(tb); err != nil {
		tb.Fatal(err)
	}
}
