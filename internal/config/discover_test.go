package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/ops"
)

const (
	kubePKI   = "/etc/kubernetes/pki/"
	manifests = "/etc/kubernetes/manifests/"
	openshift = "/etc/kubernetes/static-pod-resources/etcd-certs/"
	kubespray = "/etc/ssl/etcd/ssl/"
	talos     = "/system/secrets/etcd/"
	k0s       = "/var/lib/k0s/pki/"
	canonical = "/var/snap/k8s/common/var/lib/etcd/"
)

// placed is a machine's content and what must be made of it.
type placed struct {
	certificates map[string]string // path -> kind
	files        map[string]string // path -> text
	source       string
	endpoint     string // {URL} is the member's; another one is checked, and then the member is connected to instead
	ca, cert     string
}

// kubeadmPod is the static pod that kubeadm writes, in what matters.
const kubeadmPod = `apiVersion: v1
kind: Pod
metadata:
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://10.0.0.11:2379
    - --cert-file=/etc/kubernetes/pki/etcd/server.crt
    - --client-cert-auth=true
    - --data-dir=/var/lib/etcd
    - --key-file=/etc/kubernetes/pki/etcd/server.key
    - --listen-client-urls={URL},https://10.0.0.11:2379
    - --listen-metrics-urls=http://127.0.0.1:2381
    - --peer-client-cert-auth=true
    - --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
    image: registry.k8s.io/etcd:3.6.5-0
    name: etcd
    volumeMounts:
    - {mountPath: /var/lib/etcd, name: etcd-data}
    - {mountPath: /etc/kubernetes/pki/etcd, name: etcd-certs}
  hostNetwork: true
  volumes:
  - {hostPath: {path: /etc/kubernetes/pki/etcd, type: DirectoryOrCreate}, name: etcd-certs}
  - {hostPath: {path: /var/lib/etcd, type: DirectoryOrCreate}, name: etcd-data}
`

// openshiftPod has etcd behind a shell, and tells etcdctl by variables what it needs.
const openshiftPod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "etcd"}, "spec": {
  "containers": [
    {"name": "etcdctl", "command": ["/bin/bash", "-c", "trap : TERM; sleep infinity"],
     "env": [{"name": "ETCDCTL_API", "value": "3"},
       {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]},
    {"name": "etcd",
     "command": ["/bin/sh", "-c", "#!/bin/sh\nset -euo pipefail\nexec etcd \\\n --cert-file=/etc/kubernetes/static-pod-certs/secrets/etcd-all-certs/etcd-serving-cp1.crt \\\n --listen-client-urls=https://$(NODE_IP):2379 \\\n --trusted-ca-file=/etc/kubernetes/static-pod-certs/configmaps/etcd-all-bundles/server-ca-bundle.crt\n"],
     "env": [{"name": "ETCDCTL_CACERT", "value": "/etc/kubernetes/static-pod-certs/configmaps/etcd-all-bundles/server-ca-bundle.crt"},
       {"name": "ETCDCTL_CERT", "value": "/etc/kubernetes/static-pod-certs/secrets/etcd-all-certs/etcd-peer-cp1.crt"},
       {"name": "ETCDCTL_KEY", "value": "/etc/kubernetes/static-pod-certs/secrets/etcd-all-certs/etcd-peer-cp1.key"},
       {"name": "ETCDCTL_ENDPOINTS", "value": "{URL}"}],
     "volumeMounts": [{"name": "cert-dir", "mountPath": "/etc/kubernetes/static-pod-certs"}]}],
  "volumes": [{"name": "cert-dir", "hostPath": {"path": "/etc/kubernetes/static-pod-resources/etcd-certs"}}]}}`

// kopsAPIServer is kOps' kube-apiserver, whose command is one line for a shell.
const kopsAPIServer = `apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver}
spec:
  containers:
  - name: kube-apiserver
    command: [/bin/sh, -c]
    args: ["mkfifo /tmp/pipe; exec /usr/local/bin/kube-apiserver --allow-privileged=true --etcd-cafile=/etc/kubernetes/pki/kube-apiserver/etcd-ca.crt --etcd-certfile=/etc/kubernetes/pki/kube-apiserver/etcd-client.crt --etcd-keyfile=/etc/kubernetes/pki/kube-apiserver/etcd-client.key --etcd-servers-overrides=/events#https://127.0.0.1:4002 --etcd-servers={URL} > /tmp/pipe 2>&1"]
    volumeMounts: [{mountPath: /etc/kubernetes/pki/kube-apiserver, name: pki}]
  volumes: [{name: pki, hostPath: {path: /srv/kubernetes/kube-apiserver}}]
