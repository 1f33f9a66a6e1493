package staticpod

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/node/launch"
)

// manifest is a pod's manifest with the container that runs the member.
type manifest struct {
	doc       yaml.Node // the whole file, comments too
	container *yaml.Node
	pod       pod
	member    container
}

// pod is what is needed of a pod's manifest.
type pod struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	} `yaml:"metadata"`
	Spec struct {
		Containers []container `yaml:"containers"`
		Volumes    []volume    `yaml:"volumes"`
		Grace      *int64      `yaml:"terminationGracePeriodSeconds"`
	} `yaml:"spec"`
}

type container struct {
	Name       string   `yaml:"name"`
	Image      string   `yaml:"image"`
	Command    []string `yaml:"command"`
	Args       []string `yaml:"args"`
	WorkingDir string   `yaml:"workingDir"`
	Env        []struct {
		Name  string  `yaml:"name"`
		Value *string `yaml:"value"`
	} `yaml:"env"`
	Mounts []mount `yaml:"volumeMounts"`
}

type mount struct {
	Name    string `yaml:"name"`
	Path    string `yaml:"mountPath"`
	SubPath string `yaml:"subPath"`
}

type volume struct {
	Name     string `yaml:"name"`
	HostPath *struct {
		Path string `yaml:"path"`
	} `yaml:"hostPath"`
}

// errHooks ends what is said of a manifest that cannot be understood.
var errHooks = errors.New("use --via hooks:PROGRAM for this pod")

// parse reads a manifest and finds the member in it.
func parse(text []byte) (*manifest, error) {
	m := &manifest{}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&m.doc); err != nil {
		return nil, err
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it has more than one document: %w", errHooks)
	}
	if err := m.doc.Decode(&m.pod); err != nil {
		return nil, err
	}
	if m.pod.Kind != "Pod" {
		return nil, fmt.Errorf("it is no pod, but %q", m.pod.Kind)
	}
	found := -1
	for i, c := range m.pod.Spec.Containers {
		l := c.launch()
		if l.Get("data-dir") == "" && l.ConfigFile() == "" {
			continue
		}
		if found >= 0 {
			return nil, fmt.Errorf("containers %q and %q both look like a member: %w", m.pod.Spec.Containers[found].Name, c.Name, errHooks)
		}
		found = i
	}
	if found < 0 {
		return nil, fmt.Errorf("none of its containers is started with a data directory that can be read (--data-dir): %w", errHooks)
	}
	m.member = m.pod.Spec.Containers[found]
	containers := child(child(m.doc.Content[0], "spec"), "containers")
	if containers == nil || containers.Kind != yaml.SequenceNode || len(containers.Content) != len(m.pod.Spec.Containers) {
		return nil, fmt.Errorf("its list of containers is written in a way that is not understood: %w", errHooks)
	}
	m.container = containers.Content[found]
	if m.container.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("its container %q is written in a way that is not understood: %w", m.member.Name, errHooks)
	}
	return m, nil
}

// child is the value of a key, nil without one.
func child(mapping *yaml.Node, key string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// launch is how the container is started, as it sees it itself. Without a command it is the image's own program.
func (c container) launch() launch.Launch {
	l := launch.Launch{Dir: cmp.Or(c.WorkingDir, "/")}
	for _, e := range c.Env {
		if e.Value != nil { // others are known when the pod runs
			l.Env = append(l.Env, e.Name+"="+expand(*e.Value, l.Env))
		}
	}
	command := c.Command
	if len(command) == 0 {
		command = []string{"etcd"}
	}
	for _, arg := range slices.Concat(command, c.Args) {
		l.Args = append(l.Args, expand(arg, l.Env))
	}
	return l
}

// reference is a variable as the kubelet expands it: $(NAME), and $$ for a dollar.
var reference = regexp.MustCompile(`\$\$|\$\([A-Za-z_.-][A-Za-z0-9_.-]*\)`)

func expand(text string, env []string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		for _, e := range slices.Backward(env) {
			if value, ok := strings.CutPrefix(e, ref[2:len(ref)-1]+"="); ok {
				return value
			}
		}
		return ref
	})
}

// escape writes a value so that the kubelet takes it literally.
func escape(value string) string { return strings.ReplaceAll(value, "$", "$$") }

