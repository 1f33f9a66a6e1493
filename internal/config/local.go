package config

import (
	"slices"
	"strconv"
)

// LocalServer is an etcd that runs on this machine, or that one of its static pods' manifests describes.
type LocalServer struct {
	Source     string   // for people: "running etcd, pid 812"
	Name       string   // empty when nobody gave it one
	ClientURLs []string // as advertised
	PeerURLs   []string // as advertised to peers, else where it listens for them
	DataDir    string   // as it can be opened here; empty when it is not known
	WALDir     string   // the same; empty when it is below the data directory
	Strict     *bool    // --strict-reconfig-check; nil when it cannot be told
}

// LocalServers looks for all etcds of this machine, running ones first, as Discover does. root is "" outside of tests.
func LocalServers(root string) []LocalServer {
	m := &machine{root: root}
	var out []LocalServer
	for _, p := range m.processes(isEtcd) {
		s, open, whole := m.processSettings(p)
		out = append(out, localServer(processSource(p), s, open, whole))
	}
	m.manifests("etcd", func(file string, c container, open func(string) string) bool {
		s := fromEnvironment(c.environment()).over(parseFlags(c.arguments()))
		l := localServer(file, s, open, s["config-file"] == "")
		known := func(o LocalServer) bool { return slices.Equal(o.ClientURLs, l.ClientURLs) }
		if len(l.ClientURLs) > 0 && !slices.ContainsFunc(out, known) {
			out = append(out, l)
		}
		return false
	})
	return out
}

func localServer(source string, s serverSettings, open func(string) string, whole bool) LocalServer {
	l := LocalServer{Source: source, Name: s["name"], ClientURLs: splitURLs(s["advertise-client-urls"])}
	if len(l.ClientURLs) == 0 && whole {
		l.ClientURLs = []string{"http://localhost:2379"} // etcd's default
	}
	if l.PeerURLs = splitURLs(s["initial-advertise-peer-urls"]); len(l.PeerURLs) == 0 {
		l.PeerURLs = splitURLs(s["listen-peer-urls"])
	}
	if len(l.PeerURLs) == 0 && whole {
		l.PeerURLs = []string{"http://localhost:2380"} // etcd's default
	}
	if l.Name == "" && whole {
		l.Name = "default"
	}
	if dir := s["data-dir"]; dir != "" {
		l.DataDir = open(dir)
	} else if whole {
		l.DataDir = open(l.Name + ".etcd")
	}
	if dir := s["wal-dir"]; dir != "" {
		l.WALDir = open(dir)
	}
	text, given := s["strict-reconfig-check"]
	strict, err := strconv.ParseBool(text)
	switch {
	case text == "" && (whole || given):
		strict = true // the default, and what the bare flag means
		l.Strict = &strict
	case err == nil:
		l.Strict = &strict
	}
	return l
}
