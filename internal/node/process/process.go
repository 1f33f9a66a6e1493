// Package process drives a member that no service manager knows: etcdops itself starts it, as a process of its own that
// outlives etcdops. It needs a specification, because a member that is dead cannot be asked how it was started.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/etcdops/etcdops/internal/node/dirs"
	"github.com/etcdops/etcdops/internal/node/launch"
	"github.com/etcdops/etcdops/recovery"
)

// Node is a member on this machine that is started by a specification.
type Node struct {
	path string // of the specification
}

// New drives the member that the specification at path starts.
func New(path string) *Node { return &Node{path: path} }

// maskSuffix ends the name of the file that forbids Start.
const maskSuffix = ".masked"

const (
	stopGrace = 20 * time.Second // from SIGTERM to SIGKILL: a member hands leadership over and closes its streams
	poll      = 20 * time.Millisecond
)

// Survey implements recovery.Node.
func (n *Node) Survey(ctx context.Context) (recovery.Survey, error) {
	_, l, err := n.loadSpec()
	if err != nil {
		return recovery.Survey{}, err
	}
	set, err := dirs.New(l.Dirs())
	if err != nil {
		return recovery.Survey{}, err
	}
	found, err := set.Survey()
	if err != nil {
		return recovery.Survey{}, err
	}
	host, _ := os.Hostname() // only told
	return recovery.Survey{
		Driver: "process", Why: "started by " + n.path, Host: host, Name: l.Name(), Version: l.Version(ctx), Program: l.Program(),
		Settings: l.Settings(), Dirs: found, Files: []string{n.path + ownSuffix},
	}, nil
}

// open reads the specification and the directories that it names.
func (n *Node) open() (Spec, launch.Launch, dirs.Set, error) {
	spec, l, err := n.loadSpec()
	if err != nil {
		return spec, l, dirs.Set{}, err
	}
	set, err := dirs.New(l.Dirs())
	return spec, l, set, err
}

func pidOf(l launch.Launch, set dirs.Set) int { return launch.Running(set.Data, l.ConfigFile()) }

// Status implements recovery.Node.
func (n *Node) Status(context.Context) (recovery.NodeStatus, error) {
	spec, l, set, err := n.open()
	if err != nil {
		return recovery.NodeStatus{}, err
	}
	pid := pidOf(l, set)
	status := recovery.NodeStatus{Known: true, PID: pid, Running: pid != 0, LastLog: launch.LastLines(spec.Log)}
	_, err = os.Lstat(n.path + maskSuffix)
	status.Masked = err == nil
	return status, set.Look(&status)
}

// Stop implements recovery.Node.
func (n *Node) Stop(ctx context.Context) error {
	_, l, set, err := n.open()
	if err != nil {
		return err
	}
	pid := pidOf(l, set)
	if pid == 0 {
		return nil
	}
	return terminate(ctx, pid, func() bool { return pidOf(l, set) != 0 })
}

// Mask implements recovery.Node. Nobody else starts the member: a file reminds a later run of ours.
func (n *Node) Mask(context.Context) error {
	return recovery.WriteFile(n.path+maskSuffix, []byte("masked by etcdops during a recovery\n"), 0o600)
}

// Unmask implements recovery.Node.
func (n *Node) Unmask(context.Context) error {
	if err := os.Remove(n.path + maskSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SetAside implements recovery.Node.
func (n *Node) SetAside(_ context.Context, label string) ([]recovery.Aside, error) {
	_, l, set, err := n.open()
	if err != nil {
		return nil, err
	}
	if pid := pidOf(l, set); pid != 0 {
		return nil, fmt.Errorf("process %d runs on %s", pid, set.Data)
	}
	return set.SetAside(label)
}

// PutBack implements recovery.Node.
func (n *Node) PutBack(_ context.Context, label string) error {
	_, l, set, err := n.open()
	if err != nil {
		return err
	}
	if pid := pidOf(l, set); pid != 0 {
		return fmt.Errorf("process %d runs on %s", pid, set.Data)
	}
	return set.PutBack(label)
}

// Discard implements recovery.Node.
func (n *Node) Discard(_ context.Context, label string) error {
	_, _, set, err := n.open()
	if err != nil {
		return err
	}
	return set.Discard(label)
}

// Start implements recovery.Node.
func (n *Node) Start(context.Context) error {
	spec, l, set, err := n.open()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(n.path + maskSuffix); err == nil {
		return fmt.Errorf("%s is masked", n.path)
	}
	if pidOf(l, set) != 0 {
		return nil
	}
	return start(spec, l)
}
