package health_test

import (
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/clustertest"
	"github.com/etcdops/etcdops/ops"
)

// TestWaitingForQuorum: a member that was started before the others accepts connections of clients and says nothing; it does not hang.
func TestWaitingForQuorum(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"plain": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.NewUnstarted(t, clustertest.Options{Size: 3, TLS: secure})
			lone := c.Members[0]
			lone.Launch(t)
			lone.WaitServesPeers(t)
			cfg := at(lone.ClientURL)
			if secure {
				cfg.TLS = ops.TLS{CACert: c.TLS.CACert, Cert: c.TLS.ClientCert, Key: c.TLS.ClientKey}
			}
			asked := health.Options{Bound: 10 * time.Second, PeerURLs: func(client string) []string {
				if client != lone.ClientURL {
					t.Errorf("asked for the peer URLs behind %s", client)
				}
				return []string{lone.PeerURL}
			}}
			r := judge(t, collect(t, cfg, asked), nil)
			want(t, r, health.SeverityCritical, "reachability")
			if len(r.Strays) != 1 || r.Strays[0].State != health.StateWaiting || r.Strays[0].Code != ops.CodeSilent || !r.Alive() {
				t.Errorf("alive %v, %+v", r.Alive(), r.Strays)
			}
			if want := "1 endpoint asked, none serves: 1 waits for a quorum"; !strings.HasPrefix(r.Summary, want) {
				t.Errorf("summary %q, want %q", r.Summary, want)
			}
			if class, _ := r.Class(false); class != ops.ClassUnreachable || r.Reached {
				t.Errorf("class %v, reached %v: it serves nobody", class, r.Reached)
			}
		})
	}
}

// TestAlive: what a restart cannot help, and what it can.
func TestAlive(t *testing.T) {
	t.Parallel()
	for kind, alive := range map[health.Kind]bool{
		health.KindWaiting: true, health.KindNoLeader: true, health.KindAuth: true,
		health.KindHung: false, health.KindRefused: false, health.KindTLS: false,
	} {
		facts := health.Facts{Endpoints: []health.Endpoint{{
			URL: "http://m1:2379", Given: true, Connect: health.Answer{Failure: &health.Failure{Kind: kind, Message: "as it was found"}},
		}}}
		if r := health.Evaluate(facts, health.Policy{}); r.Alive() != alive {
			t.Errorf("%s: alive %v", kind, r.Alive())
		}
	}
}
