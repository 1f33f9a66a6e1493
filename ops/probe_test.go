package ops_test

import (
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/internal/clustertest/pki"
	"github.com/etcdops/etcdops/ops"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	c := clustertest.New(t, clustertest.Options{TLS: true, Auth: &clustertest.Auth{}})
	cfg := clientOf(c)
	cfg.Auth = ops.Auth{User: "root", Password: c.Auth.RootPassword}
	r := ops.Probe(clustertest.Context(t, limit), cfg, c.Endpoints()[0])
	if r.Err != nil || r.Status == nil || r.Status.Version == "" {
		t.Fatalf("probe: %v, status %v", r.Err, r.Status)
	}
	want := []ops.Stage{ops.StageTCP, ops.StageTLS, ops.StageHTTP2, ops.StageAuth, ops.StageRPC}
	if got := stagesOf(r); !slices.Equal(got, want) {
		t.Errorf("stages %v, want %v", got, want)
	}
	if len(r.Certificates) == 0 || !slices.Contains(r.Certificates[0].Names, "127.0.0.1") || time.Until(r.Certificates[0].NotAfter) < time.Hour {
		t.Errorf("certificates: %+v", r.Certificates)
	}
}

func TestProbeFails(t *testing.T) {
	t.Parallel()
	ca := pki.NewCA(t, pki.CAOptions{})
	r := ops.Probe(clustertest.Context(t, limit), ops.Config{TLS: ops.TLS{CACert: ca.CertFile}}, tlsServer(t, ca, pki.CertOptions{Days: -3, Name: "old"}, nil))
	wantCode(t, r.Err, ops.CodeServerExpired)
	if got, want := stagesOf(r), []ops.Stage{ops.StageTCP, ops.StageTLS}; !slices.Equal(got, want) {
		t.Errorf("stages %v, want %v", got, want)
	}
	if len(r.Certificates) != 1 || r.Certificates[0].Subject != "CN=old" || !r.Certificates[0].NotAfter.Before(time.Now()) {
		t.Errorf("the expired certificate as served: %+v", r.Certificates)
	}
	named := ops.Probe(clustertest.Context(t, limit), ops.Config{}, "http://localhost:1")
	wantCode(t, named.Err, ops.CodeRefused)
	if got, want := stagesOf(named), []ops.Stage{ops.StageDNS, ops.StageTCP}; !slices.Equal(got, want) {
		t.Errorf("stages %v, want %v", got, want)
	}
	wantCode(t, ops.Probe(t.Context(), ops.Config{}, "gopher://x").Err, ops.CodeBadEndpoint)
}

func stagesOf(r ops.ProbeResult) []ops.Stage {
	stages := make([]ops.Stage, len(r.Stages))
	for i, s := range r.Stages {
		stages[i] = s.Stage
	}
	return stages
}
