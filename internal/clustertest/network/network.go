// Package network is the network between the members of a test cluster: TCP proxies whose links can be cut, one way or
// both, and delayed. It needs no privilege.
//
// A link leads from one party to another; parties are names. While a link is cut, its bytes are held, connections stay
// open, and a new connection is accepted and then silent: what a party sees when packets are dropped. When the link is
// healed the held bytes arrive, as TCP's retransmission would bring them.
package network

import (
	"slices"
	"sync"
	"time"
)

// Network is the state of all links; a link that nobody touched is open and without delay.
type Network struct {
	mu      sync.Mutex
	links   map[ends]Link
	changed chan struct{} // closed, and replaced, at each change
}

// Link is the state of one link.
type Link struct {
	Cut   bool          // nothing passes
	Delay time.Duration // everything passes that much later
}

// ends are the two parties of a link.
type ends struct{ from, to string }

// New returns a network whose links are all open.
func New() *Network {
	return &Network{links: map[ends]Link{}, changed: make(chan struct{})}
}

// Cut cuts the link between two parties in one direction.
func (n *Network) Cut(from, to string) {
	n.change(func() { n.update(from, to, func(l *Link) { l.Cut = true }) })
}

// Delay lets everything between two parties pass later, in one direction.
func (n *Network) Delay(from, to string, delay time.Duration) {
	n.change(func() { n.update(from, to, func(l *Link) { l.Delay = delay }) })
}

// Partition cuts all links between parties of different groups, both ways. A party of no group keeps its links.
func (n *Network) Partition(groups ...[]string) {
	n.change(func() {
		for i, group := range groups {
			others := slices.Concat(slices.Concat(groups[:i], groups[i+1:])...)
			for _, from := range group {
				for _, to := range others {
					n.update(from, to, func(l *Link) { l.Cut = true })
				}
			}
		}
	})
}

// Heal opens all links and takes all delays away.
func (n *Network) Heal() { n.change(func() { clear(n.links) }) }

// Link returns the state of a link, and a channel that is closed when any link changes after that.
func (n *Network) Link(from, to string) (Link, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.links[ends{from, to}], n.changed
}

func (n *Network) change(apply func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	apply()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *Network) update(from, to string, set func(*Link)) {
	link := n.links[ends{from, to}]
	set(&link)
	n.links[ends{from, to}] = link
}
