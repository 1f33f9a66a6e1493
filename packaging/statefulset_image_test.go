package packaging_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// podNetwork runs the pods of the StatefulSet as containers, with what the kubelet would give them: settings, names, volumes that
// outlive them.
type podNetwork struct {
	t              *testing.T
	image, network string
	container      corev1.Container
	maps           map[string]*corev1.ConfigMap
	ids            map[string]string
}

func newPodNetwork(t *testing.T) *podNetwork {
	t.Helper()
	image := needImage(t)
	objects := kustomized(t, "base")
	p := &podNetwork{
		t: t, image: image, container: only[appsv1.StatefulSet](objects)["etcd"].Spec.Template.Spec.Containers[0],
		maps: only[corev1.ConfigMap](objects), ids: map[string]string{},
	}
	p.network = run(t, "docker", "network", "create", "etcdops-test-"+strings.ToLower(rand.Text()[:8]))
	t.Cleanup(func() { _, _ = try(t, "docker", "network", "rm", p.network) })
	return p
}

func (p *podNetwork) host(pod string) string { return pod + ".etcd-peers.prod.svc" }

func (p *podNetwork) volume(pod string) string { return p.network[:12] + "-" + pod }

// start runs a pod on its volume, which is made where there is none.
func (p *podNetwork) start(pod string) {
	p.t.Helper()
	args := []string{
		"--read-only", "--cap-drop", "ALL", "--network", p.network, "--network-alias", p.host(pod), "--hostname", pod,
		"--volume", p.volume(pod) + ":" + p.container.VolumeMounts[0].MountPath, "--publish", "127.0.0.1::2381",
	}
	for name, value := range environment(p.t, p.container, pod, "prod", p.maps) {
		args = append(args, "--env", name+"="+value)
	}
	p.t.Cleanup(func() { _, _ = try(p.t, "docker", "volume", "rm", p.volume(pod)) })
	p.ids[pod] = start(p.t, append(append(args, p.image), p.container.Args...)...)
}

// etcdops runs a command in a pod, as kubectl exec does.
func (p *podNetwork) etcdops(pod string, args ...string) (string, error) {
	return try(p.t, "docker", append([]string{"exec", p.ids[pod], "etcdops"}, args...)...)
}

// probe waits until what the kubelet asks is answered well.
func (p *podNetwork) probe(pod string, probe *corev1.Probe) {
	p.t.Helper()
	eventually(p.t, probe.HTTPGet.Path+" of "+pod, func() (string, error) {
		status, err := p.probed(pod, probe)
		if err == nil && status != http.StatusOK {
			err = errors.New(http.StatusText(status))
		}
		return "", err
	})
}

// probed asks what the kubelet asks, for as long as it waits.
func (p *podNetwork) probed(pod string, probe *corev1.Probe) (status int, err error) {
	address, err := try(p.t, "docker", "port", p.ids[pod], "2381")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(address, "\n")
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Duration(probe.TimeoutSeconds)*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+first+probe.HTTPGet.Path, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// healthy waits until all three members are.
func (p *podNetwork) healthy() {
	p.t.Helper()
	eventually(p.t, "three healthy voters", func() (string, error) {
		out, err := p.etcdops("etcd-0", "health", "-w", "simple")
		if err == nil && !strings.Contains(out, "3 of 3 voters healthy") {
			err = errors.New("not yet")
		}
		return out, err
	})
}

// TestLongImageStatefulSet starts the members as the manifests of Kubernetes say, loses the volume of one, and replaces that member
// with the commands of docs/kubernetes.md.
func TestLongImageStatefulSet(t *testing.T) {
	clustertest.Long(t)
	p := newPodNetwork(t)
	pods := []string{"etcd-0", "etcd-1", "etcd-2"}
	for _, pod := range pods {
		p.start(pod)
	}
	for _, pod := range pods {
		p.probe(pod, p.container.LivenessProbe)
		p.probe(pod, p.container.ReadinessProbe)
	}
	p.healthy()
	eventually(t, "put", func() (string, error) { return p.etcdops("etcd-0", "put", "kept", "yes") })

	p.maps["etcd-cluster"].Data["state"] = "existing"
	run(t, "docker", "rm", "--force", p.ids["etcd-1"])
	run(t, "docker", "volume", "rm", p.volume("etcd-1"))
	p.start("etcd-1")
	eventually(t, "refusal to start without its data", func() (string, error) {
		out, err := try(t, "docker", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", p.ids["etcd-1"])
		if err == nil && out != "exited 4" {
			err = fmt.Errorf("it is %s", out)
		}
		return out, err
	})
	for _, words := range [][]string{
		{"member", "remove", "etcd-1", "--yes"},
		{"member", "add", "etcd-1", "--peer-urls=http://" + p.host("etcd-1") + ":2380", "--yes"},
	} {
		eventually(t, strings.Join(words, " "), func() (string, error) { return p.etcdops("etcd-0", words...) })
	}
	run(t, "docker", "start", p.ids["etcd-1"])
	eventually(t, "promotion", func() (string, error) { return p.etcdops("etcd-0", "member", "promote", "etcd-1", "--yes") })
	p.healthy()
	out := eventually(t, "read on the new member itself", func() (string, error) {
		return p.etcdops("etcd-1", "get", "kept", "--consistency=s", "--print-value-only")
	})
	if out != "yes" {
		t.Errorf("the new member has %q", out)
	}
}
