package ops

import (
	"context"
	"crypto/x509"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// ProbeResult tells how far one endpoint let this client come.
type ProbeResult struct {
	Endpoint     string
	Stages       []StageTime              // in their order; when Err is set, the last one failed
	Certificates []Certificate            // as the server sent them, its own first; none without TLS
	Status       *clientv3.StatusResponse // the member's answer; nil when Err is set
	Err          error                    // nil when every stage passed, otherwise a *HintError
}

// Certificate is what people want to know of one.
type Certificate struct {
	Subject   string
	Issuer    string
	Names     []string // DNS names and IP addresses that it is valid for
	NotBefore time.Time
	NotAfter  time.Time
	Authority bool // it may sign others
}

// Probe tries one endpoint stage by stage with a connection of its own: name, TCP, TLS, HTTP/2, the user if there is
// one, and a Status request, which needs no quorum and changes nothing. cfg's endpoints are ignored.
func Probe(ctx context.Context, cfg Config, endpoint string) ProbeResult {
	result := ProbeResult{Endpoint: endpoint}
	cfg.Endpoints = []string{endpoint}
	c, err := newCluster(ctx, cfg)
	if err != nil {
		result.Err = err
		return result
	}
	defer func() { _ = c.Close() }() // its failure says nothing of the endpoint
	result.Endpoint = c.cfg.Endpoints[0]
	l := c.links[result.Endpoint]
	result.Err = l.connect(ctx)
	if a, _ := l.record(); a != nil {
		chain, _, _, took := a.snapshot()
		result.Stages, result.Certificates = took, describe(chain)
	}
	if result.Err != nil {
		return result
	}
	if cfg.Auth.User != "" {
		result.timed(StageAuth, func() error { return c.token.ensure(ctx, l) })
	}
	if result.Err == nil {
		result.timed(StageRPC, func() (err error) {
			ctx, cancel := context.WithTimeout(ctx, c.cfg.CommandTimeout)
			defer cancel()
			result.Status, err = l.client.Status(ctx, result.Endpoint)
			return c.Explain(ctx, "read status of", result.Endpoint, err)
		})
	}
	return result
}

// timed runs one stage and keeps its time and error.
func (r *ProbeResult) timed(stage Stage, run func() error) {
	start := time.Now()
	r.Err = run()
	r.Stages = append(r.Stages, StageTime{Stage: stage, Took: time.Since(start)})
}

func describe(chain []*x509.Certificate) []Certificate {
	out := make([]Certificate, 0, len(chain))
	for _, cert := range chain {
		out = append(out, Certificate{
			Subject: cert.Subject.String(), Issuer: cert.Issuer.String(), Names: certificateNames(cert),
			NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Authority: cert.IsCA,
		})
	}
	return out
}
