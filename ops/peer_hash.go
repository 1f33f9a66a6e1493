package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxPeerAnswer bounds what a peer URL may answer: an honest hash has some hundred bytes.
const maxPeerAnswer = 16 << 10

// PeerHash asks a member at one of its peer URLs for the hash of its data up to a revision, as its peers do (a learner
// refuses that to clients), and for the revision that it is compacted to. Nothing is committed. Peers with TLS want a
// client certificate that their authority signed. The request takes as long as ctx allows.
func (c *Cluster) PeerHash(ctx context.Context, url string, cluster ClusterID, revision int64) (hash uint32, compact int64, err error) {
	client, err := c.peerClient(url)
	if err != nil {
		return 0, 0, err
	}
	defer client.CloseIdleConnections()
	client.Timeout = 0 // a large database takes longer than other requests, connecting does not
	if t, ok := client.Transport.(*http.Transport); ok {
		t.DialContext = (&net.Dialer{Timeout: c.transport.timeout}).DialContext
		t.TLSHandshakeTimeout = c.transport.timeout
	}
	body := fmt.Sprintf(`{"revision":%d}`, revision)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/members/hashkv", strings.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Etcd-Cluster-ID", cluster.String())
	resp, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	text, err := io.ReadAll(&boundedReader{r: resp.Body, left: maxPeerAnswer})
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("its peer URL answers %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	var answer struct {
		Hash    *uint32 `json:"hash"`
		Compact int64   `json:"compact_revision"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Hash == nil {
		return 0, 0, errors.New("its peer URL does not answer as a member does")
	}
	return *answer.Hash, answer.Compact, nil
}
