package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// lab is what the experiments work with: the programs, a directory for data, and what they leave running.
type lab struct {
	dir   string // for data; every file of the run is below it
	bin   programs
	scale float64 // of the data
	self  string  // this program, which measures commands for itself (see launch.go)
	env   []string
	log   io.Writer

	atEnd   []func() error
	million *member // holds the objects once a row has asked for them
	three   *fleet  // the same on three members
}

// programs are the paths of what is measured.
type programs struct{ etcd, etcdctl, etcdutl, etcdops string }

// newLab builds the programs into a new temporary directory.
func newLab(ctx context.Context, scale float64, log io.Writer) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "etcdops-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, scale: scale, self: self, log: log, env: cleanEnv(os.Environ(), dir)}
	l.bin, err = build(ctx, dir, log)
	return l, err
}

// defers has f called when the lab is closed; what was added last is called first.
func (l *lab) defers(f func() error) { l.atEnd = append(l.atEnd, f) }

// close ends what still runs and removes the data, which keep prevents.
func (l *lab) close(keep bool) error {
	var errs []error
	for _, f := range slices.Backward(l.atEnd) {
		errs = append(errs, f())
	}
	if keep {
		fmt.Fprintln(l.log, "kept", l.dir)
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

// tempDir makes an empty directory.
func (l *lab) tempDir(name string) (string, error) { return os.MkdirTemp(l.dir, name+"-") }

// scaled returns the lab's share of a count, at least 1.
func (l *lab) scaled(n int) int { return max(1, int(float64(n)*l.scale)) }

// cleanEnv is the environment of all that is measured: without settings of Go or etcd, and with a home directory in
// which no tool finds a configuration.
func cleanEnv(env []string, home string) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"GO", "ETCD", "XDG_", "HOME", "KUBECONFIG", "NOTIFY_SOCKET"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	})
	return append(out, "HOME="+home)
}
