package ops

import (
	"context"
)

// OwnMembership returns the member list as the first endpoint to answer has it. All are asked at once; no quorum is
// needed, and the list may be behind. The error is a *HintError over all endpoints.
func (c *Cluster) OwnMembership(ctx context.Context) (Membership, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.CommandTimeout)
	defer cancel()
	type answer struct {
		i    int
		list Membership
		err  error
	}
	answers := make(chan answer, len(c.cfg.Endpoints))
	for i, endpoint := range c.cfg.Endpoints {
		go func() {
			a := answer{i: i}
			conn, err := c.Conn(ctx, endpoint)
			if err == nil {
				if a.list, err = ReadMembership(ctx, conn); err != nil {
					err = c.Explain(ctx, "list members", endpoint, err)
				}
			}
			a.err = err
			answers <- a
		}()
	}
	failures := make([]error, len(c.cfg.Endpoints))
	for range c.cfg.Endpoints {
		a := <-answers
		if a.err == nil {
			return a.list, nil
		}
		failures[a.i] = a.err
	}
	return Membership{}, joinFailures(c.cfg.Endpoints, failures)
}
