package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/node/launch"
	"github.com/etcdops/etcdops/ops"
)

const pod = `kind: Pod
spec:
  containers:
  - command: [etcd, --name=NAME, --data-dir=/nowhere/data]
    volumeMounts: [{name: data, mountPath: /nowhere/data}]
  volumes: [{name: data, hostPath: {path: /nowhere/data}}]
`

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// where is a machine of files, whose systemctl knows the units given.
func where(t *testing.T, files map[string]string, processes ...launch.Process) machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(root, name), text)
	}
	program := filepath.Join(root, "systemctl")
	put(t, program, "#!/bin/sh\n[ \"$1\" = cat ] && exec cat "+root+"/units/$2\n")
	return machine{root: root, systemctl: program, processes: func() []launch.Process { return processes }}
}

func unitOf(name string) string {
	return "[Service]\nExecStart=/nowhere/etcd --name=" + name + " --data-dir=/nowhere/data\n"
}

func TestDiscover(t *testing.T) {
	for name, c := range map[string]struct {
		files     map[string]string
		processes []launch.Process
		via       string // its end
		why       string // part of it, where nothing is found
	}{
		"nothing":             {why: "nothing on this machine"},
		"usual unit":          {files: map[string]string{"units/etcd.service": unitOf("m3")}, via: "systemd:etcd"},
		"unit of another":     {files: map[string]string{"units/etcd.service": unitOf("m4")}, why: "nothing on this machine"},
		"unusual unit":        {files: map[string]string{"etc/systemd/system/my-etcd-3.service": "", "units/my-etcd-3.service": unitOf("m3")}, via: "systemd:my-etcd-3"},
		"unit of a process":   {files: map[string]string{"units/store.service": unitOf("m3")}, processes: []launch.Process{running("m3", "store.service")}, via: "systemd:store"},
		"unit not to be read": {processes: []launch.Process{running("m3", "store.service")}, why: "--via systemd:store"},
		"kubeadm":             {files: map[string]string{"etc/kubernetes/manifests/etcd.yaml": named(pod, "m3"), "etc/kubernetes/manifests/x.yaml": "kind: Pod"}, via: "static-pod:ROOT/etc/kubernetes/manifests/etcd.yaml"},
		"kubeadm, held":       {files: map[string]string{"etc/kubernetes/manifests.etcdops/etcd.yaml": named(pod, "m3"), "etc/kubernetes/manifests/x.yaml": "kind: Pod"}, via: "static-pod:ROOT/etc/kubernetes/manifests/etcd.yaml"},
		"bare process":        {processes: []launch.Process{running("m4", ""), running("m3", "")}, why: "process 7 (etcd) of this machine runs a member of this name; how it is started is not known here: --via process:FILE"},
		"pod elsewhere":       {processes: []launch.Process{{PID: 7, Kubelet: true, Container: true, Launch: running("m3", "").Launch}}, why: "--via static-pod:MANIFEST"},
		"other container":     {processes: []launch.Process{{PID: 7, Container: true, Launch: running("m3", "").Launch}}, why: "--via hooks:PROGRAM"},
	} {
		m := where(t, c.files, c.processes...)
		f, why, err := m.discover(t.Context(), "m3")
		if err != nil || f.via != strings.Replace(c.via, "ROOT", m.root, 1) || !strings.Contains(why, c.why) || (f.node != nil) != (c.via != "") {
			t.Errorf("%s: found %q, why %q, error %v", name, f.via, why, err)
		}
	}
}

func named(text, name string) string { return strings.Replace(text, "NAME", name, 1) }

func running(name, unit string) launch.Process {
	return launch.Process{PID: 7, Unit: unit, Launch: launch.Launch{Args: []string{"/usr/bin/etcd", "--name=" + name}}}
}

// TestDiscoverRefuses: members that another program owns, and machines where two things start one member.
func TestDiscoverRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files     map[string]string
		processes []launch.Process
		class     ops.Class
		hint      string
	}{
		"k3s":            {files: map[string]string{"var/lib/rancher/k3s/server/db/etcd/config": "name: m3\ndata-dir: /x\n"}, class: ops.ClassRefused, hint: "k3s server --server"},
		"rke2":           {files: map[string]string{"var/lib/rancher/rke2/server/db/etcd/config": "name: m3\n"}, class: ops.ClassRefused, hint: "rke2 server --server"},
		"k3s, elsewhere": {processes: []launch.Process{running("m3", "k3s.service")}, class: ops.ClassRefused, hint: "kubectl delete node"},
		"both":           {files: map[string]string{"units/etcd.service": unitOf("m3"), "etc/kubernetes/manifests/etcd.yaml": named(pod, "m3")}, class: ops.ClassUsage, hint: "--via systemd:etcd or --via static-pod:"},
	} {
		_, _, err := where(t, c.files, c.processes...).discover(t.Context(), "m3")
		told, ok := errors.AsType[*ops.HintError](err)
		if !ok || told.Class != c.class || !strings.Contains(told.Hint, c.hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, via := range []string{"static-pod:/var/lib/rancher/rke2/agent/pod-manifests/etcd.yaml", "static-pod:etcd.yaml"} {
		if _, _, err := Open(t.Context(), via, "m3", Options{}); err == nil {
			t.Errorf("%s was taken", via)
		}
	}
}
