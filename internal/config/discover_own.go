package config

import (
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ownMember is an etcd of this machine: one that its configuration describes, or one that runs.
type ownMember struct {
	source string
	s      serverSettings
	open   func(string) string // turns a path of the etcd into one that can be opened
	whole  bool                // s is all there is
	bare   bool                // nothing but a data directory tells of it
}

func (o ownMember) local() LocalServer {
	l := localServer(o.source, o.s, o.open, o.whole)
	l.PeerURLs = splitURLs(o.s["initial-advertise-peer-urls"])
	return l
}

// is reports whether two descriptions are of one member, as far as they tell.
func (o ownMember) is(other ownMember) bool {
	a, b := o.local(), other.local()
	if a.Name != "" && b.Name != "" && a.Name != b.Name {
		return false
	}
	if a.DataDir != "" && b.DataDir != "" {
		return sameFile(a.DataDir, b.DataDir)
	}
	return shareURL(a.ClientURLs, b.ClientURLs) || shareURL(a.PeerURLs, b.PeerURLs)
}

// sameCluster reports whether two members were started for one cluster.
func (o ownMember) sameCluster(other ownMember) bool {
	return shareURL(initialURLs(o.s["initial-cluster"]), initialURLs(other.s["initial-cluster"]))
}

// initialURLs are the peer URLs in NAME=URL,NAME=URL.
func initialURLs(list string) []string {
	var out []string
	for entry := range strings.SplitSeq(list, ",") {
		if _, u, ok := strings.Cut(strings.TrimSpace(entry), "="); ok {
			out = append(out, u)
		}
	}
	return out
}

func shareURL(a, b []string) bool {
	return slices.ContainsFunc(a, func(u string) bool { return slices.Contains(b, u) })
}

func sameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// runningMembers are the etcds that run, in the order of their processes.
func (m *machine) runningMembers() []ownMember {
	found := m.processes(isEtcd)
	out := make([]ownMember, len(found))
	for i, p := range found {
		s, open, whole := m.processSettings(p)
		out[i] = ownMember{source: processSource(p), s: s, open: open, whole: whole}
	}
	return out
}

// described are the members that this machine's configuration says it should run: static pods, the files that services
// read, services that are enabled. One of a service counts once it has a data directory: packages enable theirs unasked.
func (m *machine) described() []ownMember {
	var out []ownMember
	m.manifests("etcd", func(file string, c container, open func(string) string) bool {
		o := m.withFile(ownMember{source: file, s: fromEnvironment(c.environment()).over(parseFlags(c.arguments())), open: open, whole: true})
		if o.s["listen-client-urls"] != "" || o.s["ctl-endpoints"] != "" {
			out = append(out, o)
		}
		return false
	})
	services := m.units()
	if file, s, ok := m.serviceSettings(); ok {
		services = append(services, ownMember{source: file, s: s, open: m.path})
	}
	for _, o := range services {
		if dir := o.local().DataDir; dir == "" || hasMember(dir) {
			out = append(out, o)
		}
	}
	return out
}

// withFile puts the configuration file in force, if there is one: etcd reads nothing else then.
func (m *machine) withFile(o ownMember) ownMember {
	if file := o.s["config-file"]; file != "" {
		if data := m.read(o.open(file), maxDiscovered); data != nil {
			o.s = parseServerFile(data)
		} else {
			o.whole = false
		}
	}
	return o
}

// hasMember reports whether a data directory has a member in it, or may have one that this user must not see.
func hasMember(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "member"))
	return err == nil || errors.Is(err, os.ErrPermission)
}

// leftDirectories are data directories in the usual places.
func (m *machine) leftDirectories() []ownMember {
	var out []ownMember
	for _, dir := range []string{"/var/lib/etcd", "/var/lib/etcd/default", "/var/lib/etcd/default.etcd", "/var/lib/etcdops"} {
		if _, err := os.Stat(filepath.Join(m.path(dir), "member")); err == nil {
			out = append(out, ownMember{source: "data directory " + dir, s: serverSettings{"data-dir": dir}, open: m.path, bare: true})
		}
	}
	return out
}

