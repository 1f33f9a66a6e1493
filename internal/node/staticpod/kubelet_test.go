package staticpod_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// kubelet stands in for the real one: it looks at its directory of manifests again and again, runs the container of each
// file whose name does not begin with a dot, starts it again when it ends, and ends it when its manifest has gone or is
// another one. Commands are run on the machine itself; run may put them into a container.
type kubelet struct {
	dir   string
	log   string // file that the containers' output is appended to
	run   func(command []string) []string
	looks atomic.Int64
}

const (
	lookAgain = 50 * time.Millisecond
	grace     = 20 * time.Second // from SIGTERM to SIGKILL
)

// running is one container.
type running struct {
	text string // the manifest that it was started for
	cmd  *exec.Cmd
	done chan struct{}
}

// start lets the kubelet work until the test ends.
func (k *kubelet) start(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var working sync.WaitGroup
	working.Go(func() {
		pods := map[string]*running{}
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for ctx.Err() == nil {
			k.look(t, pods)
			k.looks.Add(1)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		for _, p := range pods {
			p.end()
		}
	})
	t.Cleanup(func() { stop(); working.Wait() })
}

// look does what the directory asks for.
func (k *kubelet) look(t *testing.T, pods map[string]*running) {
	files, err := filepath.Glob(filepath.Join(k.dir, "[^.]*"))
	if err != nil {
		t.Error(err)
	}
	there := map[string]string{}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil { // it may have gone since
			there[file] = string(text)
		}
	}
	for file, p := range pods {
		if there[file] != p.text {
			p.end()
			delete(pods, file)
		} else if p.ended() {
			delete(pods, file)
		}
	}
	for file, text := range there {
		if pods[file] == nil {
			p, err := k.launch(text)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			pods[file] = p
		}
	}
}

// launch starts the first container of a manifest.
func (k *kubelet) launch(text string) (*running, error) {
	var pod struct {
		Spec struct {
			Containers []struct {
				Command []string
				Args    []string
				Env     []struct{ Name, Value string }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &pod); err != nil {
		return nil, err
	}
	c := pod.Spec.Containers[0]
	command := append(c.Command, c.Args...)
	if k.run != nil {
		command = k.run(command)
	}
	log, err := os.OpenFile(k.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p := &running{text: text, cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})} //nolint:noctx // the kubelet ends it
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, clustertest.RunEnv()...)
	for _, e := range c.Env {
		p.cmd.Env = append(p.cmd.Env, e.Name+"="+e.Value)
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return p, nil
}

func (p *running) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end ends a container as a kubelet does.
func (p *running) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// manifest is a static pod as kubeadm writes it, for a member's command.
func manifest(t *testing.T, command, env []string, mounts map[string]string) string {
	t.Helper()
	quote := func(text string) string {
		out, err := yaml.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	var b strings.Builder
	line := func(text string) { b.WriteString(text + "\n") }
	line("# kubeadm wrote this, and an operator added a comment.")
	line("apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    component: etcd\n  name: etcd\n  namespace: kube-system\nspec:\n  containers:\n  - command:")
	for i, arg := range command {
		note := ""
		if i == 1 {
			note = " # as registered"
		}
		line("    - " + quote(arg) + note)
	}
	line("    env:")
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		line("    - name: " + name + "\n      value: " + quote(value))
	}
	line("    image: registry.k8s.io/etcd:3.7.3-0\n    imagePullPolicy: IfNotPresent\n    name: etcd\n    startupProbe:\n      failureThreshold: 24\n      httpGet:\n        host: 127.0.0.1\n        path: /readyz\n        port: 2381\n    volumeMounts:")
	for inside := range mounts {
		line("    - mountPath: " + inside + "\n      name: v" + strings.ReplaceAll(inside, "/", "-"))
	}
	line("  hostNetwork: true\n  volumes:")
	for inside, outside := range mounts {
		line("  - hostPath:\n      path: " + outside + "\n      type: DirectoryOrCreate\n    name: v" + strings.ReplaceAll(inside, "/", "-"))
	}
	return b.String()
}
