package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// readyLimit is how long a member may take from its start until it serves, on a machine that is busy with others.
	readyLimit = 60 * time.Second
	// readyPoll is the time between two looks.
	readyPoll = 20 * time.Millisecond
	// requestLimit bounds one look.
	requestLimit = 5 * time.Second
)

// WaitReady waits until the member serves: it finds itself healthy, which takes a linearizable read, and it knows the
// version of its cluster.
func (m *Member) WaitReady(tb testing.TB) {
	tb.Helper()
	if m.process == nil {
		tb.Fatalf("%s was not started", m.Name)
	}
	client := m.httpClient(tb)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(tb.Context(), readyLimit)
	defer cancel()
	ctx, stop := m.process.alive(ctx)
	defer stop()
	err := repeat(ctx, func() error { return m.ready(ctx, client) })
	switch {
	case err == nil:
	case !m.Running():
		tb.Fatalf("%s ended before it served: %s\n%s", m.Name, m.process.exit(), m.logTail())
	default:
		tb.Fatalf("%s does not serve after %v: %v\n%s", m.Name, readyLimit, err, m.logTail())
	}
}

// WaitServesPeers waits until the member answers other members, which takes no quorum: one that starts without a log asks them
// once, and ends when none answers.
func (m *Member) WaitServesPeers(tb testing.TB) {
	tb.Helper()
	client := m.httpClient(tb)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(tb.Context(), readyLimit)
	defer cancel()
	ctx, stop := m.process.alive(ctx)
	defer stop()
	var members []struct{ ID uint64 }
	if err := repeat(ctx, func() error {
		return getJSON(ctx, client, m.cluster.scheme()+"://"+m.listenPeer+"/members", &members)
	}); err != nil {
		tb.Fatalf("%s does not answer other members: %v\n%s", m.Name, err, m.logTail())
	}
}

// repeat calls look until it succeeds; it returns look's last error when ctx ends first.
func repeat(ctx context.Context, look func() error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// ready looks once whether the member serves.
func (m *Member) ready(ctx context.Context, client *http.Client) error {
	var health struct{ Health, Reason string }
	if err := getJSON(ctx, client, m.ClientURL+"/health", &health); err != nil {
		return err
	}
	if health.Health != "true" {
		return fmt.Errorf("unhealthy: %s", health.Reason)
	}
	var version struct {
		Cluster string `json:"etcdcluster"`
	}
	if err := getJSON(ctx, client, m.ClientURL+"/version", &version); err != nil {
		return err
	}
	if version.Cluster == "" || version.Cluster == "not_decided" {
		return errors.New("the cluster's version is not decided")
	}
	return nil
}

// getJSON decodes what url answers, whatever its status.
func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	return json.NewDecoder(response.Body).Decode(into)
}

// WaitLeader waits until all given members agree on a leader among them in one term, and returns it.
func (c *Cluster) WaitLeader(tb testing.TB, members ...*Member) *Member {
	tb.Helper()
	clients := make([]*clientv3.Client, len(members))
	for i, m := range members {
		clients[i] = m.Client(tb)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), readyLimit)
	defer cancel()
	var leader *Member
	err := repeat(ctx, func() (err error) {
		leader, err = agreedLeader(ctx, members, clients)
		return err
	})
	if err != nil {
		tb.Fatalf("no agreement on a leader after %v: %v", readyLimit, err)
	}
	return leader
}

// agreedLeader asks all members once for their leader.
func agreedLeader(ctx context.Context, members []*Member, clients []*clientv3.Client) (*Member, error) {
	var leader *Member
	var first *clientv3.StatusResponse
	for i, m := range members {
		ctx, cancel := context.WithTimeout(ctx, requestLimit)
		status, err := clients[i].Status(ctx, m.ClientURL)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("status of %s: %w", m.Name, err)
		}
		if first == nil {
			first = status
		}
		if status.Leader != first.Leader || status.RaftTerm != first.RaftTerm {
			return nil, fmt.Errorf("%s sees leader %x in term %d, %s sees %x in term %d", m.Name, status.Leader, status.RaftTerm,
				members[0].Name, first.Leader, first.RaftTerm)
		}
		if status.Header.MemberId == status.Leader {
			leader = m
		}
	}
	if leader == nil {
		return nil, fmt.Errorf("the leader %x is not among the members asked", first.Leader)
	}
	return leader, nil
}

// WaitServing waits until the member serves, whoever started it.
func (m *Member) WaitServing(tb testing.TB) {
	tb.Helper()
	client := m.httpClient(tb)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(tb.Context(), readyLimit)
	defer cancel()
	if err := repeat(ctx, func() error { return m.ready(ctx, client) }); err != nil {
		tb.Fatalf("%s does not serve after %v: %v\n%s", m.Name, readyLimit, err, m.logTail())
	}
}
