package deploy_test

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/etcdops/etcdops/internal/deploy"
	"github.com/etcdops/etcdops/internal/kubetest"
)

// decode reads a manifest as the API server does.
func decode(t *testing.T, c deploy.CronJob) (job *batchv1.CronJob, others []any) {
	t.Helper()
	text, err := c.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := kubetest.Decode(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, o := range objects {
		if j, ok := o.(*batchv1.CronJob); ok {
			job = j
			continue
		}
		others = append(others, o)
	}
	if job == nil {
		t.Fatalf("no CronJob in\n%s", text)
	}
	return job, others
}

func TestCronJob(t *testing.T) {
	t.Parallel()
	job, others := decode(t, deploy.CronJob{Image: "registry.example/etcdops:1", Repo: "s3://b/p?endpoint=h:1&x=\"'"})
	if len(others) != 0 || *job.Spec.TimeZone != "UTC" || job.Spec.Schedule != deploy.DefaultCron || job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent {
		t.Errorf("%+v, and %d others", job.Spec, len(others))
	}
	pod := job.Spec.JobTemplate.Spec.Template.Spec
	if !pod.HostNetwork || pod.RestartPolicy != corev1.RestartPolicyNever || len(pod.InitContainers) != 0 || len(pod.Containers) != 1 {
		t.Errorf("the pod: %+v", pod)
	}
	args := pod.Containers[0].Args
	for _, want := range []string{"create", "--repo=s3://b/p?endpoint=h:1&x=\"'", "--endpoints=https://127.0.0.1:2379", "--key=/etcd-pki/client.key", "--rate=50MB"} {
		if !slices.Contains(args, want) {
			t.Errorf("no argument %s among %q", want, args)
		}
	}
	checkRestricted(t, pod)
}

func TestCronJobWithEverything(t *testing.T) {
	t.Parallel()
	job, others := decode(t, deploy.CronJob{
		Name: "b", Namespace: "backups", Image: "i", Repo: "/mnt/nfs/etcd", Recipients: "# ours\nage1abc\nage1def\n", Secret: "s3", Keep: []string{"--keep-daily=14"},
		Certificates: deploy.Certificates{CA: "/pki/ca", Cert: "/pki/c", Key: "/pki/k"}, Endpoints: []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379"},
		Cron: "30 3 * * *", Zone: "Europe/Berlin", SpoolSize: "5Gi",
	})
	if len(others) != 1 || others[0].(*corev1.ConfigMap).Data["recipients"] != "# ours\nage1abc\nage1def\n" {
		t.Errorf("beside the CronJob: %+v", others)
	}
	pod := job.Spec.JobTemplate.Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers) != 1 || !slices.Contains(pod.Containers[0].Args, "--keep-daily=14") ||
		!slices.Contains(pod.Containers[0].Args, "--repo=/backups") {
		t.Errorf("the containers: %+v, %+v", pod.InitContainers, pod.Containers)
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if strings.HasPrefix(m.MountPath, "/etcd-pki") {
			t.Error("the container that prunes has etcd's certificates")
		}
	}
	checkRestricted(t, pod)
}

// checkRestricted holds a pod to the level "restricted" of Kubernetes, but for what reaching a node's etcd takes: its network,
// its files and user 0. Every volume that is mounted must be there, and host files only to be read, but for the repository.
func checkRestricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	if *pod.AutomountServiceAccountToken || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || pod.HostPID || pod.HostIPC {
		t.Errorf("the pod: %+v", pod)
	}
	host := map[string]bool{}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.HostPath != nil {
			host[v.Name] = true
			if *v.HostPath.Type != corev1.HostPathFile && v.Name != "repository" {
				t.Errorf("of the node the pod sees %s, which is no single file", v.HostPath.Path)
			}
		}
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || len(s.Capabilities.Add) > 0 || s.Privileged != nil {
			t.Errorf("container %s: %+v", c.Name, s)
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] || host[m.Name] && !m.ReadOnly && m.Name != "repository" {
				t.Errorf("container %s: mount %+v", c.Name, m)
			}
		}
	}
}

func TestCronJobRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]deploy.CronJob{
		"no repository":          {},
		"a relative directory":   {Repo: "backups"},
		"a relative certificate": {Repo: "s3://b", Certificates: deploy.Certificates{CA: "ca"}},
		"a name":                 {Repo: "s3://b", Name: "Etcd"},
		"days that differ":       {Repo: "s3://b", Cron: "0 0 13 * 5"},
		"a rhythm":               {Repo: "s3://b", Cron: "@every 6h"},
		"no schedule":            {Repo: "s3://b", Cron: "noon"},
	} {
		if text, err := c.Manifest(); err == nil {
			t.Errorf("%s became\n%s", name, text)
		}
	}
}
