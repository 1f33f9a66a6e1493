package config

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// etcdCandidate makes a candidate of an etcd's settings; open turns a path of the etcd into one that can be opened.
func (m *machine) etcdCandidate(source string, s serverSettings, open func(string) string) candidate {
	c := candidate{source: source, endpoints: s.clientEndpoints()}
	for _, ca := range []string{s["ctl-cacert"], s["trusted-ca-file"]} {
		if ca != "" {
			c.cas = append(c.cas, open(ca))
		}
	}
	if s["ctl-cert"] != "" && s["ctl-key"] != "" {
		c.pairs = append(c.pairs, pair{open(s["ctl-cert"]), open(s["ctl-key"])})
	}
	for _, file := range []string{s["trusted-ca-file"], s["cert-file"]} {
		if file != "" {
			c.pairs = append(c.pairs, m.clientPairsBeside(file, open)...)
		}
	}
	if s["cert-file"] != "" && s["key-file"] != "" {
		c.pairs = append(c.pairs, pair{open(s["cert-file"]), open(s["key-file"])})
	}
	return c
}

// clientPairsBeside lists the client certificates that distributions put beside a server's files.
func (m *machine) clientPairsBeside(file string, open func(string) string) []pair {
	dir := path.Dir(file)
	names := []string{"healthcheck-client", "admin", "client", "etcd-client", "../apiserver-etcd-client"}
	out := make([]pair, 0, len(names)+1)
	for _, name := range names {
		out = append(out, pair{open(path.Join(dir, name+".crt")), open(path.Join(dir, name+".key"))})
	}
	if host, err := os.Hostname(); err == nil { // kubespray
		out = append(out, pair{open(path.Join(dir, "admin-"+host+".pem")), open(path.Join(dir, "admin-"+host+"-key.pem"))})
	}
	return append(out, pemPairs(filepath.Dir(open(file)))...)
}

// pemPairs lists kubespray's client certificates in a directory, whatever the host is called.
func pemPairs(dir string) []pair {
	var out []pair
	for _, kind := range []string{"admin", "node"} {
		keys, err := filepath.Glob(filepath.Join(dir, kind+"-*-key.pem"))
		if err != nil {
			continue
		}
		for _, key := range keys {
			out = append(out, pair{strings.TrimSuffix(key, "-key.pem") + ".pem", key})
		}
	}
	return out
}

// apiserverCandidate makes a candidate of the flags that a kube-apiserver reaches its etcd with.
func apiserverCandidate(source string, s serverSettings, open func(string) string) (candidate, bool) {
	c := candidate{source: source, endpoints: splitURLs(s["etcd-servers"]), remote: true}
	if len(c.endpoints) == 0 {
		return c, false
	}
	if ca := s["etcd-cafile"]; ca != "" {
		c.cas = []string{open(ca)}
	}
	if s["etcd-certfile"] != "" && s["etcd-keyfile"] != "" {
		c.pairs = []pair{{open(s["etcd-certfile"]), open(s["etcd-keyfile"])}}
	}
	return c, true
}

// serviceFile looks at the files that services of etcd read their variables from.
func (m *machine) serviceFile() (candidate, bool) {
	file, s, ok := m.serviceSettings()
	if !ok {
		return candidate{}, false
	}
	return m.etcdCandidate(file, s, m.path), true
}

func (m *machine) serviceSettings() (file string, s serverSettings, ok bool) {
	for _, file := range []string{"/etc/etcd.env", "/etc/etcd/etcd.env", "/etc/default/etcd", "/etc/sysconfig/etcd", "/etc/etcd/etcd.conf"} {
		data := m.read(m.path(file), maxDiscovered)
		if data == nil {
			continue
		}
		s := fromEnvironment(parseEnvFile(data))
		if s["listen-client-urls"] != "" || s["advertise-client-urls"] != "" || s["ctl-endpoints"] != "" {
			return file, s, true
		}
	}
	return "", nil, false
}

// serviceUnit looks at the services of systemd that start an etcd.
func (m *machine) serviceUnit() (candidate, bool) {
	for _, o := range m.described() {
		if strings.HasSuffix(o.source, ".service") {
			return m.etcdCandidate(o.source, o.s, o.open), true
		}
	}
	return candidate{}, false
}
