package kubetest_test

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/etcdops/etcdops/internal/kubetest"
)

const job = `apiVersion: batch/v1
kind: Job
metadata:
  name: one
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: c
          image: i
          resources: {limits: {memory: 64Mi}}
`

func TestDecode(t *testing.T) {
	t.Parallel()
	found, err := kubetest.One[batchv1.Job]([]byte("---\n" + job))
	if err != nil {
		t.Fatal(err)
	}
	if got := found.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Value(); got != 64<<20 {
		t.Errorf("memory limit: %d", got)
	}
	if list, err := kubetest.Decode([]byte(job + "---\n" + job + "---\n")); err != nil || len(list) != 2 {
		t.Errorf("two documents: %d, %v", len(list), err)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, with string }{
		"a field that does not exist": {"restartPolicy: Never", "restartpolice: Never"},
		"a field of another case":     {"restartPolicy: Never", "restartpolicy: Never"},
		"a field that is there twice": {"restartPolicy: Never", "restartPolicy: Never\n      restartPolicy: Never"},
		"a text for a list":           {"image: i", "image: i\n          args: a"},
		"no quantity":                 {"64Mi", "64Mb"},
		"an unknown kind":             {"kind: Job", "kind: Jobs"},
		"a kind of another group":     {"batch/v1", "apps/v1"},
	} {
		if _, err := kubetest.Decode([]byte(strings.Replace(job, c.old, c.with, 1))); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