// stopped lists the members that should run here and do not, where that leaves open which cluster is this machine's: those
// that the most likely one of the running etcds is no stand-in for. foreign is that etcd, nil when none runs.
//
// Without it, a machine whose member has died would speak of whatever other etcd is found on it.
func (m *machine) stopped() (out []ownMember, foreign *ownMember) {
	running := m.runningMembers()
	own := m.described()
	if len(running) > 0 {
		best := running[0]
		for _, r := range running[1:] {
			if r.rank() > best.rank() {
				best = r
			}
		}
		foreign = &best
	}
	known := foreign != nil && slices.ContainsFunc(own, foreign.is)
	if foreign != nil && len(own) == 0 {
		own = m.leftDirectories()
	}
	for _, o := range own {
		switch {
		case slices.ContainsFunc(running, o.is):
		case foreign != nil && o.sameCluster(*foreign):
		case known && o.rank() <= foreign.rank(): // such as the cluster for Kubernetes' events, beside the one for its objects
		case slices.ContainsFunc(out, o.is):
		default:
			out = append(out, o)
		}
	}
	return out, foreign
}

// rank orders the etcds of one machine by how likely they are meant.
func (o ownMember) rank() int { return portRank(candidate{endpoints: o.s.clientEndpoints()}) }

// stoppedEtcd is the machine's own member where it does not run and something else does.
func (m *machine) stoppedEtcd() (candidate, bool) {
	stopped, foreign := m.stopped()
	if len(stopped) == 0 || foreign == nil || stopped[0].bare {
		return candidate{}, false
	}
	o := stopped[0]
	c := m.etcdCandidate(o.source, o.s, o.open)
	c.note = "that member does not run; another etcd does: " + strings.Join(foreign.s.clientEndpoints(), ",") + " (" + foreign.source + ")"
	return c, true
}

// units reads the enabled services of systemd that start an etcd.
func (m *machine) units() []ownMember {
	var out []ownMember
	seen := map[string]bool{}
	for _, dir := range []string{"/etc/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"} {
		for _, file := range m.glob(dir + "*etcd*.service") {
			name := path.Base(file)
			if seen[name] || strings.Contains(name, "@") || !m.enabled(name) {
				continue
			}
			seen[name] = true
			if o, ok := m.unit(dir+name, file, strings.TrimSuffix(name, ".service")); ok {
				out = append(out, o)
			}
		}
	}
	return out
}

// enabled reports whether a service starts with the machine.
func (m *machine) enabled(unit string) bool {
	return len(m.glob("/etc/systemd/system/*.wants/"+unit)) > 0 || len(m.glob("/etc/systemd/system/*.requires/"+unit)) > 0
}

// unit reads what a service starts; ok is false when that is no etcd.
func (m *machine) unit(source, file, name string) (o ownMember, ok bool) {
	env, command := map[string]string{}, ""
	host, _ := os.Hostname() // without it %H stands for nothing
	specifiers := strings.NewReplacer("%%", "%", "%H", host, "%p", name, "%N", name, "%n", name+".service")
	texts := append([]string{file}, m.glob("/etc/systemd/system/"+name+".service.d/*.conf")...)
	for _, text := range texts {
		for line := range strings.Lines(strings.ReplaceAll(string(m.read(text, maxDiscovered)), "\\\n", " ")) {
			key, value, found := strings.Cut(strings.TrimSpace(line), "=")
			value = specifiers.Replace(strings.TrimSpace(value))
			switch {
			case !found:
			case key == "Environment":
				for pair := range strings.FieldsSeq(value) {
					if k, v, good := strings.Cut(strings.Trim(pair, `"'`), "="); good {
						env[k] = v
					}
				}
			case key == "EnvironmentFile":
				maps.Copy(env, parseEnvFile(m.read(m.path(strings.TrimPrefix(value, "-")), maxDiscovered)))
			case key == "ExecStart" && value != "":
				command = value
			}
		}
	}
	args := strings.Fields(os.Expand(strings.TrimLeft(command, "-@:+!"), func(v string) string { return env[v] }))
	for i := range args {
		if isEtcd(args[i:]) {
			o = ownMember{source: source, s: fromEnvironment(env).over(parseFlags(args[i+1:])), open: m.path, whole: true}
			return m.withFile(o), true
		}
	}
	return o, false
}
