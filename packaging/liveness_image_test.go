package packaging_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// healthCheck runs in the first pod what the image's HEALTHCHECK runs, and returns its exit code with what it printed.
func (p *podNetwork) healthCheck() (code int, said string) {
	p.t.Helper()
	var test []string
	if err := json.Unmarshal([]byte(run(p.t, "docker", "image", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", p.image)), &test); err != nil || test[0] != "CMD" {
		p.t.Fatalf("the image checks its health by %q, %v", test, err)
	}
	said, err := try(p.t, "docker", append([]string{"exec", p.ids["etcd-0"]}, test[1:]...)...)
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed.ExitCode(), said
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return 0, said
}

// mustSay waits until HEALTHCHECK of the first pod ends with a code and tells a thing.
func (p *podNetwork) mustSay(want int, word string) {
	p.t.Helper()
	eventually(p.t, "HEALTHCHECK", func() (string, error) {
		code, said := p.healthCheck()
		if code != want || !strings.Contains(said, word) {
			return said, fmt.Errorf("exit %d, want %d and %q", code, want, word)
		}
		return said, nil
	})
}

// unready waits until the first pod is taken out of the service, and looks whether it would be restarted.
func (p *podNetwork) unready() {
	p.t.Helper()
	const pod = "etcd-0"
	p.probe(pod, p.container.StartupProbe)
	eventually(p.t, pod+" is not ready", func() (string, error) {
		status, err := p.probed(pod, p.container.ReadinessProbe)
		if status == http.StatusServiceUnavailable || errors.Is(err, context.DeadlineExceeded) {
			return "", nil
		}
		return "", fmt.Errorf("readiness: %d, %w", status, err)
	})
	p.probe(pod, p.container.LivenessProbe)
}

// TestImageLiveness: a member that waits for the others or has lost its quorum is restarted by nobody, and one that hangs is.
func TestImageLiveness(t *testing.T) {
	p := newPodNetwork(t)
	p.start("etcd-0") // of three
	p.mustSay(0, "\twaiting")
	p.unready()

	p.start("etcd-1")
	p.start("etcd-2")
	p.healthy()
	p.mustSay(0, "3 of 3 voters healthy")
	for _, pod := range []string{"etcd-1", "etcd-2"} {
		run(t, "docker", "kill", p.ids[pod])
	}
	p.mustSay(0, "no quorum")
	p.unready()

	run(t, "docker", "kill", "--signal", "STOP", p.ids["etcd-0"])
	p.mustSay(5, "\thung")
	run(t, "docker", "kill", "--signal", "CONT", p.ids["etcd-0"])
	p.mustSay(0, "no quorum")

	run(t, "docker", "restart", p.ids["etcd-0"]) // what an engine would have done: now it waits, and reads nothing out any more
	p.mustSay(0, "\twaiting")
	for _, pod := range []string{"etcd-1", "etcd-2"} {
		run(t, "docker", "start", p.ids[pod])
	}
	p.healthy()
}
