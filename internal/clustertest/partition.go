package clustertest

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Clients is the party of everybody who is no member, in Partition, Cut and Delay.
const Clients = "clients"

// Partition cuts the network between groups of members, by their names, until Heal. Who is in no group keeps his links.
// With ClientProxy in the options, Clients may stand in a group too.
func (c *Cluster) Partition(tb testing.TB, groups ...[]string) {
	tb.Helper()
	c.mustKnow(tb, slices.Concat(groups...)...)
	c.network.Partition(groups...)
}

// Isolate cuts one member off all others; clients still reach it.
func (c *Cluster) Isolate(tb testing.TB, name string) {
	tb.Helper()
	others := slices.DeleteFunc(c.names(), func(n string) bool { return n == name })
	c.Partition(tb, []string{name}, others)
}

// Cut cuts the network between two members in one direction.
func (c *Cluster) Cut(tb testing.TB, from, to string) {
	tb.Helper()
	c.mustKnow(tb, from, to)
	c.network.Cut(from, to)
}

// Delay makes what one member sends to another arrive later; zero takes that back.
func (c *Cluster) Delay(tb testing.TB, from, to string, delay time.Duration) {
	tb.Helper()
	c.mustKnow(tb, from, to)
	c.network.Delay(from, to, delay)
}

// Heal mends the whole network and takes all delays away.
func (c *Cluster) Heal() { c.network.Heal() }

// mustKnow fails the test over a party that stands behind no proxy.
func (c *Cluster) mustKnow(tb testing.TB, parties ...string) {
	tb.Helper()
	if !knowsCallers {
		tb.Skip("faults of the network need Linux: elsewhere it cannot be told which member a connection comes from")
	}
	for _, party := range parties {
		switch {
		case party == Clients && !c.opts.ClientProxy:
			tb.Fatal("the links of clients need ClientProxy in the cluster's options")
		case party != Clients && !slices.Contains(c.names(), party):
			tb.Fatalf("no member %q in this cluster", party)
		}
	}
}

func (c *Cluster) names() []string {
	var names []string
	for _, m := range c.Members {
		names = append(names, m.Name)
	}
	return names
}

// proxy opens a proxy before a member's address on the member's host and returns the proxy's address.
func (c *Cluster) proxy(tb testing.TB, m *Member, target string) string {
	tb.Helper()
	proxy := c.network.Proxy(m.Name, target, c.callers.name)
	addr, err := proxy.Open(net.JoinHostPort(m.Host, "0"))
	if err != nil {
		tb.Fatalf("open proxy of %s: %v", m.Name, err)
	}
	tb.Cleanup(proxy.Close)
	return addr
}

// callers knows the members' processes, to tell who is at the other end of a connection: the links of all members lead
// to one address of each, and all come from the same loopback address. A member that somebody else started by its
// specification is known by its data directory.
type callers struct {
	mu    sync.Mutex
	names map[*process]string
	dirs  map[string]string // names by data directory
}

// expect makes a member known by its data directory, whoever starts it.
func (c *callers) expect(dataDir, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirs == nil {
		c.dirs = map[string]string{}
	}
	c.dirs[dataDir] = name
}

// add makes a member's process known until its end.
func (c *callers) add(p *process, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[*process]string{}
	}
	c.names[p] = name
	go func() {
		<-p.done
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.names, p)
	}()
}

// name returns the party that a connection comes from.
func (c *callers) name(conn net.Conn) string {
	inode := callerInode(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, name := range c.names {
		if inode != 0 && owns(p.pid(), inode) {
			return name
		}
	}
	if inode != 0 {
		for dir, name := range c.dirs {
			if ownedByMemberOn(dir, inode) {
				return name
			}
		}
	}
	return Clients
}
