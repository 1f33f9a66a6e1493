package config

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// manifestDir is where kubelets look for static pods by custom.
const manifestDir = "/etc/kubernetes/manifests/"

// pod is what discovery needs of a pod.
//
//nolint:tagliatelle // Kubernetes named the fields
type pod struct {
	Spec struct {
		Containers []container `yaml:"containers"`
		Volumes    []struct {
			Name     string `yaml:"name"`
			HostPath struct {
				Path string `yaml:"path"`
			} `yaml:"hostPath"`
		} `yaml:"volumes"`
	} `yaml:"spec"`
}

// container is what discovery needs of a container.
//
//nolint:tagliatelle // Kubernetes named the fields
type container struct {
	Command []string `yaml:"command"`
	Args    []string `yaml:"args"`
	Env     []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
	Mounts []struct {
		Name string `yaml:"name"`
		Path string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

// parsePod reads a pod's manifest, YAML or JSON.
func parsePod(data []byte) (pod, bool) {
	var p pod
	return p, yaml.Unmarshal(data, &p) == nil && len(p.Spec.Containers) > 0
}

// environment returns the variables that the manifest itself gives.
func (c container) environment() map[string]string {
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	return env
}

// arguments returns the command with $(VARIABLES) expanded as a kubelet does.
func (c container) arguments() []string {
	var pairs []string
	for name, value := range c.environment() {
		if value != "" {
			pairs = append(pairs, "$("+name+")", value, "${"+name+"}", value)
		}
	}
	expand := strings.NewReplacer(pairs...)
	args := words(append(append([]string(nil), c.Command...), c.Args...))
	for i := range args {
		args[i] = expand.Replace(args[i])
	}
	return args
}

// hostPath turns a path of the container into one of the host, by the volume mounted nearest above it.
func (p pod) hostPath(c container, file string) string {
	best, host := "", ""
	for _, mount := range c.Mounts {
		dir := path.Clean(mount.Path)
		if len(dir) <= len(best) || file != dir && !strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/") {
			continue
		}
		for _, v := range p.Spec.Volumes {
			if v.Name == mount.Name && v.HostPath.Path != "" {
				best, host = dir, v.HostPath.Path
			}
		}
	}
	if best == "" {
		return file
	}
	return path.Join(host, strings.TrimPrefix(file, best))
}

// manifests calls use for each container of the static pods whose names begin with prefix, until it is satisfied.
func (m *machine) manifests(prefix string, use func(file string, c container, open func(string) string) bool) bool {
	for _, file := range m.glob(manifestDir + prefix + "*") {
		p, ok := parsePod(m.read(file, maxDiscovered))
		if !ok {
			continue
		}
		for _, c := range p.Spec.Containers {
			open := func(name string) string { return m.path(p.hostPath(c, name)) }
			if use(manifestDir+path.Base(file), c, open) {
				return true
			}
		}
	}
	return false
}

// etcdManifest looks for the static pod of an etcd.
func (m *machine) etcdManifest() (out candidate, ok bool) {
	ok = m.manifests("etcd", func(file string, c container, open func(string) string) bool {
		s := fromEnvironment(c.environment()).over(parseFlags(c.arguments()))
		if s["listen-client-urls"] == "" && s["ctl-endpoints"] == "" {
			return false
		}
		out = m.etcdCandidate(file, s, open)
		return true
	})
	return out, ok
}

// apiserverManifest looks for the static pod of a kube-apiserver.
func (m *machine) apiserverManifest() (out candidate, ok bool) {
	ok = m.manifests("kube-apiserver", func(file string, c container, open func(string) string) bool {
		found, good := apiserverCandidate(file, parseFlags(c.arguments()), open)
		out = found
		return good
	})
	return out, ok
}
