package ops

import (
	"context"
	"crypto/x509"
	"strings"
)

// Open is Dial without waiting for an answer: it checks the settings and the files, and connects when a connection is
// asked for. It is for callers to whom a member that does not answer is a finding, not a failure.
func Open(ctx context.Context, cfg Config) (*Cluster, error) { return newCluster(ctx, cfg) }

// Served returns the certificates that the endpoint showed in the latest handshake, its own first, verified or not; nil
// when there was none.
func (c *Cluster) Served(endpoint string) []*x509.Certificate {
	c.mu.Lock()
	l := c.links[strings.TrimSpace(endpoint)]
	c.mu.Unlock()
	if l == nil {
		return nil
	}
	a, _ := l.record()
	if a == nil {
		return nil
	}
	chain, _, _, _ := a.snapshot()
	return chain
}
