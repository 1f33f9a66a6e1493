package cmd

import (
	"context"
	"crypto/tls"
	"flag"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/etcdops/etcdops/clock"
	"github.com/etcdops/etcdops/internal/clockwatch"
	"github.com/etcdops/etcdops/internal/server"
	"github.com/etcdops/etcdops/ops"
)

// serveClock is the part of serve that deals with clocks: it tells the member's own, and watches the others'.
type serveClock struct {
	clockwatch.Settings
	member atomic.Pointer[server.Server] // nil until the member is open
}

func (c *serveClock) addFlags(fs *flag.FlagSet) { c.AddFlags(fs) }

// check refuses bad settings before anything is started.
func (c *serveClock) check(cmd *cobra.Command) error {
	if err := c.Check(); err != nil {
		return usageError(cmd, err)
	}
	return nil
}

// handlers are what the member serves on its client URLs for this part.
func (c *serveClock) handlers() map[string]http.Handler {
	return map[string]http.Handler{clock.Path: clock.Handler(func() string {
		if m := c.member.Load(); m != nil {
			id, _ := m.IDs()
			return id.String()
		}
		return ""
	})}
}

// start begins to watch once the member is ready; it ends with the member.
func (c *serveClock) start(ctx context.Context, member *server.Server) {
	c.member.Store(member)
	if c.Interval == 0 {
		return
	}
	watch := &clockwatch.Watch{
		Settings: c.Settings, Name: "this member", Log: member.Log(),
		Peers: func() []clock.Target { return peersOf(member) },
		TLS:   func() (*tls.Config, error) { return member.PeerTLS() },
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-member.Ready():
		case <-member.Done():
			return
		}
		if err := prometheus.DefaultRegisterer.Register(watch); err != nil {
			member.Log().Warn("metrics of the peers' clocks cannot be published", "error", err)
		}
		go func() {
			<-member.Done()
			cancel()
		}()
		watch.Run(ctx)
	}()
}

// peersOf lists the other members that have started.
func peersOf(member *server.Server) []clock.Target {
	own, _ := member.IDs()
	var peers []clock.Target
	for _, m := range member.Etcd().Cluster().Members() {
		if id := ops.MemberID(m.ID); id != own && m.IsStarted() {
			peers = append(peers, clock.Target{ID: id.String(), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs})
		}
	}
	return peers
}
