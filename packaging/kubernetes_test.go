package packaging_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/etcdops/etcdops/internal/deploy"
	"github.com/etcdops/etcdops/internal/kubetest"
)

// kustomized builds a directory below kubernetes/ as kubectl apply -k does, and reads the result as the API server does.
func kustomized(t *testing.T, dir string) []any {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "kubernetes/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := kubetest.Decode(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return objects
}

// only returns the objects of one type, by name.
func only[T any](objects []any) map[string]*T {
	found := map[string]*T{}
	for _, object := range objects {
		if o, ok := object.(*T); ok {
			meta, _ := object.(metav1.Object)
			found[meta.GetName()] = o
		}
	}
	return found
}

// environment is what the kubelet gives to the container of one pod: the later may refer to the earlier.
func environment(t *testing.T, c corev1.Container, pod, namespace string, maps map[string]*corev1.ConfigMap) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, v := range c.Env {
		value := v.Value
		switch from := v.ValueFrom; {
		case from == nil:
		case from.FieldRef != nil:
			value = map[string]string{"metadata.name": pod, "metadata.namespace": namespace}[from.FieldRef.FieldPath]
		case from.ConfigMapKeyRef != nil && maps[from.ConfigMapKeyRef.Name] != nil:
			value = maps[from.ConfigMapKeyRef.Name].Data[from.ConfigMapKeyRef.Key]
		}
		for name, known := range env {
			value = strings.ReplaceAll(value, "$("+name+")", known)
		}
		if value == "" || strings.Contains(value, "$(") {
			t.Errorf("%s has the value %q", v.Name, value)
		}
		env[v.Name] = value
	}
	return env
}

// TestKubernetesCluster holds the manifests of the datastore against checkCluster.
func TestKubernetesCluster(t *testing.T) {
	t.Parallel()
	for dir, scheme := range map[string]string{"base": "http", "tls": "https"} {
		checkCluster(t, dir, scheme, kustomized(t, dir))
	}
}

// checkCluster holds the objects of a datastore, made of dir, against what a cluster of three needs to live.
func checkCluster(t *testing.T, dir, scheme string, objects []any) {
	t.Helper()
	set := only[appsv1.StatefulSet](objects)["etcd"]
	services := only[corev1.Service](objects)
	if set == nil || services["etcd"] == nil || services[set.Spec.ServiceName] == nil {
		t.Fatalf("%s: a StatefulSet, its headless service and one for clients are needed: %v", dir, objects)
	}
	if peers := services[set.Spec.ServiceName]; peers.Spec.ClusterIP != "None" || !peers.Spec.PublishNotReadyAddresses {
		t.Errorf("%s: members must find each other before they are ready: %+v", dir, peers.Spec)
	}
	if set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
		t.Errorf("%s: the first member waits for the second, which would wait for the first", dir)
	}
	checkSelectors(t, set, objects)
	checkMembers(t, set, objects, scheme)
	checkPod(t, set)
	if volumes := len(set.Spec.Template.Spec.Volumes); (volumes == 2) != (scheme == "https") {
		t.Errorf("%s: %d volumes of certificates", dir, volumes)
	}
}

// checkSelectors makes sure that everything that selects pods selects those of the set.
func checkSelectors(t *testing.T, set *appsv1.StatefulSet, objects []any) {
	t.Helper()
	pod := labels.Set(set.Spec.Template.Labels)
	selectors := map[string]*metav1.LabelSelector{"the set": set.Spec.Selector}
	for name, s := range only[corev1.Service](objects) {
		selectors["service "+name] = &metav1.LabelSelector{MatchLabels: s.Spec.Selector}
	}
	for name, b := range only[policyv1.PodDisruptionBudget](objects) {
		selectors["budget "+name] = b.Spec.Selector
		if b.Spec.MaxUnavailable.IntValue() != 1 {
			t.Errorf("budget %s: %v may be away at once", name, b.Spec.MaxUnavailable)
		}
	}
	for name, p := range only[networkingv1.NetworkPolicy](objects) {
		selectors["policy "+name] = &p.Spec.PodSelector
		for _, rule := range p.Spec.Ingress {
			for _, from := range rule.From {
				selectors["peers of policy "+name] = from.PodSelector
			}
		}
	}
	for _, term := range set.Spec.Template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		selectors["affinity"] = term.LabelSelector
		if term.TopologyKey != corev1.LabelHostname {
			t.Errorf("members are kept apart by %s", term.TopologyKey)
		}
	}
	for _, spread := range set.Spec.Template.Spec.TopologySpreadConstraints {
		selectors["spread"] = spread.LabelSelector
	}
	if len(selectors) != 8 {
		t.Errorf("what selects the pods: %v", selectors)
	}
	for what, selector := range selectors {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(pod) {
			t.Errorf("%s selects %v (%v), the pods are %v", what, selector, err, pod)
		}
	}
}