// host finds where a path of the container is on the machine; own is true where it is the top of a mount.
func (m *manifest) host(path string) (onHost string, own bool, err error) {
	path = filepath.Clean(path)
	best, length := "", -1
	for _, mnt := range m.member.Mounts {
		top := filepath.Clean(mnt.Path)
		rel, err := filepath.Rel(top, path)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") || len(top) <= length {
			continue
		}
		length, own = len(top), rel == "."
		best = m.volume(mnt.Name)
		if best != "" {
			best = filepath.Join(best, mnt.SubPath, rel)
		}
	}
	if best == "" {
		return "", false, fmt.Errorf("%s of container %q is no directory of this machine (hostPath): %w", path, m.member.Name, errHooks)
	}
	return best, own, nil
}

// volume is the host's path of a volume, "" for one of another kind.
func (m *manifest) volume(name string) string {
	for _, v := range m.pod.Spec.Volumes {
		if v.Name == name && v.HostPath != nil {
			return v.HostPath.Path
		}
	}
	return ""
}

// version is that of the image's tag, where it is one of etcd.
func (m *manifest) version() string {
	name, _, _ := strings.Cut(m.member.Image, "@")
	tag := name[strings.LastIndexAny(name, ":/")+1:]
	parts := strings.SplitN(strings.TrimPrefix(tag, "v"), ".", 3)
	if len(parts) != 3 || parts[0] != "3" || strings.HasSuffix(name, "/"+tag) {
		return ""
	}
	patch := parts[2]
	if end := strings.IndexFunc(patch, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		patch = patch[:end]
	}
	if _, err := strconv.Atoi(parts[1] + patch); err != nil || patch == "" {
		return ""
	}
	return "3." + parts[1] + "." + patch
}

// grace is how long the kubelet lets the member end by itself, in seconds.
func (m *manifest) grace() int64 {
	if m.pod.Spec.Grace != nil {
		return *m.pod.Spec.Grace
	}
	return 30 // Kubernetes' default
}

// set gives a setting a value where the member takes it from now: a flag stays a flag, a variable a variable. All else of
// the manifest stays, comments too.
func (m *manifest) set(name, value string) {
	value = escape(value)
	command, args := child(m.container, "command"), child(m.container, "args")
	if setFlag(command, args, name, value) || setVariable(child(m.container, "env"), launch.Variable(name), value) {
		return
	}
	list := args
	if list == nil || list.Kind != yaml.SequenceNode {
		list = command
	}
	if list == nil || list.Kind != yaml.SequenceNode { // the image's own program, without arguments
		list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		m.container.Content = append(m.container.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "args"}, list)
	}
	list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "--" + name + "=" + value})
}

// setFlag changes all occurrences of a flag and reports whether there is one.
func setFlag(command, args *yaml.Node, name, value string) (found bool) {
	var words []*yaml.Node
	for _, list := range []*yaml.Node{command, args} {
		if list != nil {
			words = append(words, list.Content...)
		}
	}
	for i, word := range words {
		if !strings.HasPrefix(word.Value, "-") {
			continue
		}
		dashes := "--"
		if !strings.HasPrefix(word.Value, "--") {
			dashes = "-"
		}
		n, _, joined := strings.Cut(strings.TrimPrefix(word.Value, dashes), "=")
		switch {
		case n != name:
		case joined:
			word.Value, found = dashes+name+"="+value, true
		case i+1 < len(words):
			words[i+1].Value, words[i+1].Tag, found = value, "!!str", true
		}
	}
	return found
}

// setVariable changes a variable and reports whether there is one with a value.
func setVariable(env *yaml.Node, name, value string) (found bool) {
	if env == nil {
		return false
	}
	for _, e := range env.Content {
		n, v := child(e, "name"), child(e, "value")
		if n != nil && v != nil && n.Value == name {
			v.Value, v.Tag, found = value, "!!str", true
		}
	}
	return found
}

// startupFailures is how often the startup probe may fail: a day, at kubeadm's ten seconds. A member that joins with much
// data is not ready for long, and one that is ended meanwhile begins anew.
const startupFailures = 8640

// patient lets the pod's startup probe wait until the member has all data; there is no other limit to that.
func (m *manifest) patient() {
	failures := child(child(m.container, "startupProbe"), "failureThreshold")
	if failures == nil {
		return
	}
	if n, err := strconv.Atoi(failures.Value); err == nil && n < startupFailures {
		failures.Value = strconv.Itoa(startupFailures)
	}
}

// text is the manifest as it is now.
func (m *manifest) text() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	err := errors.Join(enc.Encode(&m.doc), enc.Close())
	return out.Bytes(), err
}
