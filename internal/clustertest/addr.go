package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// newHost picks a loopback address for one member: with an address of its own it is a host of its own to the others.
func newHost(ctx context.Context) string {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "127.0.0.1" // systems other than Linux have only this one
	}
	_ = listener.Close()
	return host
}

// reserve finds a free TCP port on host and keeps it for the test's member, also while that does not run. Nothing
// listens there before the member does: a connection is refused.
func reserve(tb testing.TB, host string) (addr string) {
	tb.Helper()
	addr, release, err := bindPort(host)
	if err != nil {
		tb.Fatalf("reserve a port on %s: %v", host, err)
	}
	tb.Cleanup(release)
	return addr
}