`

func placements() map[string]placed {
	kubeadm := map[string]string{
		kubePKI + "etcd/ca.crt": isCA, kubePKI + "etcd/healthcheck-client.crt": isClient, kubePKI + "apiserver-etcd-client.crt": isClient,
		kubePKI + "etcd/server.crt": isPeer, kubePKI + "etcd/peer.crt": isPeer,
	}
	out := map[string]placed{
		"kubeadm": {
			certificates: kubeadm, source: "certificates of kubeadm", endpoint: "https://127.0.0.1:2379",
			ca: kubePKI + "etcd/ca.crt", cert: kubePKI + "etcd/healthcheck-client.crt",
		},
		"kubeadm's static pod": {
			certificates: kubeadm, files: map[string]string{manifests + "etcd.yaml": kubeadmPod},
			source: manifests + "etcd.yaml", endpoint: "{URL}", ca: kubePKI + "etcd/ca.crt", cert: kubePKI + "etcd/healthcheck-client.crt",
		},
		"kubeadm after a year": {
			certificates: map[string]string{
				kubePKI + "etcd/ca.crt": isCA, kubePKI + "etcd/healthcheck-client.crt": isExpired, kubePKI + "apiserver-etcd-client.crt": isClient,
				kubePKI + "etcd/server.crt": isPeer,
			},
			source: "certificates of kubeadm", endpoint: "https://127.0.0.1:2379",
			ca: kubePKI + "etcd/ca.crt", cert: kubePKI + "apiserver-etcd-client.crt",
		},
		"kubeadm with an external etcd": {
			certificates: map[string]string{"/etc/pki/etcd-ca.crt": isCA, kubePKI + "apiserver-etcd-client.crt": isClient},
			files: map[string]string{manifests + "kube-apiserver.yaml": `spec: {containers: [{command: [kube-apiserver, --etcd-cafile=/etc/pki/etcd-ca.crt,
				--etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt, --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key, "--etcd-servers={URL}"]}]}`},
			source: manifests + "kube-apiserver.yaml", endpoint: "{URL}", ca: "/etc/pki/etcd-ca.crt", cert: kubePKI + "apiserver-etcd-client.crt",
		},
		"OpenShift": {
			certificates: map[string]string{
				openshift + "configmaps/etcd-serving-ca/ca-bundle.crt": isCA, openshift + "secrets/etcd-all-certs/etcd-peer-cp1.crt": isPeer,
				openshift + "secrets/etcd-all-certs/etcd-serving-cp1.crt": isServer,
			},
			source: "certificates of OpenShift", endpoint: "https://localhost:2379",
			ca: openshift + "configmaps/etcd-serving-ca/ca-bundle.crt", cert: openshift + "secrets/etcd-all-certs/etcd-peer-cp1.crt",
		},
		"OpenShift's static pod": {
			certificates: map[string]string{
				openshift + "configmaps/etcd-all-bundles/server-ca-bundle.crt": isCA, openshift + "secrets/etcd-all-certs/etcd-peer-cp1.crt": isPeer,
			},
			files:  map[string]string{manifests + "etcd-pod.yaml": openshiftPod},
			source: manifests + "etcd-pod.yaml", endpoint: "{URL}",
			ca: openshift + "configmaps/etcd-all-bundles/server-ca-bundle.crt", cert: openshift + "secrets/etcd-all-certs/etcd-peer-cp1.crt",
		},
		"kubespray": {
			certificates: map[string]string{kubespray + "ca.pem": isCA, kubespray + "admin-cp1.pem": isClient, kubespray + "member-cp1.pem": isPeer},
			source:       "certificates of kubespray", endpoint: "https://127.0.0.1:2379", ca: kubespray + "ca.pem", cert: kubespray + "admin-cp1.pem",
		},
		"kubespray's service": {
			certificates: map[string]string{kubespray + "ca.pem": isCA, kubespray + "admin-cp1.pem": isClient, kubespray + "member-cp1.pem": isPeer},
			files: map[string]string{"/etc/etcd.env": "# Environment file for etcd\nETCD_LISTEN_CLIENT_URLS=https://10.1.1.1:2379,{URL}\n" +
				"ETCD_TRUSTED_CA_FILE=/etc/ssl/etcd/ssl/ca.pem\nETCD_CERT_FILE=/etc/ssl/etcd/ssl/member-cp1.pem\nETCD_KEY_FILE=/etc/ssl/etcd/ssl/member-cp1-key.pem\n" +
				"# CLI settings\nETCDCTL_ENDPOINTS={URL}\nETCDCTL_CACERT=/etc/ssl/etcd/ssl/ca.pem\nETCDCTL_KEY=/etc/ssl/etcd/ssl/admin-cp1-key.pem\nETCDCTL_CERT=/etc/ssl/etcd/ssl/admin-cp1.pem\n"},
			source: "/etc/etcd.env", endpoint: "{URL}", ca: kubespray + "ca.pem", cert: kubespray + "admin-cp1.pem",
		},
		"Debian's service": {
			certificates: map[string]string{"/etc/etcd/ca.crt": isCA, "/etc/etcd/server.crt": isPeer},
			files: map[string]string{"/etc/default/etcd": "## etcd(1) daemon options\nexport ETCD_LISTEN_CLIENT_URLS=\"{URL}\"\nETCD_TRUSTED_CA_FILE='/etc/etcd/ca.crt'\n" +
				"ETCD_CERT_FILE=/etc/etcd/server.crt\nETCD_KEY_FILE=/etc/etcd/server.key\n"},
			source: "/etc/default/etcd", endpoint: "{URL}", ca: "/etc/etcd/ca.crt", cert: "/etc/etcd/server.crt",
		},
		"kOps": {
			certificates: map[string]string{kubePKI + "kube-apiserver/etcd-ca.crt": isCA, kubePKI + "kube-apiserver/etcd-client.crt": isClient},
			source:       "certificates of kOps", endpoint: "https://127.0.0.1:4001",
			ca: kubePKI + "kube-apiserver/etcd-ca.crt", cert: kubePKI + "kube-apiserver/etcd-client.crt",
		},
		"kOps' static pod": {
			certificates: map[string]string{"/srv/kubernetes/kube-apiserver/etcd-ca.crt": isCA, "/srv/kubernetes/kube-apiserver/etcd-client.crt": isClient},
			files:        map[string]string{manifests + "kube-apiserver.manifest": kopsAPIServer},
			source:       manifests + "kube-apiserver.manifest", endpoint: "{URL}",
			ca: "/srv/kubernetes/kube-apiserver/etcd-ca.crt", cert: "/srv/kubernetes/kube-apiserver/etcd-client.crt",
		},
		"k0s": {
			certificates: map[string]string{k0s + "etcd/ca.crt": isCA, k0s + "apiserver-etcd-client.crt": isClient, k0s + "etcd/server.crt": isServer},
			source:       "certificates of k0s", endpoint: "https://127.0.0.1:2379", ca: k0s + "etcd/ca.crt", cert: k0s + "apiserver-etcd-client.crt",
		},
		"Talos": {
			certificates: map[string]string{talos + "ca.crt": isCA, talos + "admin.crt": isClient, talos + "server.crt": isPeer, talos + "peer.crt": isPeer},
			source:       "certificates of Talos", endpoint: "https://127.0.0.1:2379", ca: talos + "ca.crt", cert: talos + "admin.crt",
		},
		"Canonical Kubernetes": {
			certificates: map[string]string{canonical + "ca.crt": isCA, canonical + "server.crt": isPeer},
			source:       "certificates of Canonical Kubernetes", endpoint: "https://127.0.0.1:2379", ca: canonical + "ca.crt", cert: canonical + "server.crt",
		},
	}
	for _, name := range []string{"k3s", "rke2"} {
		dir := "/var/lib/rancher/" + name + "/server/tls/etcd/"
		out[name] = placed{
			certificates: map[string]string{dir + "server-ca.crt": isCA, dir + "client.crt": isClient, dir + "server-client.crt": isPeer},
			source:       "certificates of " + name, endpoint: "https://127.0.0.1:2379", ca: dir + "server-ca.crt", cert: dir + "client.crt",
		}
	}
	return out
}

// TestPlacements connects to a real member that demands a client certificate, with nothing to go by but the files of a
// distribution.
func TestPlacements(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{TLS: true})
	for name, tt := range placements() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, c)
			m.certificates(t, tt.certificates)
			for path, text := range tt.files {
				m.write(t, path, text)
			}
			m.check(t, tt)
		})
	}
}

// check wants a machine resolved as told, and the member reached with it.
func (m *fakeMachine) check(t *testing.T, tt placed) {
	t.Helper()
	r, err := m.resolve(t)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := strings.ReplaceAll(tt.endpoint, "{URL}", m.member.ClientURL)
	if !slices.Equal(r.Config.Endpoints, []string{endpoint}) || m.below(r.Config.TLS.CACert) != tt.ca || m.below(r.Config.TLS.Cert) != tt.cert {
		t.Errorf("found %v, CA %s, certificate %s", r.Config.Endpoints, m.below(r.Config.TLS.CACert), m.below(r.Config.TLS.Cert))
	}
	if len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "("+tt.source) {
		t.Errorf("told: %q, want the source %q", r.Notices, tt.source)
	}
	if endpoint != m.member.ClientURL { // the distribution's fixed port: the member of a test has another
		r.Config.Endpoints = []string{m.member.ClientURL}
	}
	m.connects(t, r.Config)
}

// TestRunning finds an etcd among the processes, in a container or not.
func TestRunning(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{TLS: true})
	const tls = " --trusted-ca-file=/pki/ca.crt --cert-file=/pki/server.crt --key-file=/pki/server.key"
	pkiFiles := map[string]string{"/pki/ca.crt": isCA, "/pki/server.crt": isPeer}
	for name, tt := range map[string]struct {
		placed
		args, environ, root string
	}{
		"by flags": {placed{certificates: pkiFiles, cert: "/pki/server.crt", ca: "/pki/ca.crt"}, "/usr/local/bin/etcd --listen-client-urls {URL}" + tls, "", "/"},
		"by single dashes, with a client's certificate": {placed{
			certificates: map[string]string{"/pki/ca.crt": isCA, "/pki/server.crt": isPeer, "/pki/healthcheck-client.crt": isClient},
			cert:         "/pki/healthcheck-client.crt", ca: "/pki/ca.crt",
		}, "etcd -listen-client-urls={URL}" + strings.ReplaceAll(tls, "--", "-"), "", "/"},
		"by variables": {
			placed{certificates: pkiFiles, cert: "/pki/server.crt", ca: "/pki/ca.crt"},
			"etcd", "PATH=/bin\nETCD_LISTEN_CLIENT_URLS={URL}\nETCD_TRUSTED_CA_FILE=/pki/ca.crt\nETCD_CERT_FILE=/pki/server.crt\nETCD_KEY_FILE=/pki/server.key", "/",
		},
		"by its file": {placed{
			certificates: pkiFiles, cert: "/pki/server.crt", ca: "/pki/ca.crt",
			files: map[string]string{"/etc/etcd.yml": "listen-client-urls: {URL}\nclient-transport-security:\n  cert-file: /pki/server.crt\n  key-file: /pki/server.key\n  trusted-ca-file: /pki/ca.crt\n"},
		}, "etcd --config-file=/etc/etcd.yml --listen-client-urls=http://ignored:1", "", "/"},
		"in a container": {placed{
			certificates: map[string]string{"/container/pki/ca.crt": isCA, "/container/pki/server.crt": isPeer, "/pki/ca.crt": isOtherCA},
			cert:         "/proc/77/root/pki/server.crt", ca: "/proc/77/root/pki/ca.crt",
		}, "etcd --listen-client-urls={URL}" + tls, "", "/container"},
		"as etcdops serve": {placed{certificates: pkiFiles, cert: "/pki/server.crt", ca: "/pki/ca.crt"}, "/bin/etcdops serve --listen-client-urls={URL}" + tls, "", "/"},
		"relative to its directory": {placed{
			certificates: map[string]string{"/var/lib/ca.crt": isCA, "/var/lib/server.crt": isPeer}, cert: "/var/lib/server.crt", ca: "/var/lib/ca.crt",
		}, "etcd --listen-client-urls={URL} --trusted-ca-file=ca.crt --cert-file=server.crt --key-file=server.key", "", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, c)
			m.certificates(t, tt.certificates)
			for path, text := range tt.files {
				m.write(t, path, text)
			}
			m.process(t, "76", "/bin/sh -c etcd", "", "/")
			m.process(t, "77", tt.args, tt.environ, tt.root)
			tt.source, tt.endpoint = "running etcd, pid 77", "{URL}"
			m.check(t, tt.placed)
		})
	}
}

func TestRunningAPIServer(t *testing.T) {
	t.Parallel()
	m := newMachine(t, clustertest.New(t, clustertest.Options{TLS: true}))
	m.certificates(t, map[string]string{k0s + "etcd/ca.crt": isCA, k0s + "apiserver-etcd-client.crt": isClient})
	m.process(t, "9", "/var/lib/k0s/bin/kube-apiserver --etcd-servers={URL} --etcd-cafile="+k0s+"etcd/ca.crt --etcd-certfile="+k0s+
		"apiserver-etcd-client.crt --etcd-keyfile="+k0s+"apiserver-etcd-client.key", "", "/")
	m.check(t, placed{source: "running kube-apiserver, pid 9", endpoint: "{URL}", ca: k0s + "etcd/ca.crt", cert: k0s + "apiserver-etcd-client.crt"})
}

// TestSeveralRunning takes the etcd of the objects before that of the events, and tells of the other.
func TestSeveralRunning(t *testing.T) {
	t.Parallel()
	m := &fakeMachine{root: t.TempDir(), member: &clustertest.Member{}}
	m.process(t, "11", "/opt/etcd/etcd --listen-client-urls=https://0.0.0.0:4002 --advertise-client-urls=https://etcd-events.internal:4002", "", "/")
	m.process(t, "12", "/opt/etcd/etcd --listen-client-urls=https://0.0.0.0:4001 --advertise-client-urls=https://etcd.internal:4001", "", "/")
	found, err := config.Discover(m.root)
	if err != nil || !slices.Equal(found.Endpoints, []string{"https://etcd.internal:4001"}) || !strings.Contains(found.Note, "etcd-events.internal:4002") {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestProcessesOfOthers: what another person runs leads nobody to it, whatever port it has; a service's account does.
func TestProcessesOfOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
	m := &fakeMachine{root: t.TempDir(), member: &clustertest.Member{}}
	m.process(t, "11", "etcd --listen-client-urls=http://0.0.0.0:2379 --advertise-client-urls=http://fake.internal:2379", "", "/")
	m.process(t, "12", "etcd --listen-client-urls=http://0.0.0.0:12379 --advertise-client-urls=http://real.internal:12379", "", "/")
	for pid, uid := range map[string]int{"11": 1000, "12": 105} {
		if err := os.Chown(filepath.Join(m.root, "proc", pid), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	found, err := config.Discover(m.root)
	if err != nil || !slices.Equal(found.Endpoints, []string{"http://real.internal:12379"}) || strings.Contains(found.Note, "fake") {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestOtherStores says what a cluster without etcd has instead.
func TestOtherStores(t *testing.T) {
	t.Parallel()
	for path, store := range map[string]string{
		"/var/snap/microk8s/current/x": "MicroK8s keeps its data in dqlite", "/var/lib/rancher/k3s/server/db/state.db": "k3s keeps its data in SQLite",
		"/var/snap/k8s/common/var/lib/k8s-dqlite/x": "Canonical Kubernetes keeps its data in dqlite", "/var/lib/k0s/db/state.db": "k0s keeps its data in SQLite",
	} {
		m := &fakeMachine{root: t.TempDir(), member: &clustertest.Member{}}
		m.write(t, path, "x")
		_, err := m.resolve(t)
		hint, ok := errors.AsType[*ops.HintError](err)
		if !ok || hint.Code != config.CodeNotEtcdStore || !strings.Contains(hint.Error(), store) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestNothingFits still tells of the etcd when another authority signed every certificate there.
func TestNothingFits(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	m := &fakeMachine{root: t.TempDir(), member: &clustertest.Member{}, ca: ca, caFile: pki.NewCA(t, pki.CAOptions{}).CertFile}
	m.certificates(t, map[string]string{kubePKI + "etcd/ca.crt": isCA, kubePKI + "etcd/healthcheck-client.crt": isClient})
	found, err := config.Discover(m.root)
	if err != nil || found.CACert == "" || found.Cert != "" || !strings.Contains(found.Note, "no client certificate") {
		t.Errorf("found %+v, %v", found, err)
	}
}
