package packaging_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/etcdops/etcdops/internal/kubetest"
)

// helm is what `helm template` writes. Building it takes longer than try allows a program.
func helm(t *testing.T, settings ...string) (string, error) {
	t.Helper()
	args := []string{"tool", "-modfile=../tools/helm/go.mod", "helm", "template", "etcd", "kubernetes/helm", "--namespace=prod"}
	for _, set := range settings {
		args = append(args, "--set="+set)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return out.String(), nil
}

// charted renders the chart with helm itself, and reads the result as the API server does.
func charted(t *testing.T, settings ...string) []any {
	t.Helper()
	text, err := helm(t, settings...)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := kubetest.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return objects
}

// inOrder sorts objects by kind and name, and the variables and mounts of containers: their order is the writer's.
func inOrder(objects []any) []any {
	key := func(o any) string {
		meta, _ := o.(metav1.Object)
		return fmt.Sprintf("%T %s", o, meta.GetName())
	}
	for _, o := range objects {
		if set, ok := o.(*appsv1.StatefulSet); ok {
			c := set.Spec.Template.Spec.Containers[0]
			slices.SortFunc(c.Env, func(a, b corev1.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
			slices.SortFunc(c.VolumeMounts, func(a, b corev1.VolumeMount) int { return cmp.Compare(a.Name, b.Name) })
		}
	}
	return slices.SortedFunc(slices.Values(objects), func(a, b any) int { return cmp.Compare(key(a), key(b)) })
}

// TestHelmChart: the chart's objects are those of the kustomizations, which the other tests are of.
func TestHelmChart(t *testing.T) {
	if os.Getenv("ETCDOPS_PACKAGES") == "" {
		t.Skip("builds helm the first time: make packages-check runs it")
	}
	for dir, settings := range map[string][]string{
		"base":   {"image.tag=latest"},
		"tls":    {"datastore.tls.enabled=true"},
		"backup": {"datastore.enabled=false", "backup.enabled=true", "backup.repo=s3://etcd-backups/prod"},
	} {
		if dir != "backup" {
			checkCluster(t, "chart, "+dir, map[string]string{"base": "http", "tls": "https"}[dir], charted(t, settings...))
		}
		if diff := gocmp.Diff(inOrder(kustomized(t, dir)), inOrder(charted(t, settings...))); diff != "" {
			t.Errorf("the chart differs from %s:\n%s", dir, diff)
		}
	}
	five := only[appsv1.StatefulSet](charted(t, "datastore.replicas=5", "datastore.storageClass=fast"))["etcd"]
	if *five.Spec.Replicas != 5 || *five.Spec.VolumeClaimTemplates[0].Spec.StorageClassName != "fast" {
		t.Errorf("settings are not taken: %+v", five.Spec)
	}
	if out, err := helm(t, "backup.enabled=true"); err == nil {
		t.Errorf("a backup to nowhere is rendered:\n%s", out)
	}
}
