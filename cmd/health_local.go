package cmd

import (
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
