// Package systemd drives a member that is a service of systemd. The unit is read with its drop-ins; what recovery
// changes is a drop-in of its own, and the user's files stay as they are.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/node/dirs"
	"github.com/etcdops/etcdops/recovery"
)

// Node is a unit on this machine.
type Node struct {
	unit      string
	Dir       string // of units and drop-ins: /etc/systemd/system
	Systemctl string // program; tests put a stand-in here
}

// New drives a unit; ".service" may be left out.
func New(unit string) *Node {
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	return &Node{unit: unit, Dir: "/etc/systemd/system", Systemctl: "systemctl"}
}

func (n *Node) dropIn(name string) string { return filepath.Join(n.Dir, n.unit+".d", name) }

// The drop-ins of ours. A unit that is masked by systemctl cannot be read any more, and one whose file is in /etc cannot
// be masked at all: a condition that fails keeps it from starting just as well, also after a reboot.
const (
	joinDropIn = "90-etcdops.conf"
	maskDropIn = "95-etcdops-masked.conf"
	joinEnv    = "90-etcdops.env"
	joinConfig = "90-etcdops.yaml"
)

func (n *Node) systemctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.Systemctl, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0"}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}

// read reads the unit and the member's directories.
func (n *Node) read(ctx context.Context) (unit, dirs.Set, error) {
	text, err := n.systemctl(ctx, "cat", n.unit)
	if err != nil {
		return unit{}, dirs.Set{}, err
	}
	u, err := parseUnit(text)
	if err != nil {
		return u, dirs.Set{}, err
	}
	if file := u.launch.ConfigFile(); file != "" {
		if u.launch.Config, err = os.ReadFile(file); err != nil {
			return u, dirs.Set{}, fmt.Errorf("read the member's settings: %w", err)
		}
	}
	set, err := dirs.New(u.launch.Dirs())
	return u, set, err
}

// Survey implements recovery.Node.
func (n *Node) Survey(ctx context.Context) (recovery.Survey, error) {
	u, set, err := n.read(ctx)
	if err != nil {
		return recovery.Survey{}, err
	}
	found, err := set.Survey()
	if err != nil {
		return recovery.Survey{}, err
	}
	host, _ := os.Hostname() // only told
	return recovery.Survey{
		Driver: "systemd", Why: "started by the unit " + n.unit, Host: host, Name: u.launch.Name(), Version: u.launch.Version(ctx), Program: u.launch.Program(),
		Settings: u.launch.Settings(), Dirs: found, Files: []string{n.dropIn(joinDropIn)},
	}, nil
}

// Status implements recovery.Node.
func (n *Node) Status(ctx context.Context) (recovery.NodeStatus, error) {
	_, set, err := n.read(ctx)
	if err != nil {
		return recovery.NodeStatus{}, err
	}
	status := recovery.NodeStatus{Known: true}
	if status.PID, status.Running, err = n.running(ctx); err != nil {
		return status, err
	}
	_, err = os.Lstat(n.dropIn(maskDropIn))
	status.Masked = err == nil
	if !status.Running {
		status.LastLog = n.lastLog(ctx)
	}
	return status, set.Look(&status)
}

// running asks systemd.
func (n *Node) running(ctx context.Context) (pid int, running bool, err error) {
	out, err := n.systemctl(ctx, "show", n.unit, "--property=MainPID,ActiveState")
	if err != nil {
		return 0, false, err
	}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "MainPID":
			if pid, err = strconv.Atoi(value); err != nil {
				return 0, false, fmt.Errorf("systemctl show: MainPID %q", value)
			}
		case "ActiveState":
			running = running || slices.Contains([]string{"active", "reloading", "deactivating"}, value)
		}
	}
	return pid, running || pid != 0, nil
}

// lastLog is the end of the unit's journal, best effort: so much that the reason is among it when a stack trace follows.
func (n *Node) lastLog(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", "-u", n.unit, "-n", "100", "-o", "cat", "--no-pager").Output()
	if err != nil || len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// Stop implements recovery.Node.
func (n *Node) Stop(ctx context.Context) error {
	if _, err := n.systemctl(ctx, "stop", n.unit); err != nil {
		return err
	}
	return n.await(ctx, false)
}

// startLimit is how long the service manager may take to have a process, or none.
const startLimit = 30 * time.Second

// await waits until the unit runs, or does not.
func (n *Node) await(ctx context.Context, want bool) error {
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, running, err := n.running(limited)
		if err == nil && running == want {
			return nil
		}
		select {
		case <-tick.C:
		case <-limited.Done():
			return errors.Join(fmt.Errorf("%s: running is %v after %v; journalctl -u %s", n.unit, running, startLimit, n.unit), err)
		}
	}
}

