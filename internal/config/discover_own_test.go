package config_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/config"
)

const (
	ownPod = `apiVersion: v1
kind: Pod
metadata: {name: etcd}
spec:
  containers:
  - command: [etcd, --name=cp-1, "--advertise-client-urls=http://10.0.0.11:2379", "--initial-advertise-peer-urls=http://10.0.0.11:2380",
      "--initial-cluster=cp-1=http://10.0.0.11:2380,cp-2=http://10.0.0.12:2380", --data-dir=/var/lib/etcd, "--listen-client-urls=http://127.0.0.1:2379"]
    name: etcd
    volumeMounts: [{mountPath: /var/lib/etcd, name: d}]
  volumes: [{hostPath: {path: /srv/etcd}, name: d}]
`
	ownUnit = `[Service]
Environment=ETCD_DATA_DIR=/var/lib/etcd/default
Environment="ETCD_NAME=cp-1"
EnvironmentFile=-/etc/default/%p
ExecStart=/usr/bin/etcd $DAEMON_ARGS \
  --advertise-client-urls=http://10.0.0.11:12379
`
	stranger = "etcd --name=dev --data-dir=/tmp/dev --listen-client-urls=http://127.0.0.1:3379 --advertise-client-urls=http://127.0.0.1:3379"
)

// TestOwnMemberStopped wants a machine whose own member is down not to take another etcd that runs on it for its own.
func TestOwnMemberStopped(t *testing.T) {
	t.Parallel()
	unit := map[string]string{
		"/lib/systemd/system/etcd.service":                         ownUnit,
		"/etc/default/etcd":                                        "DAEMON_ARGS=--listen-client-urls=http://127.0.0.1:12379\n",
		"/etc/systemd/system/multi-user.target.wants/etcd.service": ownUnit,
	}
	data := "/var/lib/etcd/default/member/snap/db"
	for _, c := range []struct {
		name    string
		process string
		files   []map[string]string
		source  string
		stopped []string // sources
	}{
		{"a static pod, and a stranger runs", stranger, []map[string]string{{manifests + "etcd.yaml": ownPod}}, "manifests/etcd.yaml", []string{"manifests/etcd.yaml"}},
		{"a static pod, and nothing runs", "", []map[string]string{{manifests + "etcd.yaml": ownPod}}, "manifests/etcd.yaml", []string{"manifests/etcd.yaml"}},
		{
			"a static pod that runs", "etcd --name=cp-1 --data-dir=/srv/etcd --listen-client-urls=http://127.0.0.1:2379",
			[]map[string]string{{manifests + "etcd.yaml": ownPod}},
			"running etcd", nil,
		},
		{
			"another member of its cluster runs",
			"etcd --name=cp-2 --data-dir=/srv/two --listen-client-urls=http://127.0.0.1:3379 --initial-cluster=cp-1=http://10.0.0.11:2380,cp-2=http://10.0.0.12:2380",
			[]map[string]string{{manifests + "etcd.yaml": ownPod}},
			"running etcd", nil,
		},
		{"a service", stranger, []map[string]string{unit, {data: ""}}, "etcd.service", []string{"etcd.service"}},
		{"a service that nothing else stands in for", "", []map[string]string{unit, {data: ""}}, "etcd.service", []string{"etcd.service"}},
		{"a service that never ran", stranger, []map[string]string{unit}, "running etcd", nil},
		{"a data directory alone", stranger, []map[string]string{{data: ""}}, "running etcd", []string{"data directory /var/lib/etcd/default"}},
		{"the data directory of what runs", "etcd --name=x --data-dir=/var/lib/etcd/default --listen-client-urls=http://127.0.0.1:3379", []map[string]string{{data: ""}}, "running etcd", nil},
		{
			"Kubernetes' objects down, its events up", "etcd --name=events --data-dir=/srv/events --listen-client-urls=http://127.0.0.1:4002",
			[]map[string]string{{
				manifests + "etcd-events.yaml": strings.NewReplacer("2379", "4002", "cp-1", "events", "/srv/etcd", "/srv/events", "10.0.0.1", "10.9.0.1").Replace(ownPod),
				manifests + "etcd-main.yaml":   strings.ReplaceAll(ownPod, "2379", "4001"),
			}},
			"etcd-main.yaml",
			[]string{"etcd-main.yaml"},
		},
	} {
		m := &fakeMachine{root: t.TempDir()}
		for _, files := range c.files {
			for path, text := range files {
				m.put(t, path, text)
			}
		}
		if c.process != "" {
			m.process(t, "77", c.process, "", "")
		}
		found, err := config.Discover(m.root)
		if err != nil {
			t.Fatal(err)
		}
		var stopped []string
		for _, s := range found.Stopped {
			stopped = append(stopped, s.Source)
		}
		if !strings.Contains(found.Source, c.source) || !slices.EqualFunc(stopped, c.stopped, strings.HasSuffix) {
			t.Errorf("%s: found %q at %v, stopped %q", c.name, found.Source, found.Endpoints, stopped)
		}
		r, err := config.Resolve(t.Context(), config.Request{Root: m.root, File: filepath.Join(m.root, "none.yaml")})
		if err != nil || len(r.Stopped) != len(c.stopped) {
			t.Errorf("%s: resolved %+v, %v", c.name, r.Stopped, err)
		}
	}
}
