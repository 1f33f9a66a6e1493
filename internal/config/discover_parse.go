package config

import (
	"bytes"
	"maps"
	"net"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// serverSettings are settings of an etcd server by the names of its flags, and of an etcdctl beside it under ctl-.
type serverSettings map[string]string

// parseFlags reads the settings among the arguments of etcd or kube-apiserver. It knows none of the flags: a value that
// begins with a dash is taken for the next flag, as boolean flags have none.
func parseFlags(args []string) serverSettings {
	s := serverSettings{}
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "-")
		if !ok {
			continue
		}
		name = strings.TrimPrefix(name, "-")
		value, hasValue := "", false
		if name, value, hasValue = strings.Cut(name, "="); !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			value = args[i]
		}
		if name != "" {
			s[name] = value
		}
	}
	return s
}

// words splits the arguments of a container whose command is a script: kOps and OpenShift start theirs through a shell.
func words(args []string) []string {
	var out []string
	for _, arg := range args {
		out = append(out, strings.Fields(strings.ReplaceAll(arg, "\\\n", " "))...)
	}
	return out
}

// parseEnvironment reads variables as a process has them, separated by NUL.
func parseEnvironment(data []byte) map[string]string {
	out := map[string]string{}
	for pair := range bytes.SplitSeq(data, []byte{0}) {
		if name, value, ok := strings.Cut(string(pair), "="); ok {
			out[name] = value
		}
	}
	return out
}

// parseEnvFile reads a file of variables as systemd and shells do: a line each, comments, quotes around values.
func parseEnvFile(data []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[strings.TrimSpace(name)] = value
	}
	return out
}

// fromEnvironment takes etcd's and etcdctl's variables out of an environment.
func fromEnvironment(env map[string]string) serverSettings {
	s := serverSettings{}
	for name, value := range env {
		if value == "" {
			continue
		}
		flag := func(prefix string) string {
			return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", "-"))
		}
		switch {
		case strings.HasPrefix(name, "ETCDCTL_"):
			s["ctl-"+strings.TrimSuffix(flag("ETCDCTL_"), "-file")] = value
		case strings.HasPrefix(name, "ETCD_"):
			s[flag("ETCD_")] = value
		}
	}
	if ca, ok := s["ctl-ca"]; ok && s["ctl-cacert"] == "" { // etcdctl's name for it in its second version
		s["ctl-cacert"] = ca
	}
	return s
}

// parseServerFile reads the settings in etcd's own configuration file.
//
//nolint:tagliatelle // etcd named the fields
func parseServerFile(data []byte) serverSettings {
	var file struct {
		Name      string `yaml:"name"`
		DataDir   string `yaml:"data-dir"`
		WALDir    string `yaml:"wal-dir"`
		Strict    string `yaml:"strict-reconfig-check"`
		Listen    string `yaml:"listen-client-urls"`
		Advertise string `yaml:"advertise-client-urls"`
		Peers     string `yaml:"initial-advertise-peer-urls"`
		Cluster   string `yaml:"initial-cluster"`
		Security  struct {
			Cert string `yaml:"cert-file"`
			Key  string `yaml:"key-file"`
			CA   string `yaml:"trusted-ca-file"`
		} `yaml:"client-transport-security"`
	}
	if yaml.Unmarshal(data, &file) != nil {
		return serverSettings{}
	}
	return serverSettings{
		"name": file.Name, "data-dir": file.DataDir, "wal-dir": file.WALDir, "strict-reconfig-check": file.Strict,
		"listen-client-urls": file.Listen, "advertise-client-urls": file.Advertise,
		"initial-advertise-peer-urls": file.Peers, "initial-cluster": file.Cluster,
		"cert-file": file.Security.Cert, "key-file": file.Security.Key, "trusted-ca-file": file.Security.CA,
	}
}

// over returns s with the settings of a stronger source put over it.
func (s serverSettings) over(stronger serverSettings) serverSettings {
	out := maps.Clone(s)
	maps.Copy(out, stronger)
	return out
}

// clientEndpoints picks the URLs by which to reach the server from its own machine: those that its etcdctl uses; its
// loopback address, which every member's certificate names by custom; an address that it listens on; the one that it
// advertises.
func (s serverSettings) clientEndpoints() []string {
	if urls := splitURLs(s["ctl-endpoints"]); len(urls) > 0 {
		return urls
	}
	listen := splitURLs(s["listen-client-urls"])
	if len(listen) == 0 {
		return []string{"http://127.0.0.1:2379"}
	}
	var specific, wildcard string
	for _, u := range listen {
		host, kind := hostKind(u)
		switch {
		case kind == loopback:
			return []string{u}
		case kind == anywhere && wildcard == "":
			wildcard = strings.Replace(u, host, "127.0.0.1", 1)
		case kind == elsewhere && specific == "":
			specific = u
		}
	}
	if specific != "" {
		return []string{specific}
	}
	for _, u := range splitURLs(s["advertise-client-urls"]) {
		if _, kind := hostKind(u); kind != anywhere {
			return []string{u}
		}
	}
	return []string{wildcard}
}

// splitURLs splits at commas and leaves out what is no URL, such as one with a variable that was not expanded.
func splitURLs(list string) []string {
	var out []string
	for u := range strings.SplitSeq(list, ",") {
		u = strings.TrimSpace(u)
		if parsed, err := url.Parse(u); err == nil && !strings.Contains(u, "$") && (parsed.Port() != "" || strings.HasPrefix(parsed.Scheme, "unix")) {
			out = append(out, u)
		}
	}
	return out
}

// Where an address leads, seen from its own machine.
const (
	elsewhere = iota
	loopback
	anywhere // all addresses of the machine
)

func hostKind(rawURL string) (host string, kind int) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", elsewhere
	}
	host = u.Hostname()
	ip := net.ParseIP(host)
	switch {
	case host == "localhost", ip != nil && ip.IsLoopback(), strings.HasPrefix(u.Scheme, "unix"):
		return host, loopback
	case ip != nil && ip.IsUnspecified():
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return host, anywhere
	}
	return host, elsewhere
}
