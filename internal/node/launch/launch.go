// Package launch reads how a member is started (its command line, environment and settings file) and says how to start
// it with other settings. It touches nothing.
package launch

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/recovery"
)

// Launch is one way to start a member.
type Launch struct {
	Args []string // the command line, the program first
	Env  []string // KEY=VALUE; those of etcd matter
	Dir  string   // working directory, for relative paths

	// Config is the content of the file that ConfigFile names; it must be filled in where there is one.
	Config []byte
}

// ConfigFile is the settings file that the member is started with, "" for none. With one etcd ignores all flags and
// variables.
func (l Launch) ConfigFile() string {
	if file, ok := flagOf(l.Args, "config-file"); ok {
		return l.abs(file)
	}
	file, _ := envOf(l.Env, "config-file")
	return l.abs(file)
}

func (l Launch) abs(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.Dir, path)
}

// Get returns a setting by its flag's name, "" when it is not set.
func (l Launch) Get(name string) string {
	if l.ConfigFile() != "" {
		return fileValue(l.Config, name)
	}
	if value, ok := flagOf(l.Args, name); ok {
		return value
	}
	value, _ := envOf(l.Env, name)
	return value
}

// Name is the member's name; etcd's default where none is set.
func (l Launch) Name() string {
	if name := l.Get("name"); name != "" {
		return name
	}
	return "default"
}

// Dirs returns the data directory and a WAL directory of its own, "" without one.
func (l Launch) Dirs() (data, wal string) {
	data = l.Get("data-dir")
	if data == "" {
		data = l.Name() + ".etcd"
	}
	return l.abs(data), l.abs(l.Get("wal-dir"))
}

// Settings are those that matter for joining a cluster, as they are set.
func (l Launch) Settings() []recovery.Setting {
	out := []recovery.Setting{{Name: "name", Value: l.Name()}}
	for _, name := range []string{
		"data-dir", "wal-dir", "initial-cluster", "initial-cluster-state", "initial-cluster-token", "initial-advertise-peer-urls",
		"advertise-client-urls", "force-new-cluster", "max-learners", "experimental-max-learners",
	} {
		if value := l.Get(name); value != "" {
			out = append(out, recovery.Setting{Name: name, Value: value})
		}
	}
	return out
}

// ErrNoFile says that a settings file was not read.
var ErrNoFile = errors.New("the member is started with a settings file whose content is not known")

// With returns the launch with other settings, each where the member takes it from now: a flag stays a flag, a variable a
// variable (upstream ends when both are given), and with a settings file the result's Config is the new content, which
// the caller writes to configFile.
func (l Launch) With(settings []recovery.Setting, configFile string) (Launch, error) {
	out := Launch{Args: slices.Clone(l.Args), Env: slices.Clone(l.Env), Dir: l.Dir}
	if old := l.ConfigFile(); old != "" {
		if len(l.Config) == 0 {
			return Launch{}, fmt.Errorf("%w: %s", ErrNoFile, old)
		}
		config, err := rewrite(l.Config, settings)
		if err != nil {
			return Launch{}, fmt.Errorf("rewrite %s: %w", old, err)
		}
		out.Config = config
		out.set("config-file", configFile)
		return out, nil
	}
	for _, s := range settings {
		out.set(s.Name, s.Value)
	}
	return out, nil
}

// set gives a setting a value where it is set now, by a flag where it is not.
func (l *Launch) set(name, value string) {
	if _, ok := flagOf(l.Args, name); !ok {
		if _, ok := envOf(l.Env, name); ok {
			l.Env = slices.DeleteFunc(l.Env, func(e string) bool { return strings.HasPrefix(e, Variable(name)+"=") })
			l.Env = append(l.Env, Variable(name)+"="+value)
			return
		}
	}
	l.Args = append(dropFlag(l.Args, name), "--"+name+"="+value)
}

// Variable is the variable that etcd reads a setting from.
func Variable(name string) string {
	return "ETCD_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// flagOf finds the last value of a flag in one of the forms that etcd takes: -n v, --n v, -n=v, --n=v.
func flagOf(args []string, name string) (value string, ok bool) {
	for i, arg := range args {
		n, v, joined := splitFlag(arg)
		switch {
		case n != name:
		case joined:
			value, ok = v, true
		case i+1 < len(args):
			value, ok = args[i+1], true
		}
	}
	return value, ok
}

// dropFlag removes all occurrences of a flag that takes a value.
func dropFlag(args []string, name string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		n, _, joined := splitFlag(args[i])
		if n != name {
			out = append(out, args[i])
		} else if !joined {
			i++
		}
	}
	return out
}

func splitFlag(arg string) (name, value string, joined bool) {
	if !strings.HasPrefix(arg, "-") {
		return "", "", false
	}
	return strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
}

func envOf(env []string, name string) (value string, ok bool) {
	for _, e := range env {
		if v, found := strings.CutPrefix(e, Variable(name)+"="); found {
			value, ok = v, true
		}
	}
	return value, ok
}

// fileValue reads one key of a settings file.
func fileValue(config []byte, name string) string {
	var all map[string]any
	if yaml.Unmarshal(config, &all) != nil || all[name] == nil {
		return ""
	}
	return fmt.Sprint(all[name])
}

// rewrite changes keys of a settings file; all else, comments too, stays.
func rewrite(config []byte, settings []recovery.Setting) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(config, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it holds no settings")
	}
	for _, s := range settings {
		SetKey(doc.Content[0], s.Name, s.Value)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err := errors.Join(enc.Encode(&doc), enc.Close())
	return out.Bytes(), err
}

// SetKey gives a key of a mapping a string value.
func SetKey(mapping *yaml.Node, key, value string) {
	text := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content[i+1] = text
			return
		}
	}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, text)
}
