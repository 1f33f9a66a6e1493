package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/etcdops/etcdops/internal/node/launch"
	"github.com/etcdops/etcdops/recovery"
)

// Spec says how to start the member: a YAML file that the user writes.
type Spec struct {
	Command []string `yaml:"command"`       // the program and its arguments
	Env     []string `yaml:"env,omitempty"` // KEY=VALUE, beside PATH and HOME
	Dir     string   `yaml:"dir,omitempty"` // working directory; the specification's own when empty
	Log     string   `yaml:"log,omitempty"` // file that the member's output is appended to; none when empty
}

// ownSuffix ends the name of the specification that Configure writes beside the user's; once it is there it counts.
const ownSuffix = ".etcdops"

// loadSpec reads the specification in force.
func (n *Node) loadSpec() (Spec, launch.Launch, error) {
	path := n.path
	data, err := os.ReadFile(path + ownSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = os.ReadFile(path)
	} else {
		path += ownSuffix
	}
	if err != nil {
		return Spec{}, launch.Launch{}, fmt.Errorf("read how to start the member: %w", err)
	}
	var spec Spec
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&spec); err != nil {
		return Spec{}, launch.Launch{}, fmt.Errorf("read %s: %w", path, err)
	}
	if len(spec.Command) == 0 {
		return Spec{}, launch.Launch{}, fmt.Errorf("read %s: it has no command", path)
	}
	if spec.Dir == "" {
		spec.Dir = filepath.Dir(n.path)
	}
	l := launch.Launch{Args: spec.Command, Env: spec.Env, Dir: spec.Dir}
	if stray := l.Stray(); stray != "" {
		return Spec{}, l, fmt.Errorf("read %s: the command's argument %q is neither a flag nor the value of one: put quotes around what contains a comma", path, stray)
	}
	if file := l.ConfigFile(); file != "" {
		if l.Config, err = os.ReadFile(file); err != nil {
			return Spec{}, l, fmt.Errorf("read the member's settings: %w", err)
		}
	}
	return spec, l, nil
}

// Configure implements recovery.Node: a specification of our own is written beside the user's, which stays as it is.
func (n *Node) Configure(_ context.Context, settings []recovery.Setting) error {
	spec, l, err := n.loadSpec()
	if err != nil {
		return err
	}
	changed, err := l.With(settings, n.path+ownSuffix+".conf")
	if err != nil {
		return err
	}
	if changed.Config != nil {
		if err := recovery.WriteFile(n.path+ownSuffix+".conf", changed.Config, 0o600); err != nil {
			return err
		}
	}
	spec.Command, spec.Env = changed.Args, changed.Env
	text, err := yaml.Marshal(spec)
	if err != nil {
		return err
	}
	return recovery.WriteFile(n.path+ownSuffix, append([]byte("# Written by etcdops; the one beside it is the original.\n"), text...), 0o600)
}
