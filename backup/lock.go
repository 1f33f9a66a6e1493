package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

var errLocked = errors.New("locked")

// Lock makes sure that only one process of this machine does something: it locks a file, and waits for it up to a limit.
// The lock ends with the process, however that ends.
func Lock(ctx context.Context, path string, wait time.Duration) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, noLock(path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, noLock(path, err)
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := tryLock(f)
		if err == nil {
			note := strconv.Itoa(os.Getpid()) + "\n"
			_ = f.Truncate(0)
			_, _ = f.WriteAt([]byte(note), 0) // for the message of others only
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		case <-limit.C:
			return nil, errors.Join(busy(f), f.Close())
		}
	}
}

// busy says who has the lock.
func busy(f *os.File) error {
	holder, _ := io.ReadAll(io.NewSectionReader(f, 0, 32))
	return &ops.HintError{
		Code: CodeBusy, Class: ops.ClassRefused, Op: "start backup",
		Err:  fmt.Errorf("another one is under way on this machine (process %s)", strings.TrimSpace(string(holder))),
		Hint: "--wait 10m waits for it",
	}
}

// noLock is the failure of a lock file that cannot be made.
func noLock(path string, err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // the path is said already
	}
	return &ops.HintError{
		Op: "make the lock that keeps runs apart", Member: path, Err: err,
		Hint: "XDG_STATE_HOME=DIR names a directory that can be written to; all runs on a machine need the same",
	}
}
