package ops

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// StartSetting is one setting of a member's start, by the name of etcd's flag.
type StartSetting struct {
	Name  string `json:"name"` // as in --initial-cluster
	Value string `json:"value"`
}

// StartConfig is how a member that was just added must be started for the first time. It is made by StartConfigFor and
// can be written in every form that nodes are started by.
type StartConfig struct {
	Settings []StartSetting `json:"settings"`
	Notes    []string       `json:"notes"` // what the settings cannot know
}

// StartOptions are what the member list does not tell of a new member. Empty fields are derived or left out.
type StartOptions struct {
	Name       string
	ClientURLs []string // advertised to clients; default: the hosts of the peer URLs, port 2379
	DataDir    string   // left to the node's own settings when empty
	WALDir     string
	Files      []StartSetting // certificate files and the like, as on the other members
}

// StartConfigFor computes the start of a member of the list that never started: its initial cluster is exactly the member
// list, and it joins what exists. It fails when the member is not in the list.
func StartConfigFor(list Membership, id MemberID, opts StartOptions) (StartConfig, error) {
	m, ok := list.ByID(id)
	if !ok {
		return StartConfig{}, fmt.Errorf("member %s is not in the member list", id)
	}
	name := opts.Name
	if name == "" {
		name = m.Label()
	}
	clients := opts.ClientURLs
	if len(clients) == 0 {
		clients = clientURLsBeside(m.PeerURLs)
	}
	var s StartConfig
	s.set("name", name)
	s.set("initial-advertise-peer-urls", strings.Join(m.PeerURLs, ","))
	s.set("listen-peer-urls", strings.Join(listenURLs(m.PeerURLs), ","))
	s.set("advertise-client-urls", strings.Join(clients, ","))
	s.set("listen-client-urls", strings.Join(listenURLs(clients), ","))
	s.set("initial-cluster", initialCluster(list, id, name))
	s.set("initial-cluster-state", "existing")
	s.set("data-dir", opts.DataDir)
	s.set("wal-dir", opts.WALDir)
	for _, f := range opts.Files {
		s.set(f.Name, f.Value)
	}
	s.Notes = []string{"its data directory must be empty or missing"}
	if secure(m.PeerURLs) && !s.has("peer-cert-file") {
		s.Notes = append(s.Notes, "add peer-cert-file, peer-key-file, peer-trusted-ca-file and peer-client-cert-auth as on the other members")
	}
	if secure(clients) && !s.has("cert-file") {
		s.Notes = append(s.Notes, "add cert-file, key-file, trusted-ca-file and client-cert-auth as on the other members")
	}
	if hosts := named(slices.Concat(m.PeerURLs, clients)); len(hosts) > 0 {
		s.Notes = append(s.Notes, "it listens on all addresses, because etcd listens on addresses and not on names ("+strings.Join(hosts, ", ")+")")
	}
	return s, nil
}

func (s *StartConfig) set(name, value string) {
	if value != "" {
		s.Settings = append(s.Settings, StartSetting{name, value})
	}
}

func (s *StartConfig) has(name string) bool {
	return slices.ContainsFunc(s.Settings, func(x StartSetting) bool { return x.Name == name })
}

// initialCluster is the member list as etcd wants it. Members that never started have no name in the list; etcd matches
// them by their URLs, and the ID does for a name.
func initialCluster(list Membership, id MemberID, name string) string {
	var pairs []string
	for _, m := range list.Members {
		label := m.Label()
		if m.ID == id {
			label = name
		}
		for _, u := range m.PeerURLs {
			pairs = append(pairs, label+"="+u)
		}
	}
	return strings.Join(pairs, ",")
}

// clientURLsBeside guesses client URLs from peer URLs: the same hosts, etcd's usual port.
func clientURLsBeside(peers []string) []string {
	var out []string
	for _, p := range peers {
		if u, err := url.Parse(p); err == nil && u.Hostname() != "" {
			out = append(out, u.Scheme+"://"+net.JoinHostPort(u.Hostname(), "2379"))
		}
	}
	return out
}

