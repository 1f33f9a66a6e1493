package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/ops"
)

// layout is where a distribution of Kubernetes keeps the certificates of its etcd. Stars match any name.
type layout struct {
	name     string
	endpoint string
	cas      []string
	pairs    []pair // the one meant for clients first
}

// layouts lists the distributions known. A layout counts when one of its authorities and one of its pairs are there.
func layouts() []layout {
	const local = "https://127.0.0.1:2379"
	openshift := "/etc/kubernetes/static-pod-resources/etcd-certs/"
	out := []layout{
		{"kubeadm", local, []string{"/etc/kubernetes/pki/etcd/ca.crt"}, crt("/etc/kubernetes/pki/",
			"etcd/healthcheck-client", "apiserver-etcd-client", "etcd/server", "etcd/peer")},
		{
			"OpenShift", "https://localhost:2379",
			[]string{openshift + "configmaps/etcd-all-bundles/server-ca-bundle.crt", openshift + "configmaps/etcd-serving-ca/ca-bundle.crt"},
			crt(openshift+"secrets/etcd-all-certs/", "etcd-client", "etcd-peer-*", "etcd-serving-*"),
		},
		{"kubespray", local, []string{"/etc/ssl/etcd/ssl/ca.pem"}, []pair{
			{"/etc/ssl/etcd/ssl/admin-*.pem", "/etc/ssl/etcd/ssl/admin-*-key.pem"},
			{"/etc/ssl/etcd/ssl/node-*.pem", "/etc/ssl/etcd/ssl/node-*-key.pem"},
			{"/etc/ssl/etcd/ssl/member-*.pem", "/etc/ssl/etcd/ssl/member-*-key.pem"},
		}},
		{"k0s", local, []string{"/var/lib/k0s/pki/etcd/ca.crt"}, crt("/var/lib/k0s/pki/", "apiserver-etcd-client", "etcd/server", "etcd/peer")},
		{"Talos", local, []string{"/system/secrets/etcd/ca.crt"}, crt("/system/secrets/etcd/", "admin", "server", "peer")},
		{
			"Canonical Kubernetes", local,
			[]string{"/var/snap/k8s/common/var/lib/etcd/ca.crt", "/etc/kubernetes/pki/etcd/ca.crt"},
			append(crt("/var/snap/k8s/common/var/lib/etcd/", "client", "server"), crt("/etc/kubernetes/pki/", "apiserver-etcd-client")...),
		},
	}
	for _, rancher := range []string{"k3s", "rke2"} {
		dir := "/var/lib/rancher/" + rancher + "/server/tls/etcd/"
		out = append(out, layout{rancher, local, []string{dir + "server-ca.crt"}, crt(dir, "client", "server-client")})
	}
	for _, dir := range []string{"/etc/kubernetes/pki/kube-apiserver/", "/srv/kubernetes/kube-apiserver/"} {
		out = append(out, layout{"kOps", "https://127.0.0.1:4001", []string{dir + "etcd-ca.crt"}, crt(dir, "etcd-client")})
	}
	return out
}

// crt names pairs that are called NAME.crt and NAME.key in a directory.
func crt(dir string, names ...string) []pair {
	out := make([]pair, len(names))
	for i, name := range names {
		out[i] = pair{dir + name + ".crt", dir + name + ".key"}
	}
	return out
}

// knownLayout looks for the certificates of a known distribution.
func (m *machine) knownLayout() (candidate, bool) {
	for _, l := range layouts() {
		c := candidate{source: "certificates of " + l.name, endpoints: []string{l.endpoint}}
		for _, ca := range l.cas {
			if m.exists(m.path(ca)) {
				c.cas = append(c.cas, m.path(ca))
			}
		}
		if len(c.cas) == 0 {
			continue
		}
		for _, p := range l.pairs {
			c.pairs = append(c.pairs, m.expand(p)...)
		}
		// An authority alone is no control-plane node's; with certificates that do not fit, the node is still told of.
		if slices.ContainsFunc(c.pairs, func(p pair) bool { return m.exists(p.cert) && m.exists(p.key) }) {
			return c, true
		}
	}
	return candidate{}, false
}

// expand turns a pair with stars into the pairs that are there.
func (m *machine) expand(p pair) []pair {
	if !strings.Contains(p.key, "*") {
		return []pair{{m.path(p.cert), m.path(p.key)}}
	}
	before, after, _ := strings.Cut(filepath.Base(p.key), "*")
	dir, certAfter := filepath.Dir(p.cert), p.cert[strings.Index(p.cert, "*")+1:]
	var out []pair
	for _, key := range m.glob(p.key) {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(key), before), after)
		out = append(out, pair{m.path(filepath.Join(dir, before+name+certAfter)), key})
	}
	return out
}

// otherStore says so when the machine's Kubernetes keeps its data in something else than etcd.
func (m *machine) otherStore() error {
	for _, s := range []struct{ name, path, store string }{
		{"MicroK8s", "/var/snap/microk8s/current", "dqlite"},
		{"Canonical Kubernetes", "/var/snap/k8s/common/var/lib/k8s-dqlite", "dqlite"},
		{"k3s", "/var/lib/rancher/k3s/server/db/state.db", "SQLite"},
		{"k0s", "/var/lib/k0s/db/state.db", "SQLite"},
	} {
		if !m.present(m.path(s.path)) {
			continue
		}
		return &ops.HintError{
			Code: CodeNotEtcdStore, Class: ops.ClassUsage, Op: "find etcd on this machine",
			Err:  fmt.Errorf("%s keeps its data in %s here, not in etcd (%s)", s.name, s.store, m.path(s.path)),
			Hint: "for an etcd elsewhere: --endpoints https://HOST:2379",
		}
	}
	return nil
}
