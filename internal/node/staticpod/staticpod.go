// Package staticpod drives a member that the kubelet runs as a static pod, as kubeadm sets it up. The kubelet starts what
// is in its directory of manifests and ends what is gone from there: to stop the member its manifest is moved out, to
// start it again it is moved back, in between it gets its new flags.
package staticpod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/etcdops/etcdops/internal/node/dirs"
	"github.com/etcdops/etcdops/internal/node/launch"
	"github.com/etcdops/etcdops/recovery"
)

// Manifest is where kubeadm puts etcd's.
const Manifest = "/etc/kubernetes/manifests/etcd.yaml"

// Node is a static pod on this machine.
type Node struct {
	path string // of the manifest, in the kubelet's directory

	// Settle is how long the kubelet may take to see that a manifest is gone: its fileCheckFrequency. A container that
	// was not seen to run may be started within it.
	Settle time.Duration
	// Patience is how long the kubelet may take to start or end the container, beside the pod's own grace period.
	Patience time.Duration
	Logs     string // directory of the pods' logs
}

// New drives the pod of a manifest: its path in the kubelet's directory, also while it is held elsewhere.
func New(path string) *Node {
	return &Node{path: filepath.Clean(path), Settle: 21 * time.Second, Patience: 2 * time.Minute, Logs: "/var/log/pods"}
}

const poll = 50 * time.Millisecond

// member is what a manifest says of its member.
type member struct {
	*manifest
	file   string        // the manifest's, where it is now
	launch launch.Launch // as the container sees it
	config string        // the settings file on this machine, "" without one
	dirs.Set
}

// read reads the manifest, wherever it is.
func (n *Node) read() (member, error) {
	var m member
	var err error
	if m.file, err = n.file(); err != nil {
		return m, err
	}
	text, err := os.ReadFile(m.file)
	if err != nil {
		return m, err
	}
	if err := m.understand(text); err != nil {
		return m, fmt.Errorf("%s: %w", m.file, err)
	}
	return m, nil
}

// understand finds the member's directories on this machine.
func (m *member) understand(text []byte) (err error) {
	if m.manifest, err = parse(text); err != nil {
		return err
	}
	m.launch = m.member.launch()
	if file := m.launch.ConfigFile(); file != "" {
		if m.config, _, err = m.host(file); err != nil {
			return err
		}
		if m.launch.Config, err = os.ReadFile(m.config); err != nil {
			return fmt.Errorf("read the member's settings: %w", err)
		}
	}
	data, wal := m.launch.Dirs()
	if data, _, err = m.host(data); err != nil {
		return err
	}
	if wal != "" {
		if wal, _, err = m.host(wal); err != nil {
			return err
		}
	}
	m.Set, err = dirs.New(data, wal)
	return err
}

// Survey implements recovery.Node.
func (n *Node) Survey(context.Context) (recovery.Survey, error) {
	m, err := n.read()
	if err != nil {
		return recovery.Survey{}, err
	}
	if err := errors.Join(n.sameFileSystem(), n.alone(m), m.besides(), m.beginsLog()); err != nil {
		return recovery.Survey{}, err
	}
	found, err := m.Survey()
	if err != nil {
		return recovery.Survey{}, err
	}
	why := "run by the kubelet from " + n.path
	if m.file != n.path {
		why = "a static pod whose manifest is held in " + m.file
	}
	host, _ := os.Hostname() // only told
	return recovery.Survey{
		Driver: "static pod", Why: why, Host: host, Name: m.launch.Name(), Version: m.version(),
		Settings: m.settings(found), Dirs: found, Files: []string{n.path},
	}, nil
}

// settings are the member's, with the directories as this machine knows them.
func (m member) settings(found []recovery.Dir) []recovery.Setting {
	out := m.launch.Settings()
	for i, s := range out {
		switch {
		case s.Name == "data-dir":
			out[i].Value = found[0].Path
		case s.Name == "wal-dir" && len(found) > 1:
			out[i].Value = found[1].Path
		}
	}
	return out
}

