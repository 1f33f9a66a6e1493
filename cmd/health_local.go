package cmd

import (
	"net"
	"net/url"
	"slices"

	"github.com/etcdops/etcdops/health"
	"github.com/etcdops/etcdops/internal/config"
)

// localMembers tells what this machine knows of the members that run on it.
func localMembers() []health.LocalMember {
	var out []health.LocalMember
	for _, s := range config.LocalServers("") {
		m := health.LocalMember{Source: s.Source, Name: s.Name, ClientURLs: s.ClientURLs, StrictReconfig: s.Strict}
		for _, dir := range []string{s.DataDir, s.WALDir} {
			if dir != "" {
				m.Disks = append(m.Disks, health.ReadDisk(dir))
			}
		}
		out = append(out, m)
	}
	return out
}

// stoppedMembers are the members that should run on this machine and do not.
func stoppedMembers(servers []config.LocalServer) []health.LocalMember {
	var out []health.LocalMember
	for _, s := range servers {
		out = append(out, health.LocalMember{Source: s.Source, Name: s.Name, ClientURLs: s.ClientURLs, PeerURLs: s.PeerURLs, Stopped: true})
	}
	return out
}

// localPeerURLs are the peer URLs of the member of this machine that has a client URL. It looks only when it is asked.
func localPeerURLs(client string) []string {
	var out []string
	for _, s := range config.LocalServers("") {
		if slices.ContainsFunc(s.ClientURLs, func(own string) bool { return sameHere(own, client) }) {
			out = append(out, s.PeerURLs...)
		}
	}
	for i, peer := range out {
		out[i] = reachableHere(peer)
	}
	return out
}

// sameHere reports whether a client URL of a member of this machine is the one that was asked: by its words, or as the same port of
// this machine.
func sameHere(own, asked string) bool {
	if own == asked {
		return true
	}
	a, errA := url.Parse(own)
	b, errB := url.Parse(asked)
	return errA == nil && errB == nil && a.Port() != "" && a.Port() == b.Port() && isHere(b.Hostname())
}

// isHere reports whether a host is this machine under a name that all machines have.
func isHere(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reachableHere turns the address of all interfaces into one that can be asked.
func reachableHere(peer string) string {
	u, err := url.Parse(peer)
	if err != nil {
		return peer
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("localhost", u.Port())
	}
	return u.String()
}