// Mask implements recovery.Node.
func (n *Node) Mask(ctx context.Context) error {
	file := n.dropIn(maskDropIn)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	text := "# Written by etcdops during a recovery: while this file is here the unit does not start.\n[Unit]\nConditionPathExists=!" + file + "\n"
	if err := recovery.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	return n.reload(ctx)
}

func (n *Node) reload(ctx context.Context) error {
	_, err := n.systemctl(ctx, "daemon-reload")
	return err
}

// Unmask implements recovery.Node.
func (n *Node) Unmask(ctx context.Context) error {
	err := os.Remove(n.dropIn(maskDropIn))
	if err == nil {
		err = recovery.SyncDir(filepath.Dir(n.dropIn(maskDropIn)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return n.reload(ctx)
}

// stopped opens the directories of a unit that does not run.
func (n *Node) stopped(ctx context.Context) (dirs.Set, error) {
	_, set, err := n.read(ctx)
	if err != nil {
		return set, err
	}
	pid, running, err := n.running(ctx)
	if err == nil && running {
		err = fmt.Errorf("%s runs (process %d)", n.unit, pid)
	}
	return set, err
}

// SetAside implements recovery.Node.
func (n *Node) SetAside(ctx context.Context, label string) ([]recovery.Aside, error) {
	set, err := n.stopped(ctx)
	if err != nil {
		return nil, err
	}
	return set.SetAside(label)
}

// PutBack implements recovery.Node.
func (n *Node) PutBack(ctx context.Context, label string) error {
	set, err := n.stopped(ctx)
	if err != nil {
		return err
	}
	return set.PutBack(label)
}

// Discard implements recovery.Node.
func (n *Node) Discard(ctx context.Context, label string) error {
	_, set, err := n.read(ctx)
	if err != nil {
		return err
	}
	return set.Discard(label)
}

// Configure implements recovery.Node.
func (n *Node) Configure(ctx context.Context, settings []recovery.Setting) error {
	u, _, err := n.read(ctx)
	if err != nil {
		return err
	}
	changed, err := u.launch.With(settings, n.dropIn(joinConfig))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(n.dropIn(joinDropIn)), 0o755); err != nil {
		return err
	}
	lines := []string{
		"# Written by etcdops: how the member joined, and what keeps it from beginning a cluster of its own.",
		"[Service]",
		"# A new member is ready only when it has all data.",
		"TimeoutStartSec=infinity",
		"ExecStart=",
		"ExecStart=" + u.prefix + quote(changed.Args),
	}
	if changed.Config != nil {
		if err := n.writeConfig(u.launch.ConfigFile(), changed.Config); err != nil {
			return err
		}
	}
	if env := difference(changed.Env, u.launch.Env); len(env) > 0 {
		if err := recovery.WriteFile(n.dropIn(joinEnv), []byte(strings.Join(env, "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(n.dropIn(joinEnv)); err == nil {
		lines = append(lines, "EnvironmentFile="+n.dropIn(joinEnv))
	}
	if err := recovery.WriteFile(n.dropIn(joinDropIn), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return n.reload(ctx)
}

// writeConfig writes a changed copy of the member's settings file. It may hold secrets, and the member's user must read it: who
// may read the old one may read the new one, and nobody else.
func (n *Node) writeConfig(old string, config []byte) error {
	info, err := os.Stat(old)
	if err != nil {
		return err
	}
	file := n.dropIn(joinConfig)
	if err := recovery.WriteFile(file, config, info.Mode().Perm()); err != nil {
		return err
	}
	return dirs.Inherit(old, file, info)
}

// difference is what a has and b has not.
func difference(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(e string) bool { return slices.Contains(b, e) })
}

// Start implements recovery.Node. It does not wait until the member is ready: a new one is that when it has all data.
func (n *Node) Start(ctx context.Context) error {
	if _, err := os.Lstat(n.dropIn(maskDropIn)); err == nil {
		return fmt.Errorf("%s is masked by %s", n.unit, n.dropIn(maskDropIn))
	}
	_, _ = n.systemctl(ctx, "reset-failed", n.unit) // it fails where there is nothing to reset
	if _, err := n.systemctl(ctx, "start", "--no-block", n.unit); err != nil {
		return err
	}
	return n.await(ctx, true)
}
