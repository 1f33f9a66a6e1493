package ops

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/version"
)

// FindPeers tells which member of the observed cluster answers at each of the given peer URLs; wanted is the member that
// should, 0 for one that is to come.
//
// A member is asked for its stream of messages to each member of the list in turn, with a receiver that nobody is. It
// refuses all of these: with one answer where it knows the sender, with another where the sender is no peer of it, as
// itself. So it is found out who it is, nothing is opened, and it writes a warning a request into its log.
func (c *Cluster) FindPeers(ctx context.Context, o Observation, wanted MemberID, urls ...string) []PeerAddress {
	found := make([]PeerAddress, len(urls))
	var pending sync.WaitGroup
	for i, url := range urls {
		pending.Go(func() { found[i] = c.findPeer(ctx, o, wanted, url) })
	}
	pending.Wait()
	return found
}

func (c *Cluster) findPeer(ctx context.Context, o Observation, wanted MemberID, url string) PeerAddress {
	p := PeerAddress{URL: url, Member: wanted}
	client, err := c.peerClient(url)
	if err != nil {
		p.State, p.Cause = AddressUnknown, err.Error()
		return p
	}
	defer client.CloseIdleConnections()
	var itself []MemberState
	for _, m := range o.Members {
		reply, err := askStream(ctx, client, url, o.ClusterID, m.ID)
		switch {
		case err != nil && isSilence(err):
			p.State, p.Cause = AddressSilent, err.Error()
			return p
		case err != nil:
			p.State, p.Cause = AddressUnknown, err.Error()
			return p
		case reply.foreign != "":
			p.State, p.Cause = AddressForeign, reply.foreign
			return p
		case reply.stranger:
			itself = append(itself, m)
		}
	}
	switch {
	case len(itself) == 1 && itself[0].ID == wanted:
		p.State = AddressMember
	case len(itself) == 1:
		p.State, p.Cause = AddressOther, itself[0].Label()
	default:
		p.State, p.Cause = AddressUnknown, "a member answers, and does not know the others"
	}
	return p
}

// peerClient speaks HTTP/1.1 as peers do, with this client's certificates.
func (c *Cluster) peerClient(url string) (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: false, Proxy: nil}
	if strings.HasPrefix(url, "https://") {
		material, err := c.transport.files.get()
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: material.roots, InsecureSkipVerify: c.cfg.TLS.InsecureSkipVerify, //nolint:gosec // as the user asked for the clients' side
		}
		if material.cert != nil {
			transport.TLSClientConfig.Certificates = []tls.Certificate{*material.cert}
		}
	}
	return &http.Client{
		Transport: transport, Timeout: observeBound,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// isSilence tells an address without a listener from one that would not talk to us.
func isSilence(err error) bool {
	if _, refusedTLS := errors.AsType[*tls.CertificateVerificationError](err); refusedTLS {
		return false
	}
	text := err.Error()
	return !strings.Contains(text, "tls: ") && !strings.Contains(text, "malformed HTTP") && !strings.Contains(text, "HTTP response to HTTPS")
}

// streamReply is what a member answers to a stream that nobody receives.
type streamReply struct {
	stranger bool   // it does not know the sender as a peer
	foreign  string // it is no member of this cluster, or no etcd at all
}

func askStream(ctx context.Context, client *http.Client, url string, cluster ClusterID, from MemberID) (streamReply, error) {
	ctx, cancel := context.WithTimeout(ctx, observeBound)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/raft/stream/message/"+from.String(), http.NoBody)
	if err != nil {
		return streamReply{}, err
	}
	req.Header.Set("X-Server-From", "etcdops")
	req.Header.Set("X-Server-Version", version.Version)
	req.Header.Set("X-Min-Cluster-Version", version.MinClusterVersion)
	req.Header.Set("X-Etcd-Cluster-ID", cluster.String())
	req.Header.Set("X-Raft-To", "0") // no member has this ID
	resp, err := client.Do(req)
	if err != nil {
		return streamReply{}, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return streamReply{}, err
	}
	theirs := resp.Header.Get("X-Etcd-Cluster-ID")
	switch {
	case theirs == "":
		return streamReply{foreign: "no etcd (" + resp.Status + ")"}, nil
	case theirs != cluster.String():
		return streamReply{foreign: "a member of another cluster (" + theirs + ")"}, nil
	case resp.StatusCode == http.StatusNotFound:
		return streamReply{stranger: true}, nil
	case resp.StatusCode == http.StatusPreconditionFailed:
		return streamReply{}, nil
	}
	return streamReply{}, fmt.Errorf("unexpected answer %s", resp.Status)
}

// leaderOf returns the client URL at which the leader answered.
func (o Observation) leaderOf() (MemberState, error) {
	i := slices.IndexFunc(o.Members, func(m MemberState) bool { return m.ID == o.Leader && m.Condition == Live })
	if o.Leader == 0 || i < 0 {
		return MemberState{}, &HintError{
			Code: CodeNoQuorum, Class: ClassRefused, Op: "find the leader", Err: &refusedError{why: "no live leader answers"}, Hint: "etcdops health",
		}
	}
	return o.Members[i], nil
}

// Age tells how old the oldest proof of life in the observation is.
func (o Observation) Age(now time.Time) time.Duration {
	var oldest time.Duration
	for _, m := range o.Members {
		if m.Condition == Live {
			oldest = max(oldest, now.Sub(m.ProbedAt))
		}
	}
	return oldest
}