// listenURLs are what to bind for advertised URLs: etcd binds addresses, not names.
func listenURLs(advertised []string) []string {
	var out []string
	for _, a := range advertised {
		u, err := url.Parse(a)
		if err != nil || u.Hostname() == "" {
			continue
		}
		host := u.Hostname()
		if net.ParseIP(host) == nil && host != "localhost" {
			host = "0.0.0.0"
		}
		if listen := u.Scheme + "://" + net.JoinHostPort(host, u.Port()); !slices.Contains(out, listen) {
			out = append(out, listen)
		}
	}
	return out
}

func named(urls []string) []string {
	var out []string
	for _, a := range urls {
		if u, err := url.Parse(a); err == nil && net.ParseIP(u.Hostname()) == nil && u.Hostname() != "localhost" && !slices.Contains(out, u.Hostname()) {
			out = append(out, u.Hostname())
		}
	}
	return out
}

func secure(urls []string) bool {
	return slices.ContainsFunc(urls, func(u string) bool { return strings.HasPrefix(u, "https://") })
}

// Flags writes the settings as arguments of etcd or `etcdops serve`.
func (s StartConfig) Flags() []string {
	var out []string
	for _, x := range s.Settings {
		out = append(out, "--"+x.Name+"="+x.Value)
	}
	return out
}

// Environment writes the settings as etcd's variables, one a line, as an environment file has them.
func (s StartConfig) Environment() []string {
	var out []string
	for _, x := range s.Settings {
		out = append(out, "ETCD_"+strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_"))+"="+quoteEnv(x.Value))
	}
	return out
}

// quoteEnv quotes a value for shells and for systemd's environment files alike where it needs it.
func quoteEnv(v string) string {
	if strings.ContainsAny(v, " \t\"'\\$`#;&|<>()*?[]~!") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(v) + `"`
	}
	return v
}

// YAML writes the settings as etcd's configuration file, which `etcdops serve --config-file` reads too.
func (s StartConfig) YAML() string {
	var b strings.Builder
	sections := map[string][]StartSetting{}
	for _, x := range s.Settings {
		if section, key := yamlSection(x.Name); section != "" {
			sections[section] = append(sections[section], StartSetting{key, x.Value})
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", x.Name, quoteYAML(x.Value))
	}
	for _, section := range []string{"client-transport-security", "peer-transport-security"} {
		if len(sections[section]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", section)
		for _, x := range sections[section] {
			fmt.Fprintf(&b, "  %s: %s\n", x.Name, quoteYAML(x.Value))
		}
	}
	return b.String()
}

// yamlSection finds the section in which the configuration file has a setting of TLS, and its name there.
func yamlSection(flag string) (section, key string) {
	keys := []string{"cert-file", "key-file", "client-cert-auth", "trusted-ca-file", "client-cert-file", "client-key-file"}
	if name, ok := strings.CutPrefix(flag, "peer-"); ok && slices.Contains(keys, name) {
		return "peer-transport-security", name
	}
	if slices.Contains(keys, flag) {
		return "client-transport-security", flag
	}
	return "", flag
}

func quoteYAML(v string) string {
	if v == "true" || v == "false" {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// SystemdDropIn writes the settings as a drop-in of the unit that starts etcd. Variables yield to flags: a unit whose
// ExecStart sets the same by flags needs its flags changed.
func (s StartConfig) SystemdDropIn() string {
	var b strings.Builder
	b.WriteString("[Service]\n")
	for _, x := range s.Settings {
		value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(x.Value)
		fmt.Fprintf(&b, "Environment=\"ETCD_%s=%s\"\n", strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_")), value)
	}
	return b.String()
}

// StaticPod writes the settings as the part of a static pod's manifest that a kubelet starts etcd by.
func (s StartConfig) StaticPod() string {
	var b strings.Builder
	b.WriteString("spec:\n  containers:\n  - name: etcd\n    command:\n    - etcd\n")
	for _, f := range s.Flags() {
		fmt.Fprintf(&b, "    - %s\n", quotePlain(f))
	}
	return b.String()
}

// quotePlain quotes a YAML scalar that could be taken for something else.
func quotePlain(v string) string {
	if strings.Contains(v, ": ") || strings.Contains(v, " #") || strings.ContainsAny(v, "\"\\") {
		return quoteYAML(v)
	}
	return v
}