// alone refuses another manifest for the same directory: the kubelet runs every file of its directory whose name does
// not begin with a dot, a copy for safety too.
func (n *Node) alone(m member) error {
	entries, err := os.ReadDir(filepath.Dir(n.path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(filepath.Dir(n.path), e.Name())
		if e.IsDir() || e.Name()[0] == '.' || path == n.path {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var other member
		if other.understand(text) == nil && (other.Data == m.Data || other.WAL != "" && other.WAL == m.WAL) {
			return fmt.Errorf("%s is of the same data directory, and the kubelet runs every file there: move it to another directory first", path)
		}
	}
	return nil
}

// running finds the member's process in its container, and whether the directories are in use. A directory that was
// replaced under a running member is another one than the container has: then it is found by its name and its own path.
func (m member) running() (pid int, running bool) {
	if pid = launch.RunningOn(m.Data); pid != 0 {
		return pid, true
	}
	for _, p := range launch.Members() {
		if p.Launch.Name() == m.launch.Name() && p.Launch.Get("data-dir") == m.launch.Get("data-dir") {
			return p.PID, true
		}
	}
	return 0, m.InUse() != nil
}

// Status implements recovery.Node.
func (n *Node) Status(context.Context) (recovery.NodeStatus, error) {
	m, err := n.read()
	if err != nil {
		return recovery.NodeStatus{}, err
	}
	status := recovery.NodeStatus{Known: true, Masked: n.masked()}
	status.PID, status.Running = m.running()
	if !status.Running {
		status.LastLog = n.lastLog(m)
	}
	return status, m.Look(&status)
}

// masked reports whether nothing but us starts the member. A manifest that the kubelet has is not masked, whatever was.
func (n *Node) masked() bool { return exists(n.held()+maskSuffix) && !exists(n.path) }

// lastLog is the end of the container's newest log, best effort.
func (n *Node) lastLog(m member) []string {
	logs, err := filepath.Glob(filepath.Join(n.Logs, m.pod.Metadata.Namespace+"_"+m.pod.Metadata.Name+"-*", m.member.Name, "*.log"))
	if err != nil || len(logs) == 0 {
		return nil
	}
	newest := slices.MaxFunc(logs, func(a, b string) int { return modified(a).Compare(modified(b)) })
	return launch.LastLines(newest)
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Stop implements recovery.Node.
func (n *Node) Stop(ctx context.Context) error {
	m, err := n.read()
	if err != nil {
		return err
	}
	_, ran := m.running()
	if !ran && n.masked() {
		return nil // it was seen to end, or waited for, before it was marked
	}
	if err := n.moveOut(); err != nil {
		return err
	}
	if err := n.await(ctx, m, false, n.Patience+time.Duration(m.grace())*time.Second); err != nil {
		return fmt.Errorf("%s was moved to %s, and %w; the kubelet ends the container: systemctl status kubelet; crictl ps", n.path, n.held(), err)
	}
	if ran {
		return nil // it ended because its manifest is gone
	}
	return n.settle(ctx, m)
}

// await waits until the member runs, or does not.
func (n *Node) await(ctx context.Context, m member, want bool, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		pid, running := m.running()
		if running == want {
			return nil
		}
		select {
		case <-tick.C:
		case <-limited.Done():
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case pid != 0:
				return fmt.Errorf("process %d runs after %v", pid, limit)
			case running:
				return fmt.Errorf("%s is locked after %v", m.Data, limit)
			}
			return fmt.Errorf("no process runs after %v", limit)
		}
	}
}

// settle waits until the kubelet has surely seen that the manifest is gone. A container that crashes again and again, or
// is about to be started, does not run at one moment and runs at the next.
func (n *Node) settle(ctx context.Context, m member) error {
	rest := n.Settle - max(0, time.Since(n.heldSince()))
	if rest <= 0 {
		return nil
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return n.await(ctx, m, false, n.Patience)
}

// Mask implements recovery.Node. Only a kubelet that has seen that the manifest is gone does not start it, so this stops
// the member as well.
func (n *Node) Mask(ctx context.Context) error {
	if n.masked() {
		return nil
	}
	if err := n.Stop(ctx); err != nil {
		return err
	}
	return recovery.WriteFile(n.held()+maskSuffix, []byte("masked by etcdops during a recovery\n"), 0o600)
}

// Unmask implements recovery.Node.
func (n *Node) Unmask(context.Context) error {
	err := os.Remove(n.held() + maskSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, recovery.SyncDir(filepath.Dir(n.held())))
}

// stopped opens the directories of a member that does not run and that the kubelet does not have.
func (n *Node) stopped() (member, error) {
	m, err := n.read()
	if err != nil {
		return m, err
	}
	if m.file == n.path {
		return m, fmt.Errorf("the kubelet has %s and may start the member at any moment: stop it first", n.path)
	}
	if pid, running := m.running(); running {
		return m, fmt.Errorf("process %d runs on %s", pid, m.Data)
	}
	return m, nil
}

// SetAside implements recovery.Node.
func (n *Node) SetAside(_ context.Context, label string) ([]recovery.Aside, error) {
	m, err := n.stopped()
	if err != nil {
		return nil, err
	}
	return m.SetAside(label)
}

// PutBack implements recovery.Node.
func (n *Node) PutBack(_ context.Context, label string) error {
	m, err := n.stopped()
	if err != nil {
		return err
	}
	return m.PutBack(label)
}

// Discard implements recovery.Node.
func (n *Node) Discard(_ context.Context, label string) error {
	m, err := n.read()
	if err != nil {
		return err
	}
	return m.Discard(label)
}

// Configure implements recovery.Node: a new manifest is written while the kubelet has none, and the old one is kept.
func (n *Node) Configure(_ context.Context, settings []recovery.Setting) error {
	m, err := n.read()
	if err != nil {
		return err
	}
	if m.file == n.path {
		return fmt.Errorf("the kubelet has %s and would start the member anew at each change: stop it first", n.path)
	}
	if m.config == "" {
		for _, s := range settings {
			m.set(s.Name, s.Value)
		}
	} else if err := m.configureFile(settings); err != nil {
		return err
	}
	m.patient()
	text, err := m.text()
	if err != nil {
		return err
	}
	return n.replace(text)
}

// besides refuses a settings file that is mounted alone: the container would not see a changed copy beside it. That must be
// known before anything is done.
func (m member) besides() error {
	inside := m.launch.ConfigFile()
	if inside == "" || filepath.Ext(inside) == holdSuffix {
		return nil
	}
	_, own, err := m.host(inside)
	if own {
		err = errors.Join(err, fmt.Errorf("%s alone is mounted in the container, which sees no changed copy beside it: mount its directory, or %w", inside, errHooks))
	}
	return err
}

// beginsLog refuses a WAL directory that is the top of a mount in the container: etcd removes and makes that directory when it
// begins a log, which fails there, after a recovery has emptied it.
func (m member) beginsLog() error {
	_, wal := m.launch.Dirs()
	if wal == "" {
		return nil
	}
	_, own, err := m.host(wal)
	if own {
		err = errors.Join(err, fmt.Errorf("the WAL directory %s is the top of a mount of container %q: etcd cannot begin a log there; mount the directory above it", wal, m.member.Name))
	}
	return err
}

// configureFile writes a changed copy of the member's settings file beside it, where the container sees it too.
func (m member) configureFile(settings []recovery.Setting) error {
	if err := m.besides(); err != nil {
		return err
	}
	inside, onHost := m.launch.ConfigFile(), m.config
	if filepath.Ext(inside) != holdSuffix {
		inside, onHost = inside+holdSuffix, onHost+holdSuffix
	}
	changed, err := m.launch.With(settings, inside)
	if err != nil {
		return err
	}
	info, err := os.Stat(m.config)
	if err != nil {
		return err
	}
	if err := recovery.WriteFile(onHost, changed.Config, info.Mode().Perm()); err != nil {
		return err
	}
	m.set("config-file", inside)
	if onHost == m.config {
		return nil
	}
	return dirs.Inherit(m.config, onHost, info)
}

// Start implements recovery.Node. It does not wait until the member is ready: a new one is that when it has all data.
func (n *Node) Start(ctx context.Context) error {
	m, err := n.read()
	if err != nil {
		return err
	}
	if exists(n.held() + maskSuffix) {
		return fmt.Errorf("%s is masked by %s", n.path, n.held()+maskSuffix)
	}
	if err := n.moveIn(); err != nil {
		return err
	}
	if err := n.await(ctx, m, true, n.Patience); err != nil {
		return fmt.Errorf("%s is there, and %w; the kubelet starts the container: journalctl -u kubelet; crictl ps -a", n.path, err)
	}
	return nil
}
