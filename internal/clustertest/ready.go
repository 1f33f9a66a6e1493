package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
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
	client := m.httpClient(tb)
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(tb.Context(), readyLimit)
	defer cancel()
	var last error
	for tick := time.NewTicker(readyPoll); ; {
		if last = m.ready(ctx, client); last == nil {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-m.process.done:
			tb.Fatalf("%s ended before it served: %s\n%s", m.Name, m.process.exit(), m.logTail(15))
		case <-ctx.Done():
			tb.Fatalf("%s does not serve after %v: %v\n%s", m.Name, readyLimit, last, m.logTail(15))
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
