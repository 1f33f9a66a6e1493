package staticpod

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const kubeadm = `# kubeadm wrote this.
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://10.0.0.3:2379
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --name=cp-3 # the node's name
    - --data-dir=/data
    - --initial-cluster=cp-3=https://10.0.0.3:2380
    - --peer-client-cert-auth=true
    env:
    - name: ETCD_WAL_DIR
      value: /logs/wal
    - name: NODE
      valueFrom:
        fieldRef:
          fieldPath: spec.nodeName
    image: registry.k8s.io/etcd:3.6.4-0
    livenessProbe:
      failureThreshold: 8
      httpGet:
        port: probe-port
    name: etcd
    resources:
      requests:
        cpu: "100m"
        memory: 0x10
    startupProbe:
      failureThreshold: 24
      periodSeconds: 10
    volumeMounts:
    - mountPath: /data
      name: data
    - mountPath: /data/inner
      name: inner
    - mountPath: /logs
      name: logs
      subPath: etcd
    - mountPath: /etc/etcd.yaml
      name: file
    - mountPath: /tmp
      name: scratch
  hostNetwork: true
  volumes:
  - hostPath:
      path: /var/lib/etcd
    name: data
  - hostPath:
      path: /srv/inner
    name: inner
  - hostPath:
      path: /mnt/fast
    name: logs
  - hostPath:
      path: /etc/etcd.yaml
    name: file
  - emptyDir: {}
    name: scratch
status: {}
`

func must(t *testing.T, text string) *manifest {
	t.Helper()
	m, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEditKeepsEverythingElse: only the lines of the settings and of the startup probe's patience are other ones.
func TestEditKeepsEverythingElse(t *testing.T) {
	m := must(t, kubeadm)
	m.set("name", "cp-3")
	m.set("initial-cluster", "cp-1=https://10.0.0.1:2380,cp-3=https://10.0.0.3:2380")
	m.set("initial-cluster-state", "existing")
	m.set("wal-dir", "/logs/new$x")
	m.patient()
	got, err := m.text()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		"--initial-cluster=cp-3=https://10.0.0.3:2380", "--initial-cluster=cp-1=https://10.0.0.1:2380,cp-3=https://10.0.0.3:2380",
		"    - --peer-client-cert-auth=true\n", "    - --peer-client-cert-auth=true\n    - --initial-cluster-state=existing\n",
		"/logs/wal", "/logs/new$$x",
		"failureThreshold: 24", "failureThreshold: 8640",
	).Replace(kubeadm)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the manifest after the change (-want +got):\n%s", diff)
	}
	again := must(t, string(got))
	again.set("initial-cluster-state", "existing")
	again.patient()
	if twice, err := again.text(); err != nil || string(twice) != string(got) {
		t.Errorf("a second change of the same kind changes the manifest:\n%s", cmp.Diff(string(got), string(twice)))
	}
	if value := again.member.launch().Get("wal-dir"); value != "/logs/new$x" {
		t.Errorf("the value with a dollar is read back as %q", value)
	}
}

// TestFormsOfFlags: a setting is changed in the form that it has.
func TestFormsOfFlags(t *testing.T) {
	for _, c := range [][2]string{
		{`{command: [etcd, --data-dir, /d, --name, a]}`, `{command: [etcd, --data-dir, /d, --name, b]}`},
		{`{command: [etcd], args: [-name=a, --data-dir=/d]}`, `{command: [etcd], args: [-name=b, --data-dir=/d]}`},
		{`{command: [etcd], args: [--data-dir=/d]}`, `{command: [etcd], args: [--data-dir=/d, --name=b]}`},
		{`{env: [{name: ETCD_NAME, value: a}, {name: ETCD_DATA_DIR, value: /d}]}`, `{env: [{name: ETCD_NAME, value: b}, {name: ETCD_DATA_DIR, value: /d}]}`},
		{`{env: [{name: ETCD_DATA_DIR, value: /d}]}`, `{env: [{name: ETCD_DATA_DIR, value: /d}], args: [--name=b]}`},
		{`{env: [{name: N, value: a}], command: [etcd, --name=$(N), --data-dir=/d]}`, `{env: [{name: N, value: a}], command: [etcd, --name=b, --data-dir=/d]}`},
	} {
		const head, tail = "kind: Pod\nspec:\n  containers:\n  - ", "\n"
		m := must(t, head+c[0]+tail)
		m.set("name", "b")
		got, err := m.text()
		if err != nil || string(got) != head+c[1]+tail {
			t.Errorf("%s became\n%s, want\n%s (%v)", c[0], got, head+c[1], err)
		}
		if name := must(t, string(got)).member.launch().Name(); name != "b" {
			t.Errorf("%s: the name is %q afterwards", c[0], name)
		}
	}
}

// TestHostPaths: what the container calls /data is another directory of the machine.
func TestHostPaths(t *testing.T) {
	m := must(t, kubeadm)
	for path, want := range map[string]string{
		"/data": "/var/lib/etcd", "/data/": "/var/lib/etcd", "/data/member": "/var/lib/etcd/member", "/data/inner/x": "/srv/inner/x",
		"/logs/wal": "/mnt/fast/etcd/wal", "/tmp/x": "", "/database": "", "/": "",
	} {
		got, _, err := m.host(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q on the machine, want %q (%v)", path, got, want, err)
		}
	}
	var own member
	if err := own.understand([]byte(kubeadm)); err != nil || own.Data != "/var/lib/etcd" || own.WAL != "/mnt/fast/etcd/wal" {
		t.Errorf("directories %q and %q (%v)", own.Data, own.WAL, err)
	}
}

// TestVersionOfImages: a tag is a version only where it is one of etcd's.
func TestVersionOfImages(t *testing.T) {
	for image, want := range map[string]string{
		"registry.k8s.io/etcd:3.6.4-0": "3.6.4", "quay.io/coreos/etcd:v3.5.21": "3.5.21", "host:5000/etcd:3.7.3@sha256:aa": "3.7.3",
		"registry.k8s.io/etcd": "", "host:5000/etcd": "", "ghcr.io/x/etcdops:0.4.0": "", "etcd:latest": "", "etcd:3.6": "", "etcd@sha256:aa": "",
		"rancher/hardened-etcd:v3.5.9-k3s1": "3.5.9", "host:3.1.2/etcd": "",
	} {
		m := manifest{member: container{Image: image}}
		if got := m.version(); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}

// TestRefusedManifests: what is not understood is refused with the way out, never guessed.
func TestRefusedManifests(t *testing.T) {
	for name, text := range map[string]string{
		"no pod":                "kind: Deployment\n",
		"empty":                 "",
		"no YAML":               "{",
		"shell":                 `{kind: Pod, spec: {containers: [{command: [/bin/sh, -c, "exec etcd --data-dir=/d"]}]}}`,
		"two members":           `{kind: Pod, spec: {containers: [{command: [etcd, --data-dir=/a]}, {command: [etcd, --data-dir=/b]}]}}`,
		"two documents":         kubeadm + "---\n" + kubeadm,
		"data in the container": strings.Replace(kubeadm, "--data-dir=/data", "--data-dir=/tmp/etcd", 1),
		"unknown variable":      strings.Replace(kubeadm, "--data-dir=/data", "--data-dir=$(DIR)", 1),
	} {
		var m member
		if err := m.understand([]byte(text)); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}
