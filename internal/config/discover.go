package config

import (
	"fmt"
	"slices"
	"strings"
)

// Found is what this machine knows of the etcd that runs on it, or that its kube-apiserver uses.
type Found struct {
	Source    string   `json:"source"` // where it was found, for people: "running etcd, pid 812"; "" when nothing was
	Endpoints []string `json:"endpoints"`
	CACert    string   `json:"cacert,omitempty"`
	Cert      string   `json:"cert,omitempty"` // client certificate and its key; "" when none fits
	Key       string   `json:"key,omitempty"`
	Note      string   `json:"note,omitempty"` // something else worth knowing, for people

	// Stopped are members that this machine's configuration describes and that do not run on it. Where one of them is not of
	// the cluster that answers, that is another cluster than this machine's.
	Stopped []LocalServer `json:"-"`
}

// candidate is one place that tells of an etcd, before its files have been looked at.
type candidate struct {
	source    string
	endpoints []string
	cas       []string // files, the likeliest first
	pairs     []pair   // client certificates, the one meant for health checks first, the server's own last
	note      string
	remote    bool // they are of a program that uses an etcd, which may run elsewhere
}

// pair is a certificate and its private key.
type pair struct{ cert, key string }

// Discover looks for an etcd on this machine: its own where that does not run and another does, a running one, static pods, the kube-apiserver's settings, files of
// services, and the places where the usual distributions of Kubernetes keep its certificates. It writes nothing, opens
// no connection, and costs about a millisecond where there is nothing. root is "" outside of tests.
//
// It fails with a *ops.HintError when the machine's cluster is known to keep its data in something else than etcd.
func Discover(root string) (Found, error) {
	m := &machine{root: root}
	for _, look := range []func() (candidate, bool){
		m.stoppedEtcd, m.runningEtcd, m.etcdManifest, m.apiserverManifest, m.runningAPIServer, m.serviceFile, m.serviceUnit, m.knownLayout,
	} {
		if c, ok := look(); ok {
			f := m.choose(c)
			if !c.remote {
				f.Stopped = m.stoppedServers()
			}
			return f, nil
		}
	}
	return Found{}, m.otherStore()
}

func (m *machine) stoppedServers() []LocalServer {
	var out []LocalServer
	stopped, _ := m.stopped()
	for _, o := range stopped {
		out = append(out, o.local())
	}
	return out
}

// plainDefault reports whether f says no more than the defaults do.
func (f Found) plainDefault() bool {
	return len(f.Endpoints) == 1 && slices.Contains([]string{"http://127.0.0.1:2379", "http://localhost:2379"}, f.Endpoints[0])
}

// Context makes a context of what was found.
func (f Found) Context(name string) Context {
	return Context{Name: name, Endpoints: f.Endpoints, CACert: f.CACert, Cert: f.Cert, Key: f.Key}
}

// Rows lists what was found for a table.
func (f Found) Rows() [][]string {
	return filled([][]string{
		{"found by", f.Source},
		{keyEndpoints, strings.Join(f.Endpoints, ",")},
		{keyCACert, f.CACert},
		{keyCert, f.Cert},
		{keyKey, f.Key},
		{"note", f.Note},
	})
}

// filled drops the rows without a value.
func filled(rows [][]string) [][]string {
	return slices.DeleteFunc(rows, func(row []string) bool { return row[1] == "" })
}

// choose picks the files of a candidate.
func (m *machine) choose(c candidate) Found {
	f := Found{Source: c.source, Endpoints: c.endpoints, Note: c.note}
	if !anySecure(c.endpoints) {
		return f
	}
	for _, ca := range c.cas {
		if m.exists(ca) {
			f.CACert = ca
			break
		}
	}
	best := unusable
	for _, p := range c.pairs {
		if fit := m.fitness(p, f.CACert); fit > best {
			best, f.Cert, f.Key = fit, p.cert, p.key
		}
	}
	if f.Cert == "" && len(c.pairs) > 0 && f.Note == "" {
		f.Note = "no client certificate there fits"
	}
	return f
}

func anySecure(endpoints []string) bool {
	for _, e := range endpoints {
		if strings.HasPrefix(e, "https://") || strings.HasPrefix(e, "unixs://") {
			return true
		}
	}
	return false
}

// settings returns the layer that f makes; endpoints, ca and pair say which of them nobody named.
func (f Found) settings(endpoints, ca, pair bool) map[string]any {
	out := map[string]any{}
	if endpoints {
		out[keyEndpoints] = f.Endpoints
	}
	if ca && f.CACert != "" {
		out[keyCACert] = f.CACert
	}
	if pair && f.Cert != "" {
		out[keyCert], out[keyKey] = f.Cert, f.Key
	}
	return out
}

// notice is the line that tells what of f is used.
func (f Found) notice(settings map[string]any) string {
	var used []string
	if _, ok := settings[keyEndpoints]; ok {
		used = append(used, strings.Join(f.Endpoints, ","))
	}
	switch {
	case settings[keyCert] != nil:
		used = append(used, "certificate "+f.Cert)
	case settings[keyCACert] != nil:
		used = append(used, "CA "+f.CACert)
	}
	text := fmt.Sprintf("found on this machine: %s (%s)", strings.Join(used, ", "), f.Source)
	if f.Note != "" {
		text += "; " + f.Note
	}
	return text
}
