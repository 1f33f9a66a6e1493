package health

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/etcdops/etcdops/ops"
)

// A member opens its client URLs at its start and serves them when it has joined a quorum. In between the connection is accepted
// and nothing is said, as by a process that hangs; but it answers its peers, which a process that hangs does not.

// askSilent asks the peer URLs behind endpoints that accepted the connection and were silent. tell waits for the answers, and puts
// them down.
func (c *collector) askSilent(ctx context.Context) (tell func()) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.opts.Bound/secondLook)
	var requests sync.WaitGroup
	var mu sync.Mutex
	answers := map[*Endpoint]string{}
	for _, e := range c.asked {
		if f := e.Connect.Failure; f == nil || f.Code != ops.CodeSilent {
			continue
		}
		for _, peer := range c.peersBehind(e.URL) {
			requests.Go(func() {
				if c.answersPeers(ctx, peer) {
					mu.Lock()
					defer mu.Unlock()
					answers[e] = peer
				}
			})
		}
	}
	return func() {
		requests.Wait()
		cancel()
		for e, peer := range answers {
			e.Connect.Failure = waitingFailure(e.Connect.Failure, peer)
		}
	}
}

// waitingFailure words the silence of a member that answers its peers.
func waitingFailure(silence *Failure, peer string) *Failure {
	f := *silence
	f.Kind = KindWaiting
	f.Message = "it runs and answers its peers at " + peer + ", and serves no clients yet, as a member that waits for a quorum of its cluster"
	f.Hint = "start the other members, or mend the network between them; its log says who does not answer. Do not restart it"
	return &f
}

// peersBehind are the peer URLs of the member that has a client URL, as far as anybody told.
func (c *collector) peersBehind(client string) []string {
	var out []string
	add := func(urls []string) {
		for _, url := range urls {
			if !slices.Contains(out, url) {
				out = append(out, url)
			}
		}
	}
	for _, e := range c.asked {
		if e.Members == nil || e.Members.Membership == nil {
			continue
		}
		for _, m := range e.Members.Membership.Members {
			if slices.Contains(m.ClientURLs, client) {
				add(m.PeerURLs)
			}
		}
	}
	if c.opts.PeerURLs != nil {
		add(c.opts.PeerURLs(client))
	}
	return out[:min(len(out), maxPeersBehind)]
}

// maxPeersBehind bounds what is asked about one silent endpoint.
const maxPeersBehind = 4

// answersPeers reports whether a process answers at a peer URL. That it lets nobody in without a certificate of its peers is an
// answer too.
func (c *collector) answersPeers(ctx context.Context, url string) bool {
	if strings.HasPrefix(url, "https://") {
		chain, _ := c.cluster.Handshake(ctx, url) // what it says of us is not what was asked
		return len(chain) > 0
	}
	now := make(chan struct{})
	close(now)
	const page = 64 << 10
	err := c.cluster.Fetch(ctx, now, url, "/version", page, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	return err == nil
}

// Alive reports whether at least one of the endpoints that were asked is that of a process that works: it answers, be it that it
// has no leader, waits for its peers, or tells nothing of itself. It says nothing about the cluster.
func (r Report) Alive() bool {
	endpoints := slices.Clone(r.Strays)
	for _, m := range r.Members {
		endpoints = append(endpoints, m.Endpoints...)
	}
	return slices.ContainsFunc(endpoints, func(e EndpointReport) bool { return e.State.alive() })
}

// alive reports whether a process that works was found so.
func (s State) alive() bool {
	switch s {
	case StateOK, StateNoLeader, StateWaiting, StateAuth, StateWrongMember, StateWrongCluster:
		return true
	case StateNeverStarted, StateRefused, StateUnreachable, StateHung, StateNoName, StateTLS, StateError, StateNoAddress:
	}
	return false
}
