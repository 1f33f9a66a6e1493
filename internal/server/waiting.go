package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/ops"
)

// waitingPeriod is the time between reports of a member that waits for the others.
const waitingPeriod = 10 * time.Second

// reportWaiting tells now and then, until the member is ready, which others do not answer: etcd's own log shows votes that
// nobody returns.
func (s *Server) reportWaiting(ctx context.Context) {
	ticker := time.NewTicker(waitingPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.Ready():
			return
		case <-s.stopping:
			return
		case <-s.done:
			return
		case <-ticker.C:
			text := s.waitingFor(ctx)
			s.log.Warn(text)
			s.notify("STATUS=" + text)
		}
	}
}

// waitingFor asks the other members and says what is missing for a quorum.
func (s *Server) waitingFor(ctx context.Context) string {
	self, _ := s.IDs()
	var urls []string
	names := map[string]string{}
	voters := 0
	for _, m := range s.etcd.Server.Cluster().Members() {
		if !m.IsLearner {
			voters++
		}
		if ops.MemberID(m.ID) != self {
			urls = append(urls, m.PeerURLs...)
			for _, u := range m.PeerURLs {
				names[u] = m.Name
			}
		}
	}
	answers, err := askPeers(ctx, s.settings.Config, urls, askTimeout, nil)
	if err != nil {
		return "waiting for the other members: " + err.Error()
	}
	var silent []string
	for _, a := range answers {
		if a.err != nil {
			silent = append(silent, fmt.Sprintf("%s at %s: %v", names[a.url], a.url, a.err))
		}
	}
	switch leader := ops.MemberID(s.etcd.Server.Lead()); {
	case leader != 0:
		return fmt.Sprintf("waiting for an entry of its own to be committed and applied; member %s leads", leader)
	case len(silent) == 0:
		return fmt.Sprintf("waiting for the %d voters to elect a leader; all members answer", voters)
	}
	return fmt.Sprintf("waiting for a quorum, %d of %d voters; no answer from %s", voters/2+1, voters, strings.Join(silent, "; "))
}