// checkMembers reads the settings of each member as it will get them: all must know the same list, and be in it.
func checkMembers(t *testing.T, set *appsv1.StatefulSet, objects []any, scheme string) {
	t.Helper()
	var lists, want []string
	for n := range int(*set.Spec.Replicas) {
		pod := fmt.Sprintf("%s-%d", set.Name, n)
		host := pod + "." + set.Spec.ServiceName + ".prod.svc"
		env := environment(t, set.Spec.Template.Spec.Containers[0], pod, "prod", only[corev1.ConfigMap](objects))
		for name, value := range map[string]string{
			"ETCD_NAME":                        pod,
			"ETCD_INITIAL_ADVERTISE_PEER_URLS": scheme + "://" + host + ":2380",
			"ETCD_ADVERTISE_CLIENT_URLS":       scheme + "://" + host + ":2379",
			"ETCDOPS_ENDPOINTS":                scheme + "://" + host + ":2379",
			"ETCD_LISTEN_CLIENT_URLS":          scheme + "://0.0.0.0:2379",
			"ETCD_LISTEN_PEER_URLS":            scheme + "://0.0.0.0:2380",
			"ETCD_INITIAL_CLUSTER_STATE":       "new",
		} {
			if env[name] != value {
				t.Errorf("%s of %s is %q, want %q", name, pod, env[name], value)
			}
		}
		lists = append(lists, env["ETCD_INITIAL_CLUSTER"])
		want = append(want, pod+"="+scheme+"://"+host+":2380")
	}
	for _, list := range lists {
		if list != strings.Join(want, ",") {
			t.Errorf("the list of members is %q, want %q", list, want)
		}
	}
}

// checkPod holds the pod against the level "restricted" of Kubernetes' pod security standards, and its probes and volumes.
func checkPod(t *testing.T, set *appsv1.StatefulSet) {
	t.Helper()
	pod := set.Spec.Template.Spec
	c := pod.Containers[0]
	switch s, p := c.SecurityContext, pod.SecurityContext; {
	case pod.HostNetwork, pod.HostPID, pod.HostIPC, p.RunAsNonRoot == nil || !*p.RunAsNonRoot, *p.RunAsUser == 0,
		p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault, *s.AllowPrivilegeEscalation,
		!slices.Contains(s.Capabilities.Drop, "ALL"), len(s.Capabilities.Add) > 0, !*s.ReadOnlyRootFilesystem, *pod.AutomountServiceAccountToken:
		t.Errorf("the pod is not restricted: %+v, %+v", s, p)
	}
	for what, probe := range map[string]struct {
		*corev1.Probe
		path string
	}{"startup": {c.StartupProbe, "/livez"}, "liveness": {c.LivenessProbe, "/livez"}, "readiness": {c.ReadinessProbe, "/readyz"}} {
		if probe.Probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != probe.path || probe.HTTPGet.Scheme == corev1.URISchemeHTTPS {
			t.Errorf("%s: %+v", what, probe.Probe)
		}
	}
	mounted := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == set.Spec.VolumeClaimTemplates[0].Name && m.MountPath == "/var/lib/etcd"
	})
	if keep := set.Spec.PersistentVolumeClaimRetentionPolicy; !mounted || keep.WhenDeleted != appsv1.RetainPersistentVolumeClaimRetentionPolicyType {
		t.Error("the data directory is on no volume, or goes with the set")
	}
}

// TestKubernetesBackup: the CronJob in the repository is the generator's, and kustomize leaves it whole.
func TestKubernetesBackup(t *testing.T) {
	t.Parallel()
	const image = "ghcr.io/etcdops/etcdops"
	want, err := deploy.CronJob{
		Image: image, Repo: "s3://etcd-backups/prod", Secret: "etcd-backup", Keep: []string{"--keep-daily=14", "--keep-hourly=24"},
	}.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	file := "kubernetes/backup/cronjob.yaml"
	if text, err := os.ReadFile(file); err != nil || string(text) != string(want) {
		t.Errorf("%s is not what etcdops generate cronjob writes (%v); it should be:\n%s", file, err, want)
	}
	job := only[batchv1.CronJob](kustomized(t, "backup"))["etcdops-backup"]
	if job == nil {
		t.Fatal("there is no CronJob etcdops-backup")
	}
	pod := job.Spec.JobTemplate.Spec.Template.Spec
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		if !strings.HasPrefix(c.Image, image+":") || *c.SecurityContext.AllowPrivilegeEscalation || !*c.SecurityContext.ReadOnlyRootFilesystem ||
			!slices.Contains(c.SecurityContext.Capabilities.Drop, "ALL") {
			t.Errorf("container %s: image %s, %+v", c.Name, c.Image, c.SecurityContext)
		}
	}
	if !pod.HostNetwork || len(pod.Tolerations) == 0 || len(pod.NodeSelector) == 0 {
		t.Error("it does not run beside etcd on a control-plane node")
	}
}
